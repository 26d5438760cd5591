"""How shards get done: lanes on this machine, Beam runners, Dask; who is watched, ended and tried again."""

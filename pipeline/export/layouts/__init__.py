"""The ways in which a shard of an export is written, one file each."""

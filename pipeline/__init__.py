"""Records, ids, decoding, cutting, the shard format, plan, manifest, verify and the dataset reader."""

"""Thin Apache Beam: shards to do, one function a shard, and the count."""

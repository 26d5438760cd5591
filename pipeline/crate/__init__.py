"""A crate on disk: plan, shards, manifest, the proof, the card, and the reader."""

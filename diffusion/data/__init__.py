"""From crates to batches."""

"""Commands that turn music into a crate."""

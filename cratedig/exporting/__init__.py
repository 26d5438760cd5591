"""A crate for other people's trainers."""

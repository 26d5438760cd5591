"""What is done to a crate that stands: tracks are taken down, crates are joined."""

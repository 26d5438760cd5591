"""Commands on a crate that stands."""

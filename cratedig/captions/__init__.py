"""Commands about vocabularies and embedders."""

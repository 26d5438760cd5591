"""From a seed to a piece whose contents are known."""

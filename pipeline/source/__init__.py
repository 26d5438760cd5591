"""From what the user points at to a list of tracks, and from a track to its bytes."""

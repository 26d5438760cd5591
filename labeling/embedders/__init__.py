"""Joint music-text models: what one is, its implementations, and the door that picks one by name."""

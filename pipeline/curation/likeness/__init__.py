"""Whether two clips are the same sound, whatever was done to it."""

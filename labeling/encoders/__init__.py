"""Models that judge sets of audio: every joint embedder, and networks that know no text."""

"""Which captions are near a clip: exact and fast search, and the candidates of pass 1."""

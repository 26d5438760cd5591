"""Captions that a grammar makes from music facts."""

"""Asking a language model about songs."""

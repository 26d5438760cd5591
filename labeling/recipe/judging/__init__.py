"""How well a model hears what is known of a piece."""

"""What a trained cascade makes of an evaluation set's prompts, and how that sounds in numbers."""

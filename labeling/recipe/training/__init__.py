"""From rendered pieces to a trained model."""

"""From a piece to sound."""

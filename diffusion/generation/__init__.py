"""From a prompt to a wav."""

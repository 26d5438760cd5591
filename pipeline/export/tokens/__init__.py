"""The audio of an export as the codes of a neural codec, for those who train language models on them."""

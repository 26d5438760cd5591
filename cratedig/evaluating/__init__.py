"""Commands that judge: sets of audio, labels, models and how they are sampled."""

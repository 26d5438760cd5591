"""The Noise2Music cascade: five 1-D U-Nets, schedules, sampler, training, generation."""

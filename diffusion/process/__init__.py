"""The diffusion process, and what is done to signals before and after it."""

"""Commands about the diffusion models."""

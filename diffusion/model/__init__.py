"""The U-Net, the five stages, and a model on disk."""

"""Augmentations of sound. One block per file; ``forward(batch, ctx)`` changes ``batch["wave"]``, on the device."""

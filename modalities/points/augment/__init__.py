"""Augmentations of point clouds. One block per file; ``forward(batch, ctx)`` changes ``batch["points"]``, on the device."""

"""Optimisers. One block per file; the file name is the block's name in a recipe."""

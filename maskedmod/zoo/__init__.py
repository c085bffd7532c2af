"""Pretrained weights: fetch a file, read it, recognise its layout, build the model, account for every key; and back."""

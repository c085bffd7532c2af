"""Sequences of ids: subwords, packing without padding, windows over what is too long."""

"""Sequences of ids: subwords, packing, windows. Nothing here knows an alphabet by name."""

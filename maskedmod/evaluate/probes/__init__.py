"""Probes on frozen features: one protocol a file, whose name is that of the protocol."""

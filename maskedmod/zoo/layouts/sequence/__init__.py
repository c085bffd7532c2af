"""Layouts of sequences: proteins, molecules, text."""

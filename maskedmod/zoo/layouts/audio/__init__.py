"""Layouts of sound."""

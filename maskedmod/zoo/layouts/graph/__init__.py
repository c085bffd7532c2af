"""Layouts of graphs."""

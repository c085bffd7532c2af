"""Layouts of images."""

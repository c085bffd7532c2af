"""Layouts of point clouds."""

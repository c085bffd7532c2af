"""Graphs as records: cleaned, from files and from objects of other libraries."""

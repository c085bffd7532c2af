"""Weights: fetched, read, recognised, mapped, written, verified. Every key of a file is accounted for."""

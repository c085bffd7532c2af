"""Pretrained weights: read a file, recognise its layout, build the model, account for every key."""

from __future__ import annotations

from maskedmod.zoo.load import Loaded, load
from maskedmod.zoo.report import Report

__all__ = ["Loaded", "Report", "load"]

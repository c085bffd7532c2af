"""Devices: those that a user names, and the way there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError, one_line


@contextmanager
def told(device: str | torch.device) -> Iterator[None]:
    """Around whatever first puts something on ``device``: UserError, in one line, where torch cannot."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {str(device)!r} cannot be used: {one_line(str(error))}") from None


def check(device: str | torch.device) -> None:
    """UserError for a device that this machine does not have."""
    with told(device):
        torch.ones(1, device=device).item()


def to_device(thing: Any, device: torch.device) -> Any:
    """Tensors in nested dicts, lists and tuples moved; what is no tensor stays."""
    if isinstance(thing, Tensor):
        return thing.to(device, non_blocking=True)
    if isinstance(thing, dict):
        return {key: to_device(value, device) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)) and any(isinstance(item, (Tensor, dict, list, tuple)) for item in thing):
        return type(thing)(to_device(item, device) for item in thing)
    return thing


def device_of(module: torch.nn.Module) -> torch.device:
    """Where a module's parameters lie."""
    return next(module.parameters()).device

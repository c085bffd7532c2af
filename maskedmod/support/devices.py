"""Devices that a user names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

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

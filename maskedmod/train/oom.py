"""Out of memory: one line that says what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from maskedmod.errors import UserError
from maskedmod.recipe.settings import TrainSettings


@contextmanager
def explained(settings: TrainSettings) -> Iterator[None]:
    """Turn a device's or the machine's out-of-memory error into a UserError with advice that fits the settings."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        cpu = isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "not enough memory" in str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not cpu:
            raise
        advice = [f"train.accumulate={settings.accumulate * 2} (now {settings.accumulate}; same results, smaller parts)"]
        if not settings.activation_checkpointing:
            advice.append("train.activation_checkpointing=true")
        if settings.precision == "fp32" and not cpu:
            advice.append("train.precision=bf16")
        size = "batch_size" if settings.batch_tokens is None else "batch_tokens"
        advice.append(f"a smaller train.{size} (now {getattr(settings, size)})")
        where = "the machine" if cpu else "the GPU"
        raise UserError(f"out of memory on {where}: try {', '.join(advice)}") from error

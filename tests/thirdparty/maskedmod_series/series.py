"""The adapter: read, collate, normalise, cut, draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Panel, Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod_series.plot import plot


class Series(Modality):
    """Series of ``length`` steps in patches of ``patch_size``. Shorter ones are padded, and the padding is not valid;
    of longer ones the first ``length`` steps are taken."""

    extensions: ClassVar[tuple[str, ...]] = (".csv", ".npy")
    columns: ClassVar[tuple[str, ...]] = ("series", "values")

    def __init__(self, length: int = 64, patch_size: int = 8) -> None:
        super().__init__()
        if length % patch_size:
            raise ValueError(f"length {length} is no multiple of patch_size {patch_size}")
        self.length, self.patch_size = length, patch_size
        self.statistics = {"mean": 0.0, "std": 1.0}

    @property
    def spec(self) -> Spec:
        return Spec(values=self.patch_size, axes=1, grid=(self.length // self.patch_size,), patch=(self.patch_size,))

    def read(self, record: Record) -> Tensor:
        x = _numbers(record.data)
        if x.ndim != 1 or len(x) < self.patch_size:
            raise BadSample(f"expected one row of at least {self.patch_size} numbers, found shape {tuple(x.shape)}")
        if not np.isfinite(x).all():
            raise BadSample("contains NaN or infinite numbers")
        return torch.from_numpy(x[: self.length].copy())

    def collate(self, samples: Sequence[Any]) -> dict[str, Any]:
        series = torch.zeros(len(samples), self.length)
        for row, sample in zip(series, samples, strict=True):
            row[: len(sample)] = sample
        return {"series": series, "length": torch.tensor([len(sample) for sample in samples])}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        x = (batch["series"] - self.statistics["mean"]) / self.statistics["std"]
        if ctx.training and ctx.generator is not None:
            gain = 0.9 + 0.2 * torch.rand(len(x), 1, generator=ctx.generator, device=x.device)
            x = x * gain
        inside = torch.arange(self.length, device=x.device) < batch["length"][:, None]
        return {**batch, "series": x * inside}

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        values = batch["series"].unflatten(1, (-1, self.patch_size))
        n = values.shape[1]
        pos = torch.arange(n, device=values.device)[None, :, None].expand(len(values), n, 1)
        valid = pos[..., 0] < (batch["length"][:, None] // self.patch_size)
        return {"main": Tokens(values, pos, Layout(grid=(n,), valid=valid))}

    def embedding(self, width: int) -> nn.Module:
        return nn.Linear(self.patch_size, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        return values.flatten(1)

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        x = self.untokenize(values, tokens).float().cpu().numpy()
        away = np.zeros(values.shape[:2], bool) if hidden is None else hidden.cpu().numpy()
        return [Panel(plot(row, np.repeat(gone, self.patch_size))) for row, gone in zip(x, away, strict=True)]

    def demo(self, split: str) -> Sequence[Record]:
        count, seed = {"train": (48, 0), "val": (16, 1)}[split]
        rng = np.random.default_rng(seed)
        records = []
        for i in range(count):
            t = np.arange(self.length - int(rng.integers(0, 3)) * self.patch_size)
            wave = np.sin(2 * np.pi * (t / rng.uniform(12, 40) + rng.uniform()))
            records.append(Record(wave.astype(np.float32), key=f"demo/{split}/{i}", label=len(t)))
        return records

    def measure(self, samples: Sequence[Any]) -> dict[str, Any]:
        x = torch.cat(list(samples))
        return {"mean": float(x.mean()), "std": float(x.std())}


def _numbers(data: Any) -> np.ndarray:
    """float32 array of an array, a list, a ``.npy`` file or a text file with one number a line."""
    try:
        if isinstance(data, str | Path):
            if Path(data).stat().st_size == 0:
                raise BadSample("the file is empty")
            data = np.load(data) if str(data).endswith(".npy") else np.loadtxt(data, ndmin=1)
        return np.asarray(data, dtype=np.float32)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise BadSample(f"cannot be read as numbers ({error})") from None

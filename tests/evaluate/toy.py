"""A modality without anything of its own, and a tiny encoder: a sample is a list of vectors of width 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.modality import BadSample, Modality, Panel, Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.evaluate.chosen import Chosen
from maskedmod.recipe.build import build_encoder


class Flat(Modality):
    """``data``: tensor ``[n, 4]``; None cannot be read. ``packed``: samples lie one after the other."""

    def __init__(self, packed: bool = False) -> None:
        super().__init__()
        self.packed = packed

    @property
    def spec(self) -> Spec:
        return Spec(4, axes=1)

    def read(self, record: Record) -> Tensor:
        if record.data is None:
            raise BadSample("nothing in it")
        data: Tensor = record.data
        return data

    def collate(self, samples: Sequence[Tensor]) -> dict[str, Any]:
        lengths = torch.tensor([0, *(len(sample) for sample in samples)], dtype=torch.int32)
        return {"x": torch.cat(list(samples)), "cu": lengths.cumsum(0, dtype=torch.int32), "longest": int(lengths.max())}

    def prepare(self, batch: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return batch

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        x, cu = batch["x"], batch["cu"]
        if self.packed:
            return {"main": Tokens(x, torch.zeros(len(x), 1), Layout(cu_seqlens=cu, max_seqlen=batch["longest"]))}
        lengths = cu.diff()
        valid = torch.arange(batch["longest"]) < lengths[:, None]
        dense = x.new_zeros(*valid.shape, 4)
        dense[valid] = x
        return {"main": Tokens(dense, torch.zeros(*valid.shape, 1), Layout(valid=valid))}

    def embedding(self, width: int) -> nn.Module:
        return nn.Linear(4, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        return values

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        return []

    def demo(self, split: str) -> Sequence[Record]:
        return []


def recipe(**changes: Any) -> dict[str, Any]:
    small = {"depth": 1, "width": 16, "heads": 2, "positions": "none", "classes": 0, "sees": "visible"}
    return {"encoder": {"transformer": {**small, **changes}}}


def encoder(**changes: Any) -> Encoder:
    return build_encoder(recipe(**changes), Flat())


def records(samples: Sequence[Tensor | None]) -> Chosen:
    """Numbered records of these samples."""
    listed = [Record(sample, f"sample {i}") for i, sample in enumerate(samples)]
    return Chosen([listed], [(0, i) for i in range(len(listed))])


def samples(count: int, seed: int) -> list[Tensor]:
    """Three to five vectors each; their mean is what all labels here are made of."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(4, generator=generator) + 0.5 * torch.randn(3 + i % 3, 4, generator=generator) for i in range(count)]

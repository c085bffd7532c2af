"""A modality with nothing to it: samples are numbers in text files or in the record itself; negative ones are bad."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Panel, Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens


class Toy(Modality):
    extensions = (".num",)
    columns = ("number", "image")

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    @property
    def spec(self) -> Spec:
        return Spec(1, 1)

    def read(self, record: Record) -> Any:
        self.reads += 1
        number = int(record.data.read_text()) if isinstance(record.data, Path) else int(record.data)
        if number < 0:
            raise BadSample(f"{number} is negative")
        return number, record.extra.get("seed", -1)

    def collate(self, samples: Sequence[Any]) -> dict[str, Any]:
        return {"x": torch.tensor([n for n, _ in samples]), "seed": torch.tensor([s for _, s in samples])}

    def measure(self, samples: Sequence[Any]) -> dict[str, Any]:
        return {"mean": sum(n for n, _ in samples) / len(samples)}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        raise NotImplementedError

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        raise NotImplementedError

    def embedding(self, width: int) -> nn.Module:
        raise NotImplementedError

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        raise NotImplementedError

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        raise NotImplementedError

    def demo(self, split: str) -> Sequence[Record]:
        return numbers(range(10) if split == "train" else range(10, 13))


def numbers(values: Any) -> list[Record]:
    return [Record(value, f"number {value}") for value in values]

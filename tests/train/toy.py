"""A tiny masked autoencoder over waves, made of real blocks: what the tests of the trainer train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.modality import Modality, Record
from maskedmod.core.model import Blocks, MaskedModel, Objective
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.data.groups import Groups
from maskedmod.data.loader import Loader
from maskedmod.encoders.transformer import Transformer
from maskedmod.heads.mae_decoder import MaeDecoder
from maskedmod.heads.mlp import Mlp
from maskedmod.losses.regression import Regression
from maskedmod.masks.random import Random
from maskedmod.optimizers.adamw import Adamw
from maskedmod.recipe.settings import TrainSettings
from maskedmod.targets.feature import Feature
from maskedmod.targets.raw import Raw
from maskedmod.teachers.ema import Ema
from maskedmod.train.trainer import Trainer

N, P, WIDTH = 16, 8, 32

LONG: dict[str, Any] = {"accumulate": 2, "clip": 1.0, "val": True, "val_every": 4}
"""Settings that use most of the trainer."""


class Waves(Modality):
    """Sines of random phase, cut into 16 tokens of 8 values; ``lengths``: some samples are padded."""

    def __init__(self, padded: bool = False) -> None:
        super().__init__()
        self.padded = padded

    @property
    def spec(self) -> Spec:
        return Spec(values=P, axes=1, grid=(N,), patch=(P,))

    def read(self, record: Record) -> Tensor:
        generator = torch.Generator().manual_seed(int(record.data))
        phase = torch.rand(1, generator=generator) * 6.3
        wave = torch.sin(torch.arange(N * P) / 20 + phase) + torch.linspace(-1, 1, N * P)
        if int(record.data) < 0:
            wave[3] = float("nan")
        return wave

    def collate(self, samples: Sequence[Any]) -> dict[str, Any]:
        return {"wave": torch.stack(list(samples))}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        if not ctx.training:
            return batch
        noise = torch.randn(batch["wave"].shape, generator=ctx.generator, device=batch["wave"].device)
        return {"wave": batch["wave"] + 0.05 * noise}

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        values = batch["wave"].reshape(-1, N, P)
        pos = torch.arange(N, device=values.device)[:, None].expand(len(values), -1, -1)
        valid = None
        if self.padded:
            valid = torch.arange(N, device=values.device).expand(len(values), -1) < N // 2
            values = torch.where(valid[..., None], values, 1000.0)
        return {"main": Tokens(values, pos, Layout(grid=(N,), valid=valid))}

    def embedding(self, width: int) -> nn.Module:
        return nn.Linear(P, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        return values.flatten(1)

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Any]:
        return []

    def demo(self, split: str) -> Sequence[Record]:
        start = 0 if split == "train" else 10_000
        return [Record(start + i, f"wave {i}") for i in range(64 if split == "train" else 24)]


def model(kind: str = "mae", padded: bool = False, seed: int = 0, dropout: float = 0.1) -> MaskedModel:
    """``mae``: raw target; ``jepa``: features of an EMA teacher; ``two``: both, each with its optimiser."""
    torch.manual_seed(seed)
    waves = Waves(padded)
    encoder = Transformer(waves.spec, waves.embedding, depth=2, width=WIDTH, heads=2, classes=0, dropout=dropout)
    spec = Spec(values=P, axes=1, grid=(N,), width=WIDTH, teacher=WIDTH, target=P)
    teacher = None if kind == "mae" else Ema(spec, encoder, momentum=0.9)
    objectives = {}
    if kind in ("mae", "two"):
        objectives["main"] = Objective(Raw(spec), MaeDecoder(spec, depth=1, width=WIDTH, heads=2), Regression(spec))
    if kind in ("jepa", "two"):
        head_spec = Spec(values=P, axes=1, grid=(N,), width=WIDTH, teacher=WIDTH, target=WIDTH)
        head: Any = MaeDecoder(head_spec, depth=1, width=WIDTH, heads=2) if kind == "jepa" else Mlp(head_spec)
        optimizer, region = ("main", "masked") if kind == "jepa" else ("other", "visible")
        objectives["other"] = Objective(Feature(spec), head, Regression(spec), optimizer=optimizer, region=region)  # type: ignore[arg-type]
    return MaskedModel(Blocks(waves, Random(spec, 0.5), encoder, objectives, teacher))


def settings(**changes: Any) -> TrainSettings:
    """Twelve steps of eight samples."""
    chosen = {"steps": 12, "batch_size": 8, "lr": 1e-3, "log_every": 4, "checkpoint_every": 5, "tensorboard": False}
    return TrainSettings(**{**chosen, **changes})  # type: ignore[arg-type]


def trainer(out: Path, net: MaskedModel | None = None, *, val: bool = False, **changes: Any) -> Trainer:
    """Trainer of a toy in one process; keyword arguments of Trainer and of the settings."""
    given = {key: changes.pop(key) for key in ("parallel", "resume", "optimizers", "pictures") if key in changes}
    chosen = settings(**changes)
    net = net or model()
    waves = net.modality
    parallel = given.get("parallel")
    rank, world = (parallel.rank, parallel.world) if parallel else (0, 1)
    size = chosen.part_size(world)
    train = Loader(waves.demo("train"), waves, size, seed=3, rank=rank, world=world)
    share: Any = {"rank": rank, "world": world}
    held = Groups(waves.demo("val"), waves, **share) if val else None
    means = Groups(waves.demo("train"), waves, mixed=True, **share) if val else None
    return Trainer(net, train, held, chosen, given.pop("optimizers", Adamw()), out, seed=3, means=means, **given)


def lines(out: Path) -> list[dict[str, Any]]:
    """All objects of metrics.jsonl."""
    import json

    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    """Loss of every step; the steps are checked to be 1, 2, 3, ..."""
    steps = [line for line in lines(out) if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    return [line["loss"] for line in steps]

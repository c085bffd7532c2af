"""Features of records: one pass over the data, batch by batch, for any number of encoders at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from maskedmod.context import Context
from maskedmod.data.loader import Loader
from maskedmod.errors import UserError
from maskedmod.modality import Modality, Record
from maskedmod.tokens import Latent
from maskedmod.windows import encode

Pool = Literal["mean", "cls", "both", "axis"]
POOLS = get_args(Pool)
Reader = Callable[[dict[str, Any]], Tensor]
"""A prepared batch -> features ``[B, D]``."""


@dataclass(frozen=True)
class Features:
    """``x``: features float32 ``[n, D]`` on the CPU by reader name; rows are the records that could be read, in their order.
    ``labels``, ``keys`` and ``groups`` (key of the whole that a record is a part of) of these rows. ``bad``: how many could
    not be read."""

    x: dict[str, Tensor]
    labels: list[Any]
    keys: list[str]
    groups: list[str]
    bad: int


class _Named(nn.Module):
    """A modality that hands on what a record is called and labelled, beside the sample itself."""

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        self.modality = modality

    def read(self, record: Record) -> tuple[Any, Any, str, str]:
        return self.modality.read(record), record.label, record.key, str(record.extra.get("clip", record.key))

    def collate(self, samples: Sequence[tuple[Any, Any, str, str]]) -> dict[str, Any]:
        columns = [list(column) for column in zip(*samples, strict=True)]
        return {"batch": self.modality.collate(columns[0]), "labels": columns[1], "keys": columns[2], "groups": columns[3]}


@torch.no_grad()
def extract(
    modality: Modality, records: Any, readers: Mapping[str, Reader], batch_size: int = 128, device: str = "cpu", workers: int = 0
) -> Features:
    """Features of all records under every reader. Nothing is augmented and nothing is masked. Records that cannot be read are
    left out and counted. Raises UserError when none is left, or when features are not finite."""
    from tqdm import tqdm

    from maskedmod.train.parallel import to_device

    place, ctx = torch.device(device), Context(training=False)
    loader = Loader(records, _Named(modality), batch_size, shuffle=False, workers=workers, bad="skip")  # type: ignore[arg-type]
    parts: dict[str, list[Tensor]] = {name: [] for name in readers}
    told: dict[str, list[Any]] = {"labels": [], "keys": [], "groups": []}
    total = len(records) if hasattr(records, "__len__") else None
    with tqdm(total=total, unit="sample", desc="features", disable=None, leave=False) as bar:
        for item in loader.epoch_batches():
            batch = modality.prepare(to_device(item["batch"], place), ctx)
            for name, reader in readers.items():
                parts[name].append(reader(batch).float().cpu())
            for what, rows in told.items():
                rows.extend(item[what])
            bar.update(len(item["keys"]))
    if not told["keys"]:
        raise UserError(f"no sample could be read, {loader.bad.count} were bad" if loader.bad.count else "there is no sample")
    x = {name: torch.cat(rows) for name, rows in parts.items()}
    for name, values in x.items():
        if not bool(values.isfinite().all()):
            raise UserError(f"{name}: features of {told['keys'][int((~values.isfinite()).any(1).nonzero()[0])]} are not finite")
    return Features(x, told["labels"], told["keys"], told["groups"], loader.bad.count)


def encoder_reader(encoder: nn.Module, modality: Modality, pool: Pool = "mean") -> Reader:
    """Pooled output of an encoder that sees all tokens of the first view, in evaluation mode and float32."""
    encoder = encoder.eval().float()

    def read(batch: dict[str, Any]) -> Tensor:
        tokens = next(iter(modality.tokenize(batch).values()))
        return pooled(encode(encoder, tokens, modality), pool)

    return read


def pooled(latent: Latent, pool: Pool) -> Tensor:
    """``mean`` over valid tokens, ``cls``: the class token, ``both``: the two side by side, ``[B, D]`` or ``[B, 2D]``.
    ``axis``: mean over the first axis of the grid, the places along the others side by side, ``[B, F * D]``: of a spectrogram the
    mean over time of all frequencies (MSM-MAE, Niizumi et al. 2022, section 3.3).
    UserError when a class token is asked for and the encoder has none, or an axis and there is no grid of two."""
    if pool == "mean":
        return latent.mean()
    if pool == "axis":
        return _over_first_axis(latent)
    if latent.prefix is None or not latent.has_class:
        raise UserError(f"pool={pool}: this encoder has no class token; pool=mean works for every encoder")
    token = latent.prefix[:, 0]
    return token if pool == "cls" else torch.cat([token, latent.mean()], dim=1)


def _over_first_axis(latent: Latent) -> Tensor:
    x, layout = latent.tokens, latent.layout
    if layout.grid is None or len(layout.grid) < 2 or x.ndim != 3 or x.shape[1] != math.prod(layout.grid):
        raise UserError("pool=axis: these tokens lie on no grid of two axes or more; pool=mean works for every encoder")
    b, n, d = x.shape
    weight = x.new_ones(b, n) if layout.valid is None else layout.valid.to(x.dtype)
    weight = weight.reshape(b, layout.grid[0], -1, 1)
    total = (x.reshape(b, layout.grid[0], -1, d) * weight).sum(1)
    return (total / weight.sum(1).clamp(min=1)).flatten(1)

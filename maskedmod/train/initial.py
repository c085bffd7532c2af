"""First weights from another run or a published checkpoint (``init=``), with every key accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.spec import Spec
from maskedmod.errors import UserError
from maskedmod.layers import fit
from maskedmod.layers.positions import RelativeBias, Table
from maskedmod.recipe.start import Start
from maskedmod.zoo.load import load


@dataclass
class Reused:
    """Names of tensors: taken over; fitted to another shape, with the rule; of another shape; copied from the student into its
    teacher; only in the model (they stay as drawn); only in the source."""

    taken: list[str] = field(default_factory=list)
    fitted: dict[str, str] = field(default_factory=dict)
    reshaped: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def lines(self, source: str) -> list[str]:
        """One line a kind, for the reader."""
        kinds = (
            ("of the teacher start as the student's", self.copied),
            ("have another shape and stay as drawn", self.reshaped),
            ("are not in it and stay as drawn", self.fresh),
            ("of it are not in the model", self.unused),
        )
        found = [f"{len(self.taken)} tensors taken over"] if self.taken else []
        found += [f"{name} {how}" for name, how in self.fitted.items()]
        found += [f"{len(names)} {what} ({_short(names)})" for what, names in kinds if names]
        if any(name.endswith((".table", "embed.weight")) for name in self.reshaped):
            found.append("init.resize=bicubic would fit positions and patches, init.channels=mean channels")
        return [f"init={source}: {line}" for line in found]


def start_from(model: nn.Module, given: str | Path | Mapping[str, Any]) -> Reused:
    """Copy every tensor of a checkpoint that has a namesake of the same shape in the model, fit others where a rule is named;
    nothing is dropped unsaid. An EMA teacher that the checkpoint does not have starts as its student. Raises UserError when
    nothing fits."""
    start = Start.of(given)
    loaded = load(start.checkpoint, strict=False, **start.how)
    drawn = {*loaded.report.untrained, *loaded.report.missing}  # fresh random numbers, not the file's
    theirs = {name: tensor for name, tensor in loaded.model.state_dict().items() if name not in drawn}
    fitted = _fitted(model, loaded.model, theirs, start)
    reused = match(model, {**theirs, **{name: tensor for name, (tensor, _) in fitted.items()}})
    reused.fitted = {name: how for name, (_, how) in fitted.items()}
    reused.taken = [name for name in reused.taken if name not in fitted]
    reused.unused += sorted(loaded.report.unexpected)
    if not reused.taken:
        raise UserError(f"init={start.checkpoint}: none of its {len(theirs)} tensors fits the model")
    _follow(model, reused)
    return reused


def match(model: nn.Module, theirs: dict[str, Tensor]) -> Reused:
    """The copying itself."""
    own = model.state_dict()
    reused = Reused(unused=sorted(theirs.keys() - own.keys()))
    for name, tensor in own.items():
        if name not in theirs:
            reused.fresh.append(name)
        elif theirs[name].shape != tensor.shape:
            reused.reshaped.append(name)
        else:
            tensor.copy_(theirs[name])
            reused.taken.append(name)
    return reused


def _fitted(model: nn.Module, other: nn.Module, theirs: dict[str, Tensor], start: Start) -> dict[str, tuple[Tensor, str]]:
    """Tensors of another shape that a named rule makes fit, and what was done."""
    out: dict[str, tuple[Tensor, str]] = {}
    for name, tensor in model.state_dict().items():
        if name in theirs and theirs[name].shape != tensor.shape:
            made = _table(model, other, name, theirs[name], start) or _patches(model, other, name, theirs[name], start)
            if made is not None and made[0].shape == tensor.shape:
                out[name] = made
    return out


def _table(model: nn.Module, other: nn.Module, name: str, tensor: Tensor, start: Start) -> tuple[Tensor, str] | None:
    parent = name.rpartition(".")[0]
    if start.resize is None or not name.endswith(".table"):
        return None
    mine, old = model.get_submodule(parent), other.get_submodule(parent)
    if isinstance(mine, Table) and isinstance(old, Table) and mine.offset == old.offset:
        made = fit.table(tensor, old.grid, mine.grid, start.resize, mine.offset)
    elif isinstance(mine, RelativeBias) and isinstance(old, RelativeBias):
        made = fit.bias(tensor, old.grid, mine.grid, start.resize)
    else:
        return None
    return made, f"resized from a lattice of {old.grid} to {mine.grid} ({start.resize})"


def _patches(model: nn.Module, other: nn.Module, name: str, tensor: Tensor, start: Start) -> tuple[Tensor, str] | None:
    """The embedding of patches, first to the channels and then to the size of the model's."""
    if not name.endswith("encoder.embed.weight") or tensor.ndim != 2:
        return None
    mine, old = _spec(model), _spec(other)
    if mine is None or old is None or mine.patch is None or old.patch is None or not mine.channels or not old.channels:
        return None
    done = []
    if mine.channels != old.channels:
        if start.channels is None:
            return None
        tensor = fit.bands(tensor, old.channels, mine.channels, start.channels)
        done.append(f"from {old.channels} to {mine.channels} channels ({start.channels})")
    if mine.patch != old.patch:
        if start.resize is None or len(mine.patch) != 2:
            return None
        tensor = fit.patches(tensor, old.patch, mine.patch, mine.channels, start.resize)
        done.append(f"from patches of {old.patch} to {mine.patch} ({start.resize}, pseudo-inverse)")
    return tensor, f"fitted {' and '.join(done)}"


def _spec(model: nn.Module) -> Spec | None:
    return getattr(getattr(model, "modality", None), "spec", None)


@torch.no_grad()
def _follow(model: nn.Module, reused: Reused) -> None:
    """A teacher that follows its student begins where the student does."""
    if not getattr(getattr(model, "teacher", None), "follows", False):
        return
    own, known = model.state_dict(), {*reused.taken, *reused.fitted}
    for name in [*reused.fresh, *reused.reshaped]:
        student = name.removeprefix("teacher.")
        if name.startswith("teacher.encoder.") and student in known:
            own[name].copy_(own[student])
            reused.copied.append(name)
    reused.fresh = [name for name in reused.fresh if name not in reused.copied]
    reused.reshaped = [name for name in reused.reshaped if name not in reused.copied]


def _short(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")

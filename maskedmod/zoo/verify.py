"""The original implementation beside ours on the same input: the difference of every layer and at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.errors import UserError, unknown
from maskedmod.zoo import originals
from maskedmod.zoo.fetch import names
from maskedmod.zoo.load import load
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.pair import Pair, Stack

LIBRARIES = ("transformers", "timm", "fair-esm")
ACCEPTED = 1e-4
"""Largest relative error of a layer, fed with the original's input, that rounding explains in float32."""


@dataclass(frozen=True)
class Line:
    """Relative errors (largest difference over largest value). ``alone``: our layer on the original's input, None where that has
    no meaning; ``together``: after all layers before it."""

    name: str
    alone: float | None
    together: float


@dataclass(frozen=True)
class Comparison:
    """``made``: the original was written from our model, so what reading and writing have in common does not show."""

    against: str
    lines: list[Line]
    made: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """Names of the layers that differ by more than rounding: those that err alone, or else what comes out at the end."""
        alone = [line.name for line in self.lines if line.alone is not None and not line.alone < ACCEPTED]
        return alone or [line.name for line in self.lines if not line.together < ACCEPTED]

    def __str__(self) -> str:
        width = max(len(line.name) for line in self.lines)
        rows = [f"{'':<{width}}  {'alone':>8}  {'together':>8}"]
        for line in self.lines:
            alone = "" if line.alone is None else f"{line.alone:.1e}"
            rows.append(
                f"{line.name:<{width}}  {alone:>8}  {line.together:>8.1e}{'  <- differs' if line.name in self.wrong else ''}"
            )
        end = f"differs from {self.against} at {', '.join(self.wrong)}" if self.wrong else f"equals {self.against} to rounding"
        return "\n".join([*rows, *(f"note: {note}" for note in self.notes), end])


def verify(checkpoint: str, against: str | None = None, how: Mapping[str, Any] | None = None) -> Comparison:
    """Run a checkpoint in ours and in the original implementation. ``against``: transformers, timm or fair-esm; None: the one
    whose layout the checkpoint has. ``how`` it is read: see ``load``. UserError where the original is not installed or does
    not have such a model."""
    loaded = load(checkpoint, **(how or {}))
    place = names.located(checkpoint) if names.is_name(checkpoint) else Path(checkpoint)
    return compare(loaded, place, against)


def compare(loaded: Loaded, checkpoint: str | Path, against: str | None = None) -> Comparison:
    """The same for a model that is loaded already; the original reads the file itself where it can, else one that is written from
    our model."""
    against = against or originals.usual(loaded)
    if against not in LIBRARIES:
        raise unknown("library", against, LIBRARIES, "of against=")
    with tempfile.TemporaryDirectory() as folder:
        path, made = originals.file_for(loaded, Path(checkpoint), against, Path(folder))
        pair = originals.pair(loaded, path, against)
        lines = differences(pair)
    notes = ["the original was written from our model: a mistake that reading and writing share would not show"] if made else []
    return Comparison(against, lines, made, notes)


@torch.no_grad()
def differences(pair: Pair) -> list[Line]:
    """Run both sides and compare."""
    watched = [_Watch(module) for stack in pair.stacks for module in (*stack.ours, *stack.theirs)]
    by_module = {id(watch.module): watch for watch in watched}
    try:
        ours, theirs = pair.ours(), pair.theirs()
    finally:
        for watch in watched:
            watch.close()
    lines = []
    for stack in pair.stacks:
        if len(stack.ours) != len(stack.theirs):
            raise UserError(f"{stack.name}: {len(stack.ours)} blocks here, {len(stack.theirs)} in the original")
        for i, (mine, other) in enumerate(zip(stack.ours, stack.theirs, strict=True)):
            lines += _block(stack, i, by_module[id(mine)], by_module[id(other)])
    return lines + [Line(name, None, error(ours[name], theirs[name])) for name in ours]


def _block(stack: Stack, i: int, mine: _Watch, other: _Watch) -> list[Line]:
    """The line of a block, and before the first one that of what goes in."""
    fed = _placed(other.given, stack.order, mine.given)
    wanted = _placed(other.made, stack.order, mine.made)
    alone = mine.module(fed, *mine.rest)
    lines = [Line(f"{stack.name} input", None, error(mine.given, fed))] if i == 0 else []
    return [*lines, Line(f"{stack.name} block {i}", error(alone, wanted), error(mine.made, wanted))]


def _placed(theirs: Tensor, order: Tensor | None, ours: Tensor) -> Tensor:
    """Their tokens in our order and shape (packed, or sequence first)."""
    if order is not None:
        theirs = theirs.gather(1, order[..., None].expand(-1, -1, theirs.shape[-1]))
    if theirs.numel() != ours.numel():
        raise UserError(f"a block has {list(ours.shape)} here and {list(theirs.shape)} in the original")
    return theirs.reshape(ours.shape)


def error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over the largest value of the original. UserError for other shapes."""
    if ours.shape != theirs.shape:
        raise UserError(f"{list(ours.shape)} here, {list(theirs.shape)} in the original")
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max().clamp(min=1e-30))


class _Watch:
    """What goes into a module and comes out."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.rest: tuple[Any, ...] = ()
        self._hooks = [
            module.register_forward_pre_hook(self._before, with_kwargs=True),
            module.register_forward_hook(self._after),
        ]
        self.given = self.made = torch.empty(0)

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        first = args[0] if args else kwargs.get("hidden_states", kwargs.get("x"))
        assert isinstance(first, Tensor)
        self.given, self.rest = first, args[1:]

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.made = output[0] if isinstance(output, tuple) else output

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

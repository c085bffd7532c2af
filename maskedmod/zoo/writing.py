"""From our tensors to the names of a published layout: the inverse of ``mapping``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.zoo.mapping import Change

Qkv = tuple[str, str, str]


@dataclass
class Written:
    """What a layout's folder holds. ``style``: ``hf`` (safetensors and ``config.json``), ``timm`` (the same with timm's
    configuration), ``pth`` (one PyTorch file, ``config`` its ``args``), ``state`` (one PyTorch file of tensors alone). ``files``:
    others by name, text or what becomes JSON. ``nested``: the tensors lie in dicts by the first part of their names. ``notes``:
    what the layout has no place for."""

    weights: dict[str, Tensor]
    style: Literal["hf", "timm", "pth", "state"]
    config: dict[str, Any]
    files: dict[str, Any] = field(default_factory=dict)
    nested: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass
class Writer:
    """Takes tensors out of ``left`` (ours) and puts them into ``out`` under their names. ``kept``: see ``Loaded.kept``."""

    left: dict[str, Tensor]
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    out: dict[str, Tensor] = field(default_factory=dict)

    def one(self, ours: str, theirs: str, change: Change | None = None) -> None:
        """One tensor, where the model has it."""
        if ours in self.left:
            tensor = self.left.pop(ours)
            self.out[theirs] = tensor if change is None else change(tensor)

    def linear(self, ours: str, theirs: str, change: Change | None = None) -> None:
        """A linear map or norm."""
        for end in ("weight", "bias"):
            self.one(f"{ours}.{end}", f"{theirs}.{end}", change)

    def each(self, ours: str, theirs: str, change: Change | None = None) -> None:
        """All tensors whose names fit the pattern ``ours``; its groups stand in ``theirs`` as ``\\1``."""
        for key in list(self.left):
            if found := re.fullmatch(ours, key):
                self.one(key, found.expand(theirs), change)

    def stack(self, ours: str, theirs: str, names: Mapping[str, str], qkv: Qkv | None = None) -> None:
        """Blocks ``ours.0``, ... under ``theirs`` with ``{i}`` for the number; ``names``: of the modules and tensors of a block,
        ours to theirs; ``qkv``: their names of q, k and v where they are apart."""
        i = 0
        while any(key.startswith(f"{ours}.{i}.") for key in self.left):
            mine, named = f"{ours}.{i}", theirs.format(i=i)
            if qkv is not None:
                self._apart(f"{mine}.attn", named, qkv)
            for name, other in names.items():
                self.one(f"{mine}.{name}", f"{named}.{other}")
                self.linear(f"{mine}.{name}", f"{named}.{other}")
            i += 1

    def _apart(self, ours: str, theirs: str, names: Qkv) -> None:
        for end in ("weight", "bias"):
            if f"{ours}.qkv.{end}" in self.left:
                for name, third in zip(names, self.left.pop(f"{ours}.qkv.{end}").chunk(3), strict=True):
                    self.out[f"{theirs}.{name}.{end}"] = third
        for name, letter in ((names[0], "q"), (names[2], "v")):
            self.one(f"{ours}.{letter}_bias", f"{theirs}.{name}.bias")

    def original(self, key: str) -> Tensor | None:
        """The tensor of the file that was loaded, whatever stood before its name (a dict called ``model`` gives plain names)."""
        exact = self.kept.get(key, self.kept.get(key.removeprefix("model.")))
        return exact if exact is not None else next((x for name, x in self.kept.items() if name.endswith(f".{key}")), None)

    def again(self, *keys: str) -> None:
        """Tensors of the file that the model has no use for, under the names they had."""
        self.out.update({name: tensor for name, tensor in self.kept.items() if name in keys})

    def leave(self, *beginnings: str) -> bool:
        """Forget tensors that the layout has no place for; whether there were any."""
        gone = [key for key in self.left if key.startswith(beginnings)]
        for key in gone:
            del self.left[key]
        return bool(gone)

    def done(self) -> dict[str, Tensor]:
        """All tensors, on the CPU and each with its own memory. UserError when one was left without a name."""
        if self.left:
            raise UserError(f"this layout has no place for {', '.join(sorted(self.left)[:3])}")
        return {key: tensor.detach().cpu().clone().contiguous() for key, tensor in self.out.items()}


def unusual(arguments: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """``key=value`` of the arguments that are none of the values a layout can express."""
    found = []
    for key, accepted in usual.items():
        choices = accepted if isinstance(accepted, tuple) else (accepted,)
        if key in arguments and arguments[key] not in choices:
            found.append(f"{key}={arguments[key]}")
    return found


def refuse(what: str, odd: Iterable[str]) -> None:
    """UserError when there is anything odd."""
    listed = ", ".join(odd)
    if listed:
        raise UserError(f"{what} has no place for {listed}")


def same(a: Tensor | None, b: Tensor | None) -> bool:
    """Equal to the bit."""
    return a is not None and b is not None and a.shape == b.shape and torch.equal(a, b)

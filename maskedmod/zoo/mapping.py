"""Rules from the keys of a published layout to ours, and the changes that tensors need on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

Change = Callable[[Tensor], Tensor]

HEAD = "objectives.main.head"
"""Where the tensors of our main head are."""
INNER = r"((?:norm[12]|attn\.qkv|attn\.proj|mlp\.fc[12])\.(?:weight|bias))"
"""Tensors of a Transformer block under names that timm, FAIR and we share."""
STATISTICS = "(weight|bias|running_mean|running_var|num_batches_tracked)"
"""Tensors of a BatchNorm."""


@dataclass(frozen=True)
class Rule:
    """Keys that match ``pattern`` in full go to ``to`` (groups as ``\\1``; several names: a copy each), changed by ``change``.
    ``part``: this is one of several tensors that are put together along ``axis``, in the order of their parts.
    ``unneeded``: they are known and go nowhere, for this reason. ``altered``: what ``change`` does to the numbers, where it does
    more than to order them. ``keep``: ``change`` cannot be undone, so the tensor of the file is kept for writing it back.
    ``also``: further tensors that are made of it, by name."""

    pattern: str
    to: str | tuple[str, ...] = ()
    change: Change | None = None
    part: int | None = None
    unneeded: str = ""
    altered: str = ""
    keep: bool = False
    axis: int = 0
    also: tuple[tuple[str, Change], ...] = ()


@dataclass
class Converted:
    """``state``: tensors under our keys. ``used``, ``unneeded`` and ``altered`` (with reasons), ``unexpected``: keys
    of the file. ``kept``: tensors of the file that are needed to write it back as it was."""

    state: dict[str, Tensor] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    unneeded: dict[str, str] = field(default_factory=dict)
    altered: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    kept: dict[str, Tensor] = field(default_factory=dict)


def convert(weights: Mapping[str, Tensor], rules: Iterable[Rule]) -> Converted:
    """Send every key through the first rule that fits it. Linear in the tensors, so gradients can be sent through as well."""
    compiled = [(re.compile(rule.pattern), rule) for rule in rules]
    out = Converted()
    parts: dict[tuple[str, int], dict[int, Tensor]] = {}
    for key, tensor in weights.items():
        found = next(((match, rule) for pattern, rule in compiled if (match := pattern.fullmatch(key))), None)
        if found is None:
            out.unexpected.append(key)
            continue
        match, rule = found
        if rule.unneeded or rule.altered or rule.keep:
            out.kept[key] = tensor
        if rule.unneeded:
            out.unneeded[key] = rule.unneeded
            continue
        out.used.append(key)
        if rule.altered:
            out.altered[key] = rule.altered
        changed = tensor if rule.change is None else rule.change(tensor)
        out.state.update({match.expand(name): make(tensor) for name, make in rule.also})
        for to in (rule.to,) if isinstance(rule.to, str) else rule.to:
            if rule.part is None:
                out.state[match.expand(to)] = changed
            else:
                parts.setdefault((match.expand(to), rule.axis), {})[rule.part] = changed
    for (name, axis), pieces in parts.items():
        out.state[name] = torch.cat([pieces[number] for number in sorted(pieces)], axis)
    return out


def copies(rules: Iterable[Rule], of: str, to: str) -> list[Rule]:
    """The same rules, with what goes to ``of...`` going to ``to...`` as well (a teacher that starts as its student)."""
    out = []
    for rule in rules:
        names = (rule.to,) if isinstance(rule.to, str) else rule.to
        more = tuple(to + name[len(of) :] for name in names if name.startswith(of))
        out.append(replace(rule, to=names + more))
    return out


def flat(x: Tensor) -> Tensor:
    """A token ``[1, 1, D]`` -> ``[D]``."""
    return x.reshape(-1)


def unconvolved(x: Tensor) -> Tensor:
    """Convolution over single points ``[out, in, 1]`` -> linear ``[out, in]``."""
    return x.squeeze(-1)


def convolved(x: Tensor) -> Tensor:
    """The inverse of ``unconvolved``."""
    return x.unsqueeze(-1)


def patch_rows(x: Tensor) -> Tensor:
    """Patch convolution ``[D, C, ph, pw]`` -> linear ``[D, ph * pw * C]`` on values ordered (row, column, channel)."""
    return x.permute(0, 2, 3, 1).flatten(1)


def patch_kernel(channels: int, patch: tuple[int, int]) -> Change:
    """The inverse of ``patch_rows``."""
    return lambda x: x.reshape(len(x), *patch, channels).permute(0, 3, 1, 2)


def unshuffle(channels: int, patch: tuple[int, int]) -> Change:
    """1x1 convolution with pixel shuffle: outputs ordered (channel, row, column) -> (row, column, channel)."""

    def change(x: Tensor) -> Tensor:
        x = x.reshape(channels, *patch, *x.shape[1:2])
        return x.transpose(0, 1).transpose(1, 2).flatten(0, 2)

    return change


def shuffle(channels: int, patch: tuple[int, int]) -> Change:
    """The inverse of ``unshuffle``: outputs ordered (row, column, channel) -> 1x1 convolution with pixel shuffle."""

    def change(x: Tensor) -> Tensor:
        x = x.reshape(*patch, channels, *x.shape[1:]).movedim(2, 0).flatten(0, 2)
        return x[:, :, None, None] if x.ndim == 2 else x

    return change

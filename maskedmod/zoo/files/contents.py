"""What of a file's content are weights, what stands beside them, and what wrappers of trainers put in front of keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

MAIN = ("model", "state_dict", "module", "model_state_dict", "model_state", "net", "network", "weights", "model_weights")
"""Names that training code gives to the dict of its weights: their keys are plain ones."""
WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.|^(?:module\.)+")
"""What torch.compile, FSDP and recomputation put into keys anywhere, and data-parallel training in front of them."""
DEEP = 3
"""Dicts in dicts that are looked into."""
BESIDE = "stands beside the weights in the file"


@dataclass
class Contents:
    """``weights`` by key. ``beside``: keys of those that stand beside the dict of the weights, which a layout may know (an
    average of the weights) or not need. ``groups``: names of dicts of tensors where none has the name of the weights
    (encoder, predictor). ``extras``: names of everything that is no tensor. ``wrappers``: taken out of keys."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    beside: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    extras: list[str] = field(default_factory=list)
    wrappers: list[str] = field(default_factory=list)


def divided(content: Mapping[str, Any]) -> Contents:
    """A file's content in its parts. The weights are the dict with a name of ``MAIN``; without one, the tensors at the top or the
    dicts of tensors, whichever are more."""
    out = Contents()
    bare = {name: x for name, x in content.items() if isinstance(x, Tensor)}
    dicts = {name: found for name, value in content.items() if (found := tensors(value, out.extras, name))}
    out.extras += [str(name) for name in content if name not in bare and name not in dicts and name not in ("args", "cfg")]
    main = [name for name in dicts if name in MAIN]
    for name, group in dicts.items():
        prefix = "" if name in MAIN else f"{name}."
        _add(out, group, bool(main) and name not in MAIN, prefix)
    inside = sum(map(len, dicts.values()))
    _add(out, bare, bool(main) or inside > len(bare))
    out.groups = set() if main else set(dicts)
    return out


def tensors(value: Any, extras: list[str], name: str, depth: int = 1) -> dict[str, Tensor]:
    """Tensors of a dict by key, those of dicts in it too; names of what else is in a dict that has some go to ``extras``."""
    if not isinstance(value, Mapping) or depth > DEEP:
        return {}
    found: dict[str, Tensor] = {}
    others = []
    for key, inner in value.items():
        if isinstance(inner, Tensor):
            found[str(key)] = inner
        elif nested := tensors(inner, extras, f"{name}.{key}", depth + 1):
            found.update({(k if key in MAIN else f"{key}.{k}"): x for k, x in nested.items()})
        else:
            others.append(f"{name}.{key}")
    if found:
        extras += others
    return found


def _add(out: Contents, group: Mapping[str, Tensor], beside: bool, prefix: str = "") -> None:
    """Tensors of a dict, under ``prefix``, without wrappers in their own keys."""
    plain = {key: WRAPPERS.sub("", key) for key in group}
    if len(set(plain.values())) < len(plain):  # two keys would become one: they are left as they are
        plain = {key: key for key in group}
    for key, tensor in group.items():
        if plain[key] != key:
            out.wrappers += [found for found in WRAPPERS.findall(key) if found not in out.wrappers]
        out.weights[prefix + plain[key]] = tensor
        if beside:
            out.beside.add(prefix + plain[key])


def aside(key: str, tensor: Tensor) -> str:
    """Why a tensor among the weights is none: a number, or the state of a random generator; empty where it may be one."""
    if "." in key:
        return ""
    if tensor.numel() <= 1:
        return "a number of the training run, not a weight"
    if tensor.dtype == torch.uint8:
        return "bytes such as the state of a random generator, not a weight"
    return ""


def fronts(weights: Mapping[str, Tensor]) -> list[str]:
    """First parts of keys that at least half of them have, with their dot, the commonest first: what may be taken off."""
    count = Counter(key.partition(".")[0] for key in weights if "." in key)
    return [f"{front}." for front, n in count.most_common() if 2 * n >= len(weights) and not front.isdigit()]


def without(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those under a prefix, which is taken off."""
    return {key.removeprefix(prefix): x for key, x in weights.items() if key.startswith(prefix)}

"""ESM under its two sets of names: one table each, read for loading and for writing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.sequence import letters
from maskedmod.zoo.layouts.sequence.parts import TIED
from maskedmod.zoo.mapping import HEAD, Rule

CONTACT = "extra.contact"
"""Where the regression of contacts goes: no part of the model, but of what was loaded."""


@dataclass(frozen=True)
class Names:
    """``{i}`` stands for the number of a block. ``plain``: their name of a module to ours; ``block``: the same inside a block,
    after ``blocks``; ``qkv``: theirs of q, k, v. ``table``, ``positions``, ``decoder``, ``bias``: single tensors;
    ``frequencies``: where the rotary frequencies may stand, newest first. ``prefix``: pattern of what may stand before all;
    ``weight``, ``shift``: patterns of how the two tensors of a norm or linear map may be called. ``more``: further rules."""

    table: str
    positions: str
    decoder: str
    bias: str
    blocks: str
    qkv: tuple[str, str, str]
    block: Mapping[str, str]
    plain: Mapping[str, str]
    contact: str
    frequencies: tuple[str, ...]
    prefix: str = ""
    weight: str = "weight"
    shift: str = "bias"
    more: tuple[Rule, ...] = field(default_factory=tuple)

    def pattern(self, name: str) -> str:
        """A regular expression for a name, with one group when it has a block's number."""
        return self.prefix + re.escape(name).replace(re.escape("{i}"), r"(\d+|\*)")


def rules(names: Names, to_table: Rule) -> list[Rule]:
    """Where every key goes; ``to_table`` is the rule of the embedding."""
    at = names.pattern
    ends = {names.weight: "weight", names.shift: "bias"}
    out = [to_table, Rule(at(names.positions), "encoder.positions.table"), Rule(at(names.decoder), unneeded=TIED)]
    out += [Rule(at(key), "encoder.positions.inv_freq") for key in names.frequencies]
    out += [Rule(at(names.bias), f"{HEAD}.bias")]
    for pattern, end in ends.items():
        for part, name in enumerate(names.qkv):
            out.append(Rule(at(f"{names.blocks}.{name}") + rf"\.{end}", rf"encoder.blocks.\1.attn.qkv.{end}", part=part))
        for theirs, ours in names.block.items():
            out.append(Rule(at(f"{names.blocks}.{theirs}") + rf"\.(?:{pattern})", rf"encoder.blocks.\1.{ours}.{end}"))
        for theirs, ours in names.plain.items():
            out.append(Rule(at(theirs) + rf"\.(?:{pattern})", f"{ours}.{end}"))
        out.append(Rule(at(names.contact) + rf"\.{end}", f"{CONTACT}.{end}"))
    return [*out, *names.more]


def written(names: Names, state: Mapping[str, Tensor], extras: Mapping[str, Tensor], each_frequency: bool) -> dict[str, Tensor]:
    """Our state dict under their names: the inverse of ``rules``, tensor for tensor. ``each_frequency``: the rotary frequencies
    in every block, as older versions keep them. UserError for a tensor that has no name there."""
    out: dict[str, Tensor] = {}
    left = dict(state)
    depth = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("encoder.blocks."))

    def move(ours: str, theirs: str) -> None:
        for end in ("weight", "bias"):
            if f"{ours}.{end}" in left:
                out[f"{theirs}.{end}"] = left.pop(f"{ours}.{end}")

    out[names.table] = out[names.decoder] = left.pop("encoder.embed.weight")
    for ours, theirs in (("encoder.positions.table", names.positions), (f"{HEAD}.bias", names.bias)):
        if ours in left:
            out[theirs] = left.pop(ours)
    frequencies = left.pop("encoder.positions.inv_freq", None)
    if frequencies is not None:
        name = names.frequencies[-1 if each_frequency else 0]
        out.update({name.format(i=i): frequencies for i in range(depth if "{i}" in name else 1)})
    for i in range(depth):
        at = f"{names.blocks.format(i=i)}"
        for end in ("weight", "bias"):
            for name, third in zip(names.qkv, left.pop(f"encoder.blocks.{i}.attn.qkv.{end}").chunk(3), strict=True):
                out[f"{at}.{name}.{end}"] = third
        for theirs, ours in names.block.items():
            move(f"encoder.blocks.{i}.{ours}", f"{at}.{theirs}")
    for theirs, ours in names.plain.items():
        move(ours, theirs)
    if left:
        raise UserError(f"this model has parts that ESM has not: {', '.join(sorted(left)[:3])}")
    for end, tensor in extras.items():
        if end.startswith("contact."):
            out[f"{names.contact}.{end.removeprefix('contact.')}"] = tensor
    return {key: tensor.detach().cpu().clone().contiguous() for key, tensor in out.items()}


def recipe(names: Names, weights: Weights, settings: Tree) -> Tree:
    """The tree of an ESM model, sizes from its tensors. UserError when they are not of one ESM model."""
    table = parts.tensor(weights, names.pattern(names.table))
    vocab, width = table.shape
    _tied(names, weights, table)
    frequencies = _frequencies(names, weights)
    fc1 = names.pattern(f"{names.blocks}.{next(theirs for theirs, ours in names.block.items() if ours == 'mlp.fc1')}.weight")
    learned = parts.has(weights, names.pattern(names.positions)) and settings.get("positions") != "rotary" and frequencies is None
    before = next(theirs for theirs, ours in names.plain.items() if ours == "encoder.embed_norm")
    encoder: Tree = {
        "depth": parts.depth(weights, fc1),
        "width": width,
        "heads": settings["heads"] or (20 if frequencies is None else width // (2 * len(frequencies))),
        "mlp_ratio": parts.tensor(weights, fc1).shape[0] / width,
        "sees": "corrupt",
        "classes": 0,
        "positions": "learned" if learned else "rotary",
        "embed_norm": parts.has(weights, names.pattern(before) + r"\..*"),
        "token_dropout": 0.12 if settings["token_dropout"] else None,
        "eps": settings["eps"],
        "init": "trunc_normal",
    }
    longest = None
    if learned:
        offset = settings["pad"] + 1
        longest = parts.tensor(weights, names.pattern(names.positions)).shape[0] - offset
        encoder |= {"max_length": longest, "position_offset": offset}
    modality = letters.slot(settings, vocab, longest, "protein", letters.NAMED.get(vocab))
    esm = modality.get("protein", {}).get("alphabet") == "esm"
    return {
        "modality": modality,
        "mask": {"random": {"ratio": 0.15, "bernoulli": True, "corrupt": {"draw": [4, 23] if esm else "vocab"}}},
        "encoder": {"transformer": encoder},
        "target": {"token_ids": {}},
        "head": {"lm": {"eps": settings["eps"]}},
        "loss": {"cross_entropy": {}},
    }


def _tied(names: Names, weights: Weights, table: Tensor) -> None:
    for key in (key for key in weights if re.fullmatch(names.pattern(names.decoder), key)):
        if weights[key].shape != table.shape or not torch.equal(weights[key], table):
            raise UserError(f"{key} is not the embedding table: output maps of their own are not ESM's")


def _frequencies(names: Names, weights: Weights) -> Tensor | None:
    """The rotary frequencies; UserError when blocks differ."""
    found = [weights[key] for name in names.frequencies for key in weights if re.fullmatch(names.pattern(name), key)]
    if any(not torch.equal(found[0], other) for other in found[1:]):
        raise UserError("the rotary frequencies of the blocks differ, one set for all was expected")
    return found[0] if found else None


def untrained(names: Names, weights: Weights) -> dict[str, str]:
    """What a file may lack."""
    out: dict[str, str] = {}
    if _frequencies(names, weights) is None:
        out["encoder.positions.inv_freq"] = "the file has no rotary frequencies, they are computed"
    if not parts.has(weights, names.pattern(names.bias)):
        out[f"{HEAD}."] = parts.NO_HEAD
    return out

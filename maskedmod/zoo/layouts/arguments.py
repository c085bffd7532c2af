"""What a layout says of every argument of the published constructor: read, said by a setting, without effect, or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskedmod.errors import UserError


@dataclass(frozen=True)
class Setting:
    """The layout's setting ``name`` says it; a run that saved its arguments under that name or a name in CONFIG is believed."""

    name: str


@dataclass(frozen=True)
class Only:
    """These values are supported; a file whose run saved another one is refused."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Said:
    """``TENSORS`` or ``FREE``."""

    why: str


TENSORS = Said("names and shapes of the tensors tell it")
FREE = Said("nothing that a loaded model computes depends on it: first weights, dropout, memory")
Argument = Setting | Only | Said


def only(*values: Any) -> Only:
    return Only(values)


HF_IMAGE: dict[str, Argument] = {
    "num_attention_heads": Setting("heads"),
    "hidden_act": Setting("activation"),
    "layer_norm_eps": Setting("eps"),
    "image_size": Setting("image_size"),
    **dict.fromkeys(("hidden_size", "num_hidden_layers", "intermediate_size", "patch_size", "num_channels", "qkv_bias"), TENSORS),
    **dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range"), FREE),
}
"""What all configurations of image Transformers in transformers have."""
HF_POOLER: dict[str, Argument] = dict.fromkeys(("pooler_output_size", "pooler_act"), FREE)
"""The pooler of classifiers, which is not read."""


def refused(patterns: Mapping[str, str], keys: Mapping[str, Any]) -> str | None:
    """What the first pattern that a key matches is of."""
    return next((what for pattern, what in patterns.items() if any(re.fullmatch(pattern, key) for key in keys)), None)


def check(layout: Any, source: Any) -> None:
    """UserError when the tensors of a file, or the arguments that its run saved, are of an option that is not supported.
    ``layout``: a module; its ``ARGUMENTS`` are those of the constructor named in ``REFERENCE``. They may stand in parts of
    ``config.json`` that it calls ``NESTED``."""
    if what := refused(getattr(layout, "REFUSED", {}), source.weights):
        raise UserError(f"{source.path}: {what} is not supported by layout {layout.NAME}")
    arguments: Mapping[str, Argument] = getattr(layout, "ARGUMENTS", {})
    inner = [source.config.get(name) for name in getattr(layout, "NESTED", ())]
    said: dict[str, Any] = {**source.args, **source.config}
    for more in inner:
        said |= more if isinstance(more, Mapping) else {}
    for name, how in arguments.items():
        value = said.get(name)
        if isinstance(how, Only) and value is not None and value not in how.values:
            known = " or ".join(repr(x) for x in how.values)
            raise UserError(f"{source.path}: {name}={value!r} is not supported by layout {layout.NAME}, which has {known} only")

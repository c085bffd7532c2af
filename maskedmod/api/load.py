"""``maskedmod.load``: a run folder or published weights, as an object with its everyday uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskedmod.api.loaded import Loaded
from maskedmod.zoo import load as zoo


def load(
    path: str | Path,
    layout: str | None = None,
    settings: Mapping[str, Any] | None = None,
    strict: bool = True,
    *,
    modality: str | None = None,
    vocabulary: str | Path | None = None,
    special: Mapping[str, str | None] | None = None,
    prefix: str | None = None,
) -> Loaded:
    """A model from a run folder, a ``.safetensors`` or PyTorch file, a folder with ``config.json`` and weights, or the name
    of a published checkpoint (docs/checkpoints.md), which is fetched when it is not here.

    ``layout``: its name, when keys alone do not tell (default: recognised from them). ``settings``: what no tensor tells
    (heads, mask ratio, ...); each layout has its published defaults, see docs/loading.md. ``strict``: every key of the file
    and every parameter of the model must be accounted for, else UserError lists them; False only reports them.
    Of models of sequences, where the vocabulary beside the weights does not tell: ``modality`` (protein, molecule, text),
    ``vocabulary``: its file, ``special``: special tokens by role (start, end, pad, mask, unk; None: there is none).
    ``prefix``: taken off the keys (default: one that makes a known layout fit).
    """
    how: dict[str, Any] = {"modality": modality, "vocabulary": vocabulary, "special": special, "prefix": prefix}
    return Loaded(**vars(zoo.load(path, layout, settings, strict, **how)))

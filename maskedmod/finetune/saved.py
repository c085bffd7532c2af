"""A trained network in its folder: written once, and loaded again to answer for new samples."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels
from maskedmod.finetune.classifier import Classifier, Net
from maskedmod.finetune.goals import Goal
from maskedmod.finetune.mixing import Mixing
from maskedmod.finetune.options import Options
from maskedmod.recipe.build import build_encoder, build_modality
from maskedmod.recipe.schema import block

WEIGHTS, FACTS = "network.safetensors", "finetune.json"


def save(model: Classifier, folder: Path) -> None:
    """Write the judged network and the scale of its numbers, whole or not at all."""
    from safetensors.torch import save_file

    part = folder / f".{WEIGHTS}.part"
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in _tensors(model).items()}, part)
    part.replace(folder / WEIGHTS)


def read(model: Classifier, folder: Path) -> None:
    """Fill a network that was built for this folder. UserError when the file is damaged or does not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} cannot be read: {error}; delete {folder} to train it anew") from error
    own = _tensors(model)
    if {name: x.shape for name, x in own.items()} != {name: x.shape for name, x in found.items()}:
        raise UserError(f"{folder / WEIGHTS} does not fit its {FACTS}")
    for name, tensor in found.items():
        own[name].copy_(tensor)


def load_network(folder: str | Path) -> tuple[Classifier, tuple[str, ...]]:
    """A network that ``maskedmod eval`` trained -> in evaluation mode on the CPU, and the names of its classes (none for answers
    and numbers). ``answers`` of it takes what its ``modality`` collates. UserError for a folder that holds none."""
    folder = Path(folder)
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        options, recipe, names = Options(**facts["options"]), facts["recipe"], tuple(facts["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} holds no network that eval trained: {error}") from error
    modality = build_modality(recipe)
    modality.statistics.update(facts["statistics"])
    labels = Labels(facts["task"], torch.zeros(1, facts["outputs"]), names)
    encoder = build_encoder(with_drop_path(recipe, options.drop_path), modality)
    net = Net(encoder, facts["pool"], facts["rows"], facts["width"], facts["outputs"], options.frozen)
    model = Classifier(modality, net, Goal(labels, options.smoothing), Mixing())
    read(model, folder)
    return model.eval(), names


def with_drop_path(tree: dict[str, Any], rate: float) -> dict[str, Any]:
    """The recipe with this drop path rate in its encoder; as it is when the encoder knows none."""
    if not knows_drop_path(tree):
        return tree
    (name, arguments), *_ = tree["encoder"].items()
    return {**tree, "encoder": {name: {**(arguments or {}), "drop_path": rate}}}


def knows_drop_path(tree: dict[str, Any]) -> bool:
    """Whether the recipe's encoder can drop paths."""
    cls, _ = block("encoder", tree["encoder"], "encoder")
    return "drop_path" in inspect.signature(cls).parameters


def _tensors(model: Classifier) -> dict[str, Tensor]:
    parts = {"net": model.judged, "goal": model.goal}
    return {f"{part}.{name}": x.detach() for part, module in parts.items() for name, x in module.state_dict().items()}

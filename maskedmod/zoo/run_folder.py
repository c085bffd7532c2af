"""A run folder back to a model: the resolved recipe, the measured statistics, the newest checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from maskedmod.core.blocks.teacher import Checkpoints
from maskedmod.core.model import MaskedModel
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality, build_model
from maskedmod.recipe.file import load_tree
from maskedmod.zoo import step_folder


def load_run(path: str | Path, checkpoints: Checkpoints | None = None) -> tuple[MaskedModel, dict[str, Any]]:
    """``path``: a run folder (its newest checkpoint) or one checkpoint folder ``step_...`` in it -> model in evaluation mode
    on the CPU, and the resolved recipe. Every tensor of the file and of the model must find its match. Raises UserError, in one
    line, for a folder that is no run, and for a checkpoint that is missing, cut or does not fit."""
    run, saved = find(path)
    tree = load_tree(run / "recipe.yaml")
    modality = build_modality(tree)
    modality.statistics.update(statistics(run))
    model = build_model(tree, modality, checkpoints)
    file = saved / "model.safetensors"
    written = step_folder.load_meta(saved)["files"].get(file.name, {}).get("bytes")
    if file.is_file() and written is not None and file.stat().st_size != written:
        raise UserError(f"checkpoint {file} is damaged: {file.stat().st_size} bytes, {written} were written")
    fill(model, step_folder.load_model(saved), file)
    return model.eval(), tree


def find(path: str | Path) -> tuple[Path, Path]:
    """-> the run folder and the checkpoint folder in it that ``path`` means."""
    path = Path(path)
    if path.name == "model.safetensors":
        path = path.parent
    run = path.parent.parent if path.name.startswith("step_") else path
    if not (run / "recipe.yaml").is_file():
        raise UserError(f"{path} is no run folder: it has no recipe.yaml")
    if run != path:
        return run, path
    saved = step_folder.complete(run / "checkpoints")
    if not saved:
        raise UserError(f"{run / 'checkpoints'} has no checkpoint; the run ended before its first")
    return run, saved[-1]


def statistics(run: Path) -> dict[str, Any]:
    """``statistics.json`` of a run: what its modality measured on the training data; {} when there was nothing to measure."""
    file = run / "statistics.json"
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} must hold an object")
    return found


def baseline(run: Path) -> dict[str, Tensor] | None:
    """``baseline.safetensors``: per-position training mean ``[N, P]`` of every objective's target; None when there is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = run / "baseline.safetensors"
    if not file.is_file():
        return None
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error


def fill(model: nn.Module, tensors: dict[str, Tensor], file: Path) -> None:
    """Copy tensors into the model, one to one. UserError names what is missing, left over or of another shape."""
    own = model.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or extra:
        kinds = (("missing", missing), ("left over", extra))
        parts = [f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in kinds if names]
        raise UserError(f"{file} does not fit its recipe: tensors {' and '.join(parts)}")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise UserError(f"{file} does not fit its recipe: {name} is {tuple(tensor.shape)}, expected {tuple(own[name].shape)}")
    model.load_state_dict(tensors)

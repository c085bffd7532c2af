"""Read a model: a run folder, or weights published in a layout that is known here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from maskedmod.core.model import MaskedModel
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_model
from maskedmod.zoo import run_folder
from maskedmod.zoo.checkpoints import entries
from maskedmod.zoo.fetch import names
from maskedmod.zoo.files.contents import BESIDE, aside
from maskedmod.zoo.files.source import Source, read
from maskedmod.zoo.layouts.known import find
from maskedmod.zoo.layouts.layout import Layout
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import Converted, convert
from maskedmod.zoo.report import Report
from maskedmod.zoo.settings import settle
from maskedmod.zoo.unfilled import Unfilled

EXTRA = "extra."
"""Beginning of the names of tensors that belong to the loaded thing and not to the model."""

PIECE = 64_000_000
"""Bytes of a file that are in memory at most, beside the model's own."""


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
    """Build a model from a run folder, a ``.safetensors`` or PyTorch file, a folder with ``config.json`` and weights, or the name
    of a published checkpoint (docs/checkpoints.md), which is fetched when it is not here.

    ``layout``: its name, when keys alone do not tell (default: recognised from them). ``settings``: what no tensor tells
    (heads, mask ratio, ...); each layout has its published defaults, see docs/loading.md. ``strict``: every key of the file
    and every parameter of the model must be accounted for, else UserError lists them; False only reports them.
    Of models of sequences, where the vocabulary beside the weights does not tell: ``modality`` (protein, molecule, text),
    ``vocabulary``: its file, ``special``: special tokens by role (start, end, pad, mask, unk; None: there is none).
    ``prefix``: taken off the keys (default: one that makes a known layout fit).
    """
    if not isinstance(path, str | Path):
        raise UserError(f"load({path!r}): expected the path of a run folder or of weights")
    more = {"modality": modality, "vocabulary": vocabulary if vocabulary is None else str(vocabulary), "special": special}
    given = {key: value for key, value in more.items() if value is not None}
    if names.is_name(path):
        known = entries().get(str(path).partition("@")[0])
        settings = {**(known.settings if known else {}), **(settings or {})}
        path = names.located(str(path))
    if _of_a_run(Path(path)):
        if given or layout is not None or prefix is not None:
            raise UserError(f"{path} is a run, whose recipe tells its modality, vocabulary and layout: they are not to be given")
        model, tree = run_folder.load_run(path, Checkpoints())
        baseline = run_folder.baseline(run_folder.find(path)[0])
        return Loaded(model, Report("run", list(model.state_dict())), "run", tree, baseline)
    source = read(path)
    chosen, source = find(source, layout, prefix)
    values = settle(chosen, source, {**(settings or {}), **given})
    try:
        return _assemble(source, chosen, values, strict)
    except KeyError as missing:
        raise UserError(f"{source.path}: layout {chosen.NAME} has a key {missing}, the file has none") from None
    except ValueError as error:
        raise UserError(f"{source.path}, read as layout {chosen.NAME}: {error}") from None


class Checkpoints:
    """What teachers are handed, see ``core.blocks.teacher.Checkpoints``."""

    def load(self, checkpoint: str, settings: Mapping[str, Any] | None = None) -> Loaded:
        """See ``load``."""
        return load(checkpoint, settings=settings)

    def weights(self, checkpoint: str, prefix: str) -> tuple[Path, dict[str, Tensor]]:
        """See there. ValueError where there is no such file."""
        path = Path(checkpoint)
        if (path / "recipe.yaml").is_file():
            path = run_folder.find(path)[1] / "model.safetensors"
        if not path.is_file():
            raise ValueError(f"teacher.checkpoint: no file {path}; expected the model.safetensors of a run, or its folder")
        with safe_open(path, framework="pt") as file:
            found = {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
        return path, found


def _of_a_run(path: Path) -> bool:
    """A run folder, a checkpoint folder in it, or the weights of one."""
    folder = path.parent if path.name == "model.safetensors" else path
    places = (folder, folder.parent.parent) if folder.name.startswith("step_") else (folder,)
    return any((place / "recipe.yaml").is_file() for place in places)


def _assemble(source: Source, layout: Layout, values: dict[str, Any], strict: bool) -> Loaded:
    tree = layout.recipe(source.weights, values)
    converted = convert(source.weights, layout.rules(source.weights, values))
    report = Report(layout.NAME, converted.used, converted.unneeded, converted.altered, {}, values, prefix=source.prefix)
    report.unexpected = _unexpected(converted, report, source)
    report.unneeded.update(dict.fromkeys(source.extras, "state of the training run, not weights"))
    extras = {key.removeprefix(EXTRA): converted.state.pop(key).clone() for key in list(converted.state) if key.startswith(EXTRA)}
    kept = {key: tensor.clone() for key, tensor in converted.kept.items()}  # nothing stays a view of the file
    with Unfilled():
        model = build_model(tree)  # whose memory is not touched until its shapes are known to be right
    _compare(model.state_dict(), converted, report, layout.untrained(source.weights))
    if strict and (report.unexpected or report.missing):
        raise UserError(f"does not fit layout {layout.NAME}: {_left(report)}")
    source.release()
    if report.missing or report.untrained:
        model = build_model(tree)  # what the file does not hold has to be drawn
    _fill(model, converted, source)
    return Loaded(model.eval(), report, layout.NAME, tree, extras=extras, kept=kept)


def _unexpected(converted: Converted, report: Report, source: Source) -> list[str]:
    """Keys that have no place and may be weights; those beside the weights are sorted into what is not needed."""
    left = []
    used = {key.partition(".")[0] for key in converted.used}
    for key in converted.unexpected:
        front = key.partition(".")[0]
        why = (
            BESIDE if key in source.beside or (front in source.groups and front not in used) else aside(key, source.weights[key])
        )
        if why:
            report.unneeded[key] = why
        else:
            left.append(key)
    return left


def _compare(planned: Mapping[str, Tensor], converted: Converted, report: Report, untrained: Mapping[str, str]) -> None:
    """Shapes and types must be the model's own; what the file lacks is sorted into expected and missing, what has no place
    becomes unexpected."""
    for key in list(converted.state):
        if key in planned:
            _fits(key, converted.state[key], planned[key])
        else:
            report.unexpected.append(f"{key} (no such part in the model)")
            del converted.state[key]
    for key in planned:
        if key in converted.state:
            continue
        reason = next((why for prefix, why in untrained.items() if key.startswith(prefix)), None)
        if reason is None:
            report.missing.append(key)
        else:
            report.untrained[key] = reason


def _fits(key: str, tensor: Tensor, own: Tensor) -> None:
    if own.shape != tensor.shape:
        raise UserError(f"{key} is {list(tensor.shape)} in the file, {list(own.shape)} in the model")
    if own.is_floating_point() != tensor.is_floating_point():
        raise UserError(f"{key} is of type {tensor.dtype} in the file, {own.dtype} in the model".replace("torch.", ""))


def _fill(model: MaskedModel, converted: Converted, source: Source) -> None:
    """Copy the tensors one by one, each dropped when it is copied, so that the weights are in memory once."""
    own, read = model.state_dict(), 0
    for key in list(converted.state):
        tensor = converted.state.pop(key)
        _finite(key, tensor)
        own[key].copy_(tensor)
        read += tensor.nbytes
        if read > PIECE:
            source.release()
            read = 0
    source.release()


def _finite(key: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point() or not tensor.numel():
        return
    low, high = (float(x) for x in torch.aminmax(tensor if tensor.itemsize > 1 else tensor.float()))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"{key} holds {'NaN' if math.isnan(low) or math.isnan(high) else 'infinity'}")


def _left(report: Report) -> str:
    groups = (("unexpected keys", report.unexpected), ("missing", report.missing))
    return "; ".join(f"{title}: {', '.join(keys)}" for title, keys in groups if keys)

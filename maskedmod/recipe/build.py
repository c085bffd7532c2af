"""From a resolved tree to objects. No dimension is written twice: every block learns the others' widths from the spec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.mask import Mask
from maskedmod.core.blocks.optimizer import Optimizer
from maskedmod.core.blocks.teacher import Checkpoints, NoCheckpoints, Teacher
from maskedmod.core.modality import Modality
from maskedmod.core.model import Blocks, MaskedModel, Objective
from maskedmod.core.spec import Spec
from maskedmod.errors import UserError, one_line
from maskedmod.recipe import schema
from maskedmod.recipe.layering import INNER, chosen
from maskedmod.recipe.settings import TrainSettings


def check(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with types checked and defaults written out; builds nothing. UserError in one line."""
    return schema.complete(tree)


def build_modality(tree: dict[str, Any]) -> Modality:
    """The adapter with its augmentation. It holds no learned parameters: the encoder owns the embedding."""
    modality: Modality = _make("modality", _slot(tree, "modality"))
    if tree.get("augment"):
        modality.augment = _make("augment", tree["augment"], modality=chosen(tree["modality"]))
    return modality


def build_mask(tree: dict[str, Any], spec: Spec) -> Mask:
    """The mask block for tokens of this spec."""
    mask: Mask = _make("mask", _slot(tree, "mask"), spec)
    return mask


def build_encoder(tree: dict[str, Any], modality: Modality) -> Encoder:
    """The encoder alone, with its embedding."""
    encoder: Encoder = _make("encoder", _slot(tree, "encoder"), modality.spec, modality.embedding)
    return encoder


def build_model(tree: dict[str, Any], modality: Modality | None = None, checkpoints: Checkpoints | None = None) -> MaskedModel:
    """The whole model on the current default device, drawing its first weights from torch's global generator.

    Order: modality -> encoder -> teacher -> mask -> for each objective target, head, loss. ``checkpoints``: what reads earlier
    models for a teacher that has one; without it such a recipe is a UserError.
    """
    modality = modality if modality is not None else build_modality(tree)
    spec = modality.spec
    encoder = build_encoder(tree, modality)
    spec = replace(spec, width=encoder.width, sees=encoder.sees, levels=encoder.levels)
    teacher: Teacher | None = None
    if tree.get("teacher"):
        teacher = _make("teacher", tree["teacher"], spec, encoder)
        _read(teacher, tree["teacher"], checkpoints or NoCheckpoints())
        teacher.bind(modality)
        spec = replace(spec, teacher=teacher.width)
    mask = build_mask(tree, spec)
    return MaskedModel(Blocks(modality, mask, encoder, _objectives(tree, spec), teacher))


def _read(teacher: Teacher, node: dict[str, Any], checkpoints: Checkpoints) -> None:
    with _of_user("teacher", f"teacher={chosen(node)}"):
        teacher.read(checkpoints)


def build_source(tree: dict[str, Any]) -> Any:
    """The data source block."""
    if not tree.get("data"):
        raise UserError("no data named: write data=folder data.path=DIR, or preset=demo for the built-in sample")
    return _make("data", tree["data"])


def build_optimizer(tree: dict[str, Any]) -> dict[str, Optimizer]:
    """Optimiser blocks by name: ``main`` (the slot ``optimizer``) and those of ``optimizers``."""
    nodes = {"main": _slot(tree, "optimizer"), **(tree.get("optimizers") or {})}
    where = {name: "optimizer" if name == "main" else f"optimizers.{name}" for name in nodes}
    return {name: _make("optimizer", node, where=where[name]) for name, node in nodes.items()}


def build_settings(tree: dict[str, Any]) -> TrainSettings:
    """The ``train`` slot as an object."""
    return schema.typed(TrainSettings, tree.get("train") or {}, "train", make=True)


def _objectives(tree: dict[str, Any], spec: Spec) -> dict[str, Objective]:
    nodes: dict[str, dict[str, Any]] = {}
    if all(slot in tree for slot in INNER):
        nodes["main"] = {slot: tree[slot] for slot in INNER}
    for name, node in (tree.get("objectives") or {}).items():
        nodes[name] = {**nodes.get(name, {}), **node}
    optimizers = {"main", *(tree.get("optimizers") or {})}
    return {name: _objective(name, node, spec, optimizers) for name, node in nodes.items()}


def _objective(name: str, node: dict[str, Any], spec: Spec, optimizers: set[str]) -> Objective:
    for slot in INNER:
        if slot not in node:
            raise UserError(f"objective {name}: {slot} is missing")
    where = "" if name == "main" else f"objectives.{name}."
    target = _make("target", node["target"], spec, where=f"{where}target")
    spec = replace(spec, target=target.width)
    parts = [_make(slot, node[slot], spec, where=f"{where}{slot}") for slot in ("head", "loss")]
    options = schema.objective_options(node, f"objectives.{name}")
    if options["optimizer"] not in optimizers:
        raise UserError(f"objectives.{name}.optimizer: {options['optimizer']!r} is not one of {', '.join(sorted(optimizers))}")
    return Objective(target, *parts, **options)


def _slot(tree: dict[str, Any], slot: str) -> dict[str, Any]:
    if not tree.get(slot):
        raise UserError(f"{slot} is missing: write {slot}=NAME")
    return tree[slot]


def _make(slot: str, node: dict[str, Any], *given: Any, where: str = "", modality: str | None = None) -> Any:
    """The block of a slot. What its constructor refuses is the user's: a value of the right type that makes no sense."""
    cls, arguments = schema.block(slot, node, where, modality)
    with _of_user(slot, f"{where or slot}={chosen(node)}"):
        return cls(*given, **arguments)


@contextmanager
def _of_user(slot: str, place: str) -> Iterator[None]:
    """What a block refuses is an error of the user's, which names the block."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        text = one_line(str(error))
        raise UserError(text if text.startswith((place, f"{slot}.")) else f"{place}: {text}") from error

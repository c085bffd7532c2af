"""From a resolved tree to objects. No dimension is written twice: every block learns the others' widths from the spec."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from maskedmod import schema
from maskedmod.errors import UserError
from maskedmod.layering import INNER, chosen

if TYPE_CHECKING:
    from maskedmod.encoders import Encoder
    from maskedmod.masks import Mask
    from maskedmod.modality import Modality
    from maskedmod.model import MaskedModel, Objective
    from maskedmod.optimizers import Optimizer
    from maskedmod.teachers import Teacher
    from maskedmod.tokens import Spec
    from maskedmod.train.settings import TrainSettings


def check(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with types checked and defaults written out; builds nothing. UserError in one line."""
    return schema.complete(tree)


def build_modality(tree: dict[str, Any]) -> Modality:
    """The adapter with its augmentation. It holds no learned parameters: the encoder owns the embedding."""
    cls, arguments = schema.block("modality", _slot(tree, "modality"))
    modality = cls(**arguments)
    if tree.get("augment"):
        cls, arguments = schema.block("augment", tree["augment"], modality=chosen(tree["modality"]))
        modality.augment = cls(**arguments)
    return modality


def build_mask(tree: dict[str, Any], spec: Spec) -> Mask:
    """The mask block for tokens of this spec."""
    cls, arguments = schema.block("mask", _slot(tree, "mask"))
    return cls(spec, **arguments)


def build_encoder(tree: dict[str, Any], modality: Modality) -> Encoder:
    """The encoder alone, with its embedding."""
    cls, arguments = schema.block("encoder", _slot(tree, "encoder"))
    return cls(modality.spec, modality.embedding, **arguments)


def build_model(tree: dict[str, Any], modality: Modality | None = None) -> MaskedModel:
    """The whole model on the current default device, drawing its first weights from torch's global generator.

    Order: modality -> encoder -> teacher -> mask -> for each objective target, head, loss.
    """
    from maskedmod.model import Blocks, MaskedModel

    modality = modality if modality is not None else build_modality(tree)
    spec = modality.spec
    encoder = build_encoder(tree, modality)
    spec = replace(spec, width=encoder.width, sees=encoder.sees)
    teacher: Teacher | None = None
    if tree.get("teacher"):
        cls, arguments = schema.block("teacher", tree["teacher"])
        teacher = cls(spec, encoder, **arguments)
        spec = replace(spec, teacher=teacher.width)
    mask = build_mask(tree, spec)
    return MaskedModel(Blocks(modality, mask, encoder, _objectives(tree, spec), teacher))


def build_source(tree: dict[str, Any]) -> Any:
    """The data source block."""
    if not tree.get("data"):
        raise UserError("no data named: write data=folder data.path=DIR, or preset=demo for the built-in sample")
    cls, arguments = schema.block("data", tree["data"])
    return cls(**arguments)


def build_optimizer(tree: dict[str, Any]) -> dict[str, Optimizer]:
    """Optimiser blocks by name: ``main`` (the slot ``optimizer``) and those of ``optimizers``."""
    nodes = {"main": _slot(tree, "optimizer"), **(tree.get("optimizers") or {})}
    made = {}
    for name, node in nodes.items():
        cls, arguments = schema.block("optimizer", node, "optimizer" if name == "main" else f"optimizers.{name}")
        made[name] = cls(**arguments)
    return made


def build_settings(tree: dict[str, Any]) -> TrainSettings:
    """The ``train`` slot as an object."""
    from maskedmod.train.settings import TrainSettings

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
    from maskedmod.model import Objective

    for slot in INNER:
        if slot not in node:
            raise UserError(f"objective {name}: {slot} is missing")
    where = "" if name == "main" else f"objectives.{name}."
    cls, arguments = schema.block("target", node["target"], f"{where}target")
    target = cls(spec, **arguments)
    spec = replace(spec, target=target.width)
    parts = []
    for slot in ("head", "loss"):
        cls, arguments = schema.block(slot, node[slot], f"{where}{slot}")
        parts.append(cls(spec, **arguments))
    options = schema.objective_options(node, f"objectives.{name}")
    if options["optimizer"] not in optimizers:
        raise UserError(f"objectives.{name}.optimizer: {options['optimizer']!r} is not one of {', '.join(sorted(optimizers))}")
    return Objective(target, *parts, **options)


def _slot(tree: dict[str, Any], slot: str) -> dict[str, Any]:
    if not tree.get(slot):
        raise UserError(f"{slot} is missing: write {slot}=NAME")
    return tree[slot]

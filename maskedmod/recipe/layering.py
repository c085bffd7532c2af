"""Laying one tree over another: blocks are swapped, arguments are merged."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.recipe import catalog


class Path(dict[str, Any]):
    """Keys on the way of a dotted word: ``teacher.momentum.end=1`` changes one key of a value, ``teacher.momentum={...}`` all."""


INNER = ("target", "head", "loss")
"""Block slots of an objective."""


def lay_over(tree: dict[str, Any], layer: dict[str, Any], where: str) -> None:
    """Change ``tree`` in place. ``where`` opens the messages, if it says anything. The modality comes first:
    augmentations belong to it."""
    for key in sorted(layer, key=lambda name: name != "modality"):
        value = layer[key]
        if key in catalog.SLOTS:
            _lay_block(tree, key, key, value, where, chosen(tree.get("modality")))
        elif key in ("objectives", "optimizers"):
            _lay_named(tree, key, value, where)
        elif key == "train":
            tree[key] = _merged(tree.get(key) or {}, _dict(value, f"{where}{key}"))
        elif key == "stages":
            tree[key] = _stages(value, where)
        elif key == "init":
            tree[key] = _init(tree.get(key), value, where)
        else:
            tree[key] = value


def chosen(node: Any) -> str | None:
    """Name of the block in a slot ``{name: {arguments}}``."""
    return next(iter(node)) if isinstance(node, dict) and node else None


def _lay_block(tree: dict[str, Any], key: str, slot: str, value: Any, where: str, modality: str | None = None) -> None:
    """A different block drops the old arguments, the same block keeps them; null and ``none`` remove the block."""
    old = tree.get(key)
    current = chosen(old)
    name, arguments = _block(slot, value, current, where, modality)
    if name is None:
        tree.pop(key, None)
    elif name == current and isinstance(old, dict):
        tree[key] = {name: _merged(old[name], arguments)}
    else:
        tree[key] = {name: _merged({}, arguments)}


def _block(slot: str, value: Any, current: str | None, where: str, modality: str | None) -> tuple[str | None, dict[str, Any]]:
    """What a value of a slot means: a block's name, ``{name: {arguments}}``, or arguments of the current block."""
    if value is None or value == "none" or (isinstance(value, dict) and list(value) == ["none"]):
        return None, {}
    if isinstance(value, str):
        if slot == "teacher" and "/" in value and not catalog.is_block(slot, value, modality):
            return "pretrained", {"checkpoint": value}  # the name of a model
        return _known(slot, value, where, modality), {}
    if not isinstance(value, dict):
        raise UserError(f"{where}{slot} expects a block's name or {{name: {{arguments}}}}, got {value!r}")
    if len(value) == 1:
        ((name, inner),) = value.items()
        if (inner is None or isinstance(inner, dict)) and _names_block(slot, str(name), inner, current, modality):
            return _known(slot, str(name), where, modality), inner or {}
    if current is None:
        known = ", ".join(catalog.names(slot, modality))
        raise UserError(f"{where}no {slot} block is chosen; write {slot}=NAME, one of {known}")
    return current, value


def _names_block(slot: str, name: str, inner: Any, current: str | None, modality: str | None) -> bool:
    """``{name: ...}``: a block's name, or so it was meant when it is no argument of the current block either."""
    if catalog.is_block(slot, name, modality):
        return True
    if current is None:
        return True
    arguments = [argument.name for argument in catalog.entry(slot, current, modality).arguments]
    return isinstance(inner, dict) and bool(arguments) and name not in arguments


def _known(slot: str, name: str, where: str, modality: str | None) -> str:
    if not catalog.is_block(slot, name, modality):
        what = "modality" if slot == "modality" else f"{slot} block"
        error = unknown(what, name, catalog.names(slot, modality), f"in {where.rstrip(': ')}" if where else "")
        raise UserError(f"{error}; for files of your own write data=folder data.path={name}") if slot == "data" else error
    return name


def _lay_named(tree: dict[str, Any], key: str, value: Any, where: str) -> None:
    """``objectives: {name: {target, head, loss, weight, ...}}`` and ``optimizers: {name: block}``; null removes one."""
    every = tree.setdefault(key, {})
    for name, content in _dict(value, f"{where}{key}").items():
        if content is None:
            every.pop(name, None)
        elif key == "optimizers":
            _lay_block(every, name, "optimizer", content, where)
        else:
            objective = every.setdefault(name, {})
            for part, inner in _dict(content, f"{where}{key}.{name}").items():
                if part in INNER:
                    _lay_block(objective, part, part, inner, where)
                else:
                    objective.update(_merged(objective, {part: inner}))
    if not every:
        tree.pop(key)


def _stages(value: Any, where: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(stage, dict) for stage in value):
        raise UserError(f"{where}stages expects a list of {{name: ..., overrides}}, got {value!r}")
    return value


def _init(old: Any, value: Any, where: str) -> Any:
    """A checkpoint, or ``{checkpoint: ..., resize: ..., channels: ...}``; another checkpoint drops the old rules."""
    if value is None or isinstance(value, str):
        return value
    before = {"checkpoint": old} if isinstance(old, str) else old or {}
    return {**before, **_dict(value, f"{where}init")}


def _merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Arguments one by one; an argument's own keys only where a dotted word leads into them."""
    out = dict(old or {})
    for key, value in new.items():
        before = out.get(key)
        out[key] = _merged(before if isinstance(before, dict) else {}, value) if isinstance(value, Path) else value
    return out


def _dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{what} expects keys and values, got {value!r}")
    return value

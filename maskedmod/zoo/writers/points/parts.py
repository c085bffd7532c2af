"""What the layouts of Point-MAE and Point-M2AE share."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import STATISTICS, convolved
from maskedmod.zoo.writing import Writer

AT = "base_model."


def arguments(loaded: Loaded, layout: str, encoder: str, head: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of encoder and head, which must be these."""
    tree = loaded.tree
    if (chosen(tree.get("modality")), chosen(tree.get("encoder")), chosen(tree.get("head"))) != ("points", encoder, head):
        raise UserError(f"layout {layout} is for point clouds with encoder={encoder} and head={head}")
    return tree["encoder"][encoder] or {}, tree["head"][head] or {}


def pointnet(out: Writer, ours: str, theirs: str) -> None:
    """The mini-PointNet, whose linear maps are convolutions over single points there."""
    for number, (stage, place) in enumerate((("first", 0), ("first", 3), ("second", 0), ("second", 3)), 1):
        out.each(rf"{ours}\.conv{number}\.weight", f"{theirs}.{stage}_conv.{place}.weight", convolved)
        out.each(rf"{ours}\.conv{number}\.bias", f"{theirs}.{stage}_conv.{place}.bias")
    for number, stage in ((1, "first"), (2, "second")):
        out.each(rf"{ours}\.norm{number}\.{STATISTICS}", rf"{theirs}.{stage}_conv.1.\1")

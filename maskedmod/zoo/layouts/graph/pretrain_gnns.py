"""GIN encoders of snap-stanford/pretrain-gnns (chem): the saved network alone (``masking.pth``), one with the heads of attribute
masking, or one inside a fine-tuned classifier. Mole-BERT and GraphMAE save their encoders on molecules alike."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import STATISTICS, Rule

NAME = "pretrain_gnns"
SETTINGS: dict[str, Any] = {"ratio": 0.15, "jump": "last"}
CONFIG: dict[str, str] = {}

AT = r"(?:model\.|gnn\.)?"
LAYER = rf"{AT}gnns\.(\d+)"
ATOMS, BONDS = r"linear_pred_atoms", r"linear_pred_bonds"
HEAD = "objectives.{}.head.pred"


def matches(weights: Weights) -> bool:
    return parts.has(weights, rf"{AT}x_embedding1\.weight") and parts.has(weights, rf"{AT}gnns\.0\.mlp\.0\.weight")


def recipe(weights: Weights, settings: Tree) -> Tree:
    width = parts.tensor(weights, rf"{AT}x_embedding1\.weight").shape[1]
    bonds = parts.has(weights, rf"{BONDS}\.weight")
    encoder = {"depth": parts.depth(weights, rf"{LAYER}\.mlp\.0\.weight"), "width": width, "jump": settings["jump"]}
    tree: Tree = {
        "modality": {"molecular_graph": {"features": "pretrain_gnns"}},
        "mask": {"atoms": {"ratio": settings["ratio"], "bonds": bonds}},
        "encoder": {"gin_bonds": encoder},
        "target": {"token_ids": {}},
        "head": {"linear": {}},
        "loss": {"cross_entropy": {}},
        "optimizer": {"adamw": {}},
        "train": {"steps": 1, "lr": 1e-3},
    }
    if bonds:
        tree["objectives"] = {"bonds": {"target": {"edge_ids": {}}, "head": {"edge_sum": {}}, "loss": {"cross_entropy": {}}}}
    return tree


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    out = [
        Rule(rf"{AT}x_embedding1\.weight", "encoder.embed.tables.0"),
        Rule(rf"{AT}x_embedding2\.weight", "encoder.embed.tables.1"),
        Rule(rf"{LAYER}\.mlp\.([02]\.(?:weight|bias))", r"encoder.layers.\1.gin.mlp.\2"),
        Rule(rf"{LAYER}\.edge_embedding1\.weight", r"encoder.layers.\1.gin.tables.0"),
        Rule(rf"{LAYER}\.edge_embedding2\.weight", r"encoder.layers.\1.gin.tables.1"),
        Rule(rf"{AT}batch_norms\.(\d+)\.{STATISTICS}", r"encoder.layers.\1.norm.\2"),
        Rule(r"graph_pred_linear\.(?:weight|bias)", unneeded="the classifier of a task"),
    ]
    for name, objective in ((ATOMS, "main"), (BONDS, "bonds")):
        out += parts.linear_rules(name, HEAD.format(objective))
    return out


def untrained(weights: Weights) -> dict[str, str]:
    if parts.has(weights, rf"{ATOMS}\.weight"):
        return {}
    return {HEAD.format("main"): parts.NO_HEAD}

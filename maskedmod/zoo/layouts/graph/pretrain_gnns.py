"""Encoders of snap-stanford/pretrain-gnns (chem; GIN, GCN, GAT, GraphSAGE): the network alone (``masking.pth``), one with the
heads of attribute masking, or one in a fine-tuned classifier. Mole-BERT and GraphMAE save their encoders on molecules alike."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import STATISTICS, Rule, flat

NAME = "pretrain_gnns"
SETTINGS: dict[str, Any] = {"ratio": 0.15, "jump": "last", "gnn_type": None, "dropout": 0.0, "bonds": None}
RELEASED = {
    "num_layer": parts.TOLD, "emb_dim": parts.TOLD, "num_tasks": "the classifier of a task is not read, leave it out",
    "JK": "jump", "drop_ratio": "dropout", "dropout_ratio": "dropout", "mask_rate": "ratio", "mask_edge": "bonds",
    "graph_pooling": "the classifier of a task is not read; pool= of embed and eval says how atoms become a vector",
}  # fmt: skip
"""Of ``model.GNN``, ``model.GNN_graphpred`` and ``pretrain_masking.py`` (chem, 8b20528): our setting, or why it is none."""
CONFIG: dict[str, str] = {}

AT = r"(?:model\.|gnn\.)?"
LAYER = rf"{AT}gnns\.(\d+)"
ATOMS, BONDS = r"linear_pred_atoms", r"linear_pred_bonds"
HEAD = "objectives.{}.head.pred"
JUMPS = ("last", "max", "concat")
FIRST = {"gin": r"mlp\.0", "gcn": "linear", "graphsage": "linear", "gat": "weight_linear"}
"""The first linear map of a layer."""


def matches(weights: Weights) -> bool:
    first = "|".join(set(FIRST.values()))
    return parts.has(weights, rf"{AT}x_embedding1\.weight") and parts.has(weights, rf"{AT}gnns\.0\.(?:{first})\.weight")


def recipe(weights: Weights, settings: Tree) -> Tree:
    _refuse(weights, settings)
    width = parts.tensor(weights, rf"{AT}x_embedding1\.weight").shape[1]
    bonds = _bonds(weights, settings)
    kind = _kind(weights, settings)
    heads = parts.tensor(weights, rf"{AT}gnns\.0\.att").shape[1] if kind == "gat" else 2
    encoder = {
        "depth": parts.depth(weights, rf"{AT}batch_norms\.(\d+)\.weight"), "width": width, "jump": settings["jump"],
        "dropout": settings["dropout"], "layer": kind, "heads": heads,
    }  # fmt: skip
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


def _kind(weights: Weights, settings: Tree) -> str:
    """What passes the messages; a GCN's tensors are those of a GraphSAGE, which has to be told."""
    fits = [kind for kind, first in FIRST.items() if parts.has(weights, rf"{AT}gnns\.0\.{first}\.weight")]
    kind = settings["gnn_type"]
    if kind is not None and kind not in fits:
        raise UserError(f"gnn_type={kind}: the tensors of this file are those of {' or '.join(fits)}")
    if kind is None and len(fits) > 1:
        raise UserError(f"no tensor tells whether this network is {' or '.join(fits)}: give settings={{'gnn_type': '{fits[0]}'}}")
    return str(kind or fits[0])


def _bonds(weights: Weights, settings: Tree) -> bool:
    """Whether bonds are hidden and told: given, else where there is a head for them."""
    head = parts.has(weights, rf"{BONDS}\.weight")
    return head if settings["bonds"] is None else bool(settings["bonds"])


def _refuse(weights: Weights, settings: Tree) -> None:
    """Options of the released code that are not read."""
    if settings["jump"] == "sum":
        raise UserError(
            "jump=sum (JK): the released code keeps the first atom's vector alone, so nothing can be read that it made"
        )
    if settings["jump"] not in JUMPS:
        raise UserError(f"jump={settings['jump']} (JK): expected one of {', '.join(JUMPS)}")
    for key, pool in ((r"pool\.gate_nn\..*", "attention"), (r"pool\.lstm\..*", "set2set")):
        if parts.has(weights, key):
            raise UserError(f"graph_pooling={pool}: its tensors (pool.*) are not read; leave them out of the file")


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    ours = r"encoder.layers.\1.gin"
    out = [
        Rule(rf"{AT}x_embedding1\.weight", "encoder.embed.tables.0"),
        Rule(rf"{AT}x_embedding2\.weight", "encoder.embed.tables.1"),
        Rule(rf"{LAYER}\.mlp\.([02]\.(?:weight|bias))", rf"{ours}.mlp.\2"),
        Rule(rf"{LAYER}\.(?:weight_)?linear\.(weight|bias)", rf"{ours}.linear.\2"),
        Rule(rf"{LAYER}\.att", rf"{ours}.target", lambda x: x[0].chunk(2, -1)[0], also=((rf"{ours}.source", _second),)),
        Rule(rf"{LAYER}\.bias", rf"{ours}.bias", flat),
        Rule(rf"{LAYER}\.edge_embedding1\.weight", rf"{ours}.tables.0"),
        Rule(rf"{LAYER}\.edge_embedding2\.weight", rf"{ours}.tables.1"),
        Rule(rf"{AT}batch_norms\.(\d+)\.{STATISTICS}", r"encoder.layers.\1.norm.\2"),
        Rule(r"graph_pred_linear\.(?:weight|bias)", unneeded="the classifier of a task"),
    ]
    if not _bonds(weights, settings):
        out.append(Rule(rf"{BONDS}\.(?:weight|bias)", unneeded="the head of bonds, which mask_edge=0 does not train"))
    for name, objective in ((ATOMS, "main"), (BONDS, "bonds")):
        out += parts.linear_rules(name, HEAD.format(objective))
    return out


def _second(x: Any) -> Any:
    return x[0].chunk(2, -1)[1]


def untrained(weights: Weights) -> dict[str, str]:
    if parts.has(weights, rf"{ATOMS}\.weight"):
        return {}
    return {HEAD.format("main"): parts.NO_HEAD}

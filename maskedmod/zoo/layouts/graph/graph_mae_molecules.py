"""GraphMAE on molecules (THUDM/GraphMAE@b14f080, chem/pretraining.py): the encoder of pretrain-gnns with a decoder that re-masks.
The encoder alone, which is what its authors published, is read as ``pretrain_gnns``."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.graph import pretrain_gnns
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "graph_mae_molecules"
SETTINGS: dict[str, Any] = {
    **{name: value for name, value in pretrain_gnns.SETTINGS.items() if name != "ratio"},
    "mask_rate": 0.25,
    "mask_edge": False,
    "decoder": "gin",
    "loss_fn": "sce",
    "alpha_l": 1.0,
}
CONFIG: dict[str, str] = {}

DECODER = r"atom_pred_decoder"


def matches(weights: Weights) -> bool:
    return parts.has(weights, rf"{DECODER}\.conv\..*") and pretrain_gnns.matches(weights)


def recipe(weights: Weights, settings: Tree) -> Tree:
    """UserError for what the authors' code cannot run or has no equal here."""
    if settings["mask_edge"]:
        raise UserError("mask_edge=true, which the authors' code cannot run")
    if settings["decoder"] != "gin" or not parts.has(weights, rf"{DECODER}\.conv\.mlp\.2\.weight"):
        raise UserError(f"decoder={settings['decoder']}: of the authors' gin, gcn and linear, gin is read")
    if settings["loss_fn"] not in ("sce", "ce"):
        raise UserError(f"loss_fn={settings['loss_fn']}: accepted are sce, ce")
    scaled = settings["loss_fn"] == "sce"
    tree = pretrain_gnns.recipe(weights, {**settings, "ratio": settings["mask_rate"]})
    return {
        **tree,
        "mask": {"atoms": {"ratio": settings["mask_rate"]}},
        "target": {"token_ids": {"which": 0, "one_hot": scaled}},
        "head": {"bond_decoder": {"remask": True}},
        "loss": {"cosine": {"gamma": settings["alpha_l"]}} if scaled else {"cross_entropy": {}},
    }


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    return [
        Rule(rf"{DECODER}\.dec_token", unneeded="hidden atoms enter the decoder as zeros, not as this vector"),
        Rule(rf"{DECODER}\.activation\.weight", f"{HEAD}.activation.weight"),
        Rule(rf"{DECODER}\.enc_to_dec\.weight", f"{HEAD}.embed.weight"),
        Rule(rf"{DECODER}\.conv\.mlp\.([02]\.(?:weight|bias))", rf"{HEAD}.layer.mlp.\1"),
        Rule(rf"{DECODER}\.conv\.edge_embedding1\.weight", f"{HEAD}.layer.tables.0"),
        Rule(rf"{DECODER}\.conv\.edge_embedding2\.weight", f"{HEAD}.layer.tables.1"),
        *pretrain_gnns.rules(weights, settings),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {}

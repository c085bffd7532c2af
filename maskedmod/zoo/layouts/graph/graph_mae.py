"""GraphMAE as THUDM/GraphMAE saves it, DGL and PyG branches, with GAT or GIN; and GraphMAE2 (THUDM/GraphMAE2) with GAT."""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule, flat

NAME = "graph_mae"
SETTINGS: dict[str, Any] = {
    "mask_rate": 0.5,
    "replace_rate": 0.0,
    "alpha_l": 3.0,
    "activation": "prelu",
    "residual": False,
    "negative_slope": 0.2,
    "feat_drop": 0.2,
    "attn_drop": 0.1,
    "drop_edge_rate": 0.0,
    "num_remasking": 3,
    "remask_rate": 0.5,
    "lam": 1.0,
    "momentum": 0.996,
}
CONFIG = {"feat_drop": "in_drop"}

LATENT = "objectives.latent"
GAT, GIN = r"encoder\.gat_layers\.(\d+)", r"encoder\.layers\.(\d+)"
PROJECT = r"(?:fc|lin_src)\.weight"
SHARED = "the network's own activation, which no layer uses"
TIED = "the same tensor as lin_src"


def matches(weights: Weights) -> bool:
    return {"enc_mask_token", "encoder_to_decoder.weight"} <= set(weights)


def recipe(weights: Weights, settings: Tree) -> Tree:
    width, joined = weights["encoder_to_decoder.weight"].shape
    if width != joined:
        raise UserError(
            f"encoder_to_decoder maps {joined} to {width} values: the outputs of all layers joined, which has no recipe"
        )
    loss: Tree = {"cosine": {"gamma": settings["alpha_l"]}}
    encoder, head = _gin(weights, settings) if parts.has(weights, rf"{GIN}\..*") else _gat(weights, settings)
    tree: Tree = {
        "modality": {"graph": {"features": weights["enc_mask_token"].shape[1]}},
        "mask": {"nodes": {"ratio": settings["mask_rate"], "replace": settings["replace_rate"]}},
        "encoder": encoder,
        "target": {"raw": {}},
        "head": {"graph_decoder": head},
        "loss": loss,
        "optimizer": {"adam": {}},
        "train": {"steps": 1, "lr": 1e-3},
    }
    return _second(tree, weights, settings) if "dec_mask_token" in weights else tree


def _gat(weights: Weights, settings: Tree) -> tuple[Tree, Tree]:
    """Encoder and head with attention; DGL and PyG differ in names alone."""
    name = "attn_l" if parts.has(weights, rf"{GAT}\.attn_l") else "att_src"
    width = weights["encoder_to_decoder.weight"].shape[0]
    shared = {
        "slope": settings["negative_slope"],
        "dropout": settings["feat_drop"],
        "attention_dropout": settings["attn_drop"],
    }
    norm = "layer" if parts.has(weights, rf"{GAT}\.norm\.weight") else "none"
    encoder = {
        "depth": parts.depth(weights, rf"{GAT}\.{PROJECT}"),
        "width": width,
        "heads": weights[f"encoder.gat_layers.0.{name}"].shape[1],
        "activation": settings["activation"],
        "norm": norm,
        "residual": settings["residual"],
        "drop_edges": settings["drop_edge_rate"],
        **shared,
    }
    return {"gat": encoder}, {"kind": "gat", "heads": weights[f"decoder.gat_layers.0.{name}"].shape[1], **shared}


def _gin(weights: Weights, settings: Tree) -> tuple[Tree, Tree]:
    if parts.has(weights, r".*\.running_mean"):
        norm = "batch"
    else:
        norm = "layer" if parts.has(weights, rf"{GIN}\.nn\.norm\.weight") else "none"
    shared = {"activation": settings["activation"], "norm": norm, "dropout": settings["feat_drop"]}
    depth = parts.depth(weights, rf"{GIN}\.nn\.mlp\.linears\.0\.weight")
    encoder = {"depth": depth, "width": weights["encoder_to_decoder.weight"].shape[0], **shared}
    return {"gin": encoder}, {"kind": "gin", **shared}


def _second(tree: Tree, weights: Weights, settings: Tree) -> Tree:
    """GraphMAE2: several random re-masks, whose losses are summed, and the latents of a teacher at visible nodes."""
    views = settings["num_remasking"]
    tree["encoder"]["gat"]["projector"] = weights["projector.0.weight"].shape[0]
    tree["head"]["graph_decoder"] |= {"remask": "random", "ratio": settings["remask_rate"], "views": views}
    tree["teacher"] = {"ema": {"momentum": settings["momentum"]}}
    latent: Tree = {"target": {"tap": {}}, "head": {"predictor": {}}, "loss": {"cosine": {}}}
    tree["objectives"] = {"main": {"weight": views}, "latent": {**latent, "weight": settings["lam"], "region": "visible"}}
    return tree


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    return [
        Rule("enc_mask_token", "encoder.input.mask_token", flat),
        Rule("dec_mask_token", f"{HEAD}.mask_token", flat),
        Rule(r"encoder_to_decoder\.weight", f"{HEAD}.embed.weight"),
        Rule(r"(?:encoder|encoder_ema|decoder)\.activation\.weight", unneeded=SHARED),
        *_layer_rules("encoder", r"encoder.layers.\1"),
        *_layer_rules("decoder", f"{HEAD}.layer"),
        Rule(r"predictor\.0\.weight", f"{LATENT}.head.activation.weight"),
        *parts.linear_rules(r"predictor\.1", f"{LATENT}.head.pred"),
        *_projector_rules("projector", "encoder.projector"),
        *_layer_rules("encoder_ema", r"teacher.encoder.layers.\1"),
        *_projector_rules("projector_ema", "teacher.encoder.projector"),
    ]


def _layer_rules(of: str, to: str) -> list[Rule]:
    """Layers of attention or GIN; a decoder has one."""
    gat, gin = rf"{of}\.gat_layers\.(\d+)", rf"{of}\.layers\.(\d+)"
    return [
        Rule(rf"{gat}\.{PROJECT}", f"{to}.weight"),
        Rule(rf"{gat}\.lin_dst\.weight", unneeded=TIED),
        Rule(rf"{gat}\.(?:attn_l|att_src)", f"{to}.source"),
        Rule(rf"{gat}\.(?:attn_r|att_dst)", f"{to}.target"),
        Rule(rf"{gat}\.bias", f"{to}.bias"),
        Rule(rf"{gat}\.res_fc\.weight", f"{to}.shortcut.weight"),
        Rule(rf"{gat}\.(norm|activation)\.(weight|bias)", rf"{to}.\2.\3"),
        Rule(rf"{gin}\.eps", unneeded="it is 0 and not learned"),
        Rule(rf"{gin}\.nn\.(?:mlp\.)?linears\.0\.(weight|bias)", rf"{to}.fc1.\2"),
        Rule(rf"{gin}\.nn\.(?:mlp\.)?linears\.1\.(weight|bias)", rf"{to}.fc2.\2"),
        Rule(rf"{gin}\.nn\.(?:mlp\.)?norms\.0\.(\w+)", rf"{to}.norm.\2"),
        Rule(rf"{gin}\.nn\.(?:mlp\.)?activations\.0\.weight", f"{to}.activation.weight"),
        Rule(rf"{gin}\.nn\.norm\.(\w+)", rf"{to}.norm_after.\2"),
        Rule(rf"{gin}\.nn\.act\.weight", f"{to}.activation_after.weight"),
    ]


def _projector_rules(of: str, to: str) -> list[Rule]:
    return [
        *parts.linear_rules(rf"{of}\.0", f"{to}.0"),
        Rule(rf"{of}\.1\.weight", f"{to}.1.weight"),
        *parts.linear_rules(rf"{of}\.2", f"{to}.2"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {"teacher.encoder.input.mask_token": "the teacher sees all nodes"} if "dec_mask_token" in weights else {}

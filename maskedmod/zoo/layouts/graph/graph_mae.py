"""GraphMAE as THUDM/GraphMAE saves it, DGL and PyG branches, with GAT, DotGAT, GCN or GIN, or an MLP as decoder; and GraphMAE2
(THUDM/GraphMAE2) with GAT."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.graph.graph_mae_options import SECOND, SHOWN, UNSEEN, Shown, shown
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, STATISTICS, Rule, flat

NAME = "graph_mae"
SETTINGS: dict[str, Any] = {
    **UNSEEN,
    **SECOND,
    **dict.fromkeys(SHOWN),
    "latent_at": "region",
    "steps_per_epoch": 1,
}
"""``latent_at``: ``seeds`` compares latents at the nodes that a part of a graph starts from, hidden or not (``targets`` of
GraphMAE2's loader). ``steps_per_epoch``: what an epoch of ``delayed_ema_epoch`` is; 1 on whole graphs."""
CONFIG = {
    "feat_drop": "in_drop",
    "nhead": "num_heads",
    "nhead_out": "num_out_heads",
    "encoder_type": "encoder",
    "decoder_type": "decoder",
}

LATENT = "objectives.latent"
GAT, GCN, GIN = r"{}\.gat_layers\.(\d+)", r"{}\.gcn_layers\.(\d+)", r"{}\.layers\.(\d+)"
INSIDE = r"(?:nn|apply_func)"
"""What GIN's MLP and all after it is called: PyG, DGL."""
SHARED = "the network's own activation, which no layer uses"
TIED = "the same tensor as lin_src"
ZEROS = "fixed re-masking puts zeros, not this vector"


def matches(weights: Weights) -> bool:
    return {"enc_mask_token", "encoder_to_decoder.weight"} <= set(weights)


def recipe(weights: Weights, settings: Tree) -> Tree:
    found = shown(weights, settings)
    loss: Tree = {"cosine": {"gamma": settings["alpha_l"]}} if settings["loss_fn"] == "sce" else {"regression": {"kind": "mse"}}
    replaced = 0.0 if found.second else settings["replace_rate"]  # GraphMAE2 takes the argument and does nothing with it
    tree: Tree = {
        "modality": {"graph": {"features": found.features}},
        "mask": {"nodes": {"ratio": settings["mask_rate"], "replace": replaced}},
        "encoder": _encoder(found, settings),
        "target": {"raw": {}},
        "head": {"graph_decoder": _head(found, weights, settings)},
        "loss": loss,
        "optimizer": {"adam": {}},
        "train": {"steps": 1, "lr": 1e-3},
    }
    return _second(tree, weights, settings) if found.second else tree


def _encoder(found: Shown, settings: Tree) -> Tree:
    rate = settings["drop_edge_rate"]
    options: Tree = {
        "depth": found.depth,
        "width": found.width,
        "activation": found.activation,
        "norm": found.norm,
        "residual": found.residual,
        "dropout": settings["feat_drop"],
        # the loader of GraphMAE2 takes away the edges that GraphMAE keeps, self-loops excepted
        "drop_edges": 1 - rate if found.second and rate else rate,
        "self_loops": "kept" if found.second else "added",
    }
    if found.encoder == "gcn":
        return {"gcn": {**options, "bias": "scaled"}}
    if found.encoder == "gin":
        return {"gin": {**options, "bare_end": found.bare_end}}
    attention = {"heads": found.heads, "slope": settings["negative_slope"], "attention_dropout": settings["attn_drop"]}
    score = "dot" if found.encoder == "dotgat" else "add"
    return {"gat": {**options, **attention, "score": score, "same_width_residual": not found.second}}


def _head(found: Shown, weights: Weights, settings: Tree) -> Tree:
    options: Tree = {
        "kind": "gat" if found.decoder == "dotgat" else found.decoder,
        "dropout": settings["feat_drop"],
        "joined": found.joined,
        "edges": "encoder" if found.torch_geometric and settings["drop_edge_rate"] else "all",
    }
    if found.decoder in ("gat", "dotgat"):
        score = "dot" if found.decoder == "dotgat" else "add"
        attention = {"slope": settings["negative_slope"], "attention_dropout": settings["attn_drop"]}
        return {**options, **attention, "heads": found.decoder_heads, "score": score}
    if found.decoder == "gin":
        return {**options, "activation": settings["activation"] or "none", "norm": _decoder_norm(weights)}
    if found.decoder == "gcn":
        return {**options, "bias": "scaled"}
    ratio = weights["decoder.0.weight"].shape[0] / found.width if found.decoder == "mlp" else 1.0
    return {**options, "remask": "none", "mlp_ratio": ratio, "dropout": 0.2}  # a number in the authors' code


def _decoder_norm(weights: Weights) -> str:
    if parts.has(weights, r"decoder\..*\.running_mean"):
        return "batch"
    return "layer" if parts.has(weights, r"decoder\..*\.norms\.0\.weight") else "none"


def _second(tree: Tree, weights: Weights, settings: Tree) -> Tree:
    """GraphMAE2: several random re-masks, whose losses are summed, or one of zeros; and the latents of a teacher."""
    views = settings["num_remasking"] if settings["remask_method"] == "random" else 1
    tree["encoder"]["gat"]["projector"] = weights["projector.0.weight"].shape[0]
    if settings["remask_method"] == "random":
        tree["head"]["graph_decoder"] |= {"remask": "random", "ratio": settings["remask_rate"], "views": views}
    # the update of a step is made before its backward pass, so with one step less
    delay = settings["delayed_ema_epoch"] * settings["steps_per_epoch"] - 1
    momentum: Any = settings["momentum"]
    if delay > 0:
        momentum = {"start": 1.0, "end": momentum, "shape": "step", "steps": delay}
    tree["teacher"] = {"ema": {"momentum": momentum, "in_training": True}}
    target = {"tap": {"at": settings["latent_at"]}}
    latent: Tree = {"target": target, "head": {"predictor": {}}, "loss": {"cosine": {}}}
    tree["objectives"] = {"main": {"weight": views}, "latent": {**latent, "weight": settings["lam"], "region": "visible"}}
    return tree


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    fixed = settings.get("remask_method") == "fixed"
    return [
        Rule("enc_mask_token", "encoder.input.mask_token", flat),
        Rule("dec_mask_token", unneeded=ZEROS) if fixed else Rule("dec_mask_token", f"{HEAD}.mask_token", flat),
        Rule(r"encoder_to_decoder\.weight", f"{HEAD}.embed.weight"),
        Rule(r"(?:encoder|encoder_ema|decoder)\.activation\.weight", unneeded=SHARED),
        *_layer_rules("encoder", r"encoder.layers.\1"),
        *_layer_rules("decoder", f"{HEAD}.layer"),
        *_mlp_rules(),
        Rule(r"predictor\.0\.weight", f"{LATENT}.head.activation.weight"),
        *parts.linear_rules(r"predictor\.1", f"{LATENT}.head.pred"),
        *_projector_rules("projector", "encoder.projector"),
        *_layer_rules("encoder_ema", r"teacher.encoder.layers.\1"),
        *_projector_rules("projector_ema", "teacher.encoder.projector"),
    ]


def _layer_rules(of: str, to: str) -> list[Rule]:
    """Layers of attention, GCN or GIN; a decoder has one."""
    gat, gcn, gin = GAT.format(of), GCN.format(of), GIN.format(of)
    return [
        Rule(rf"{gat}\.(?:fc|lin_src)\.weight", f"{to}.weight"),
        Rule(rf"{gat}\.lin_dst\.weight", unneeded=TIED),
        Rule(rf"{gat}\.(?:attn_l|att_src)", f"{to}.source"),
        Rule(rf"{gat}\.(?:attn_r|att_dst)", f"{to}.target"),
        Rule(rf"{gat}\.bias", f"{to}.bias"),
        Rule(rf"{of}\.(?:gat_|gcn_)?layers\.(\d+)\.res_fc\.weight", f"{to}.shortcut.weight"),
        Rule(rf"{of}\.(?:gat|gcn)_layers\.(\d+)\.norm\.{STATISTICS}", rf"{to}.norm.\2"),
        Rule(rf"{of}\.(?:gat|gcn)_layers\.(\d+)\._?activation\.weight", rf"{to}.activation.weight"),
        Rule(rf"{gcn}\.fc\.(weight|bias)", rf"{to}.\2"),
        Rule(rf"{gin}\.eps", unneeded="it is 0 and not learned"),
        Rule(rf"{gin}\.nn\.(?:mlp\.)?linears\.0\.bias", f"{to}.fc1.bias", keep=True),  # so that its branch is known
        Rule(rf"{gin}\.{INSIDE}\.(?:mlp\.)?linears\.0\.(weight|bias)", rf"{to}.fc1.\2"),
        Rule(rf"{gin}\.{INSIDE}\.(?:mlp\.)?linears\.1\.(weight|bias)", rf"{to}.fc2.\2"),
        Rule(rf"{gin}\.{INSIDE}\.(?:mlp\.)?norms\.0\.{STATISTICS}", rf"{to}.norm.\2"),
        Rule(rf"{gin}\.{INSIDE}\.(?:mlp\.)?activations\.0\.weight", f"{to}.activation.weight"),
        Rule(rf"{gin}\.{INSIDE}\.norm\.{STATISTICS}", rf"{to}.norm_after.\2"),
        Rule(rf"{gin}\.{INSIDE}\.act\.weight", f"{to}.activation_after.weight"),
    ]


def _mlp_rules() -> list[Rule]:
    """A decoder of single nodes: linear maps 0 and 3 with PReLU between, or one map."""
    return [
        *parts.linear_rules(r"decoder\.0", f"{HEAD}.layer.fc1"),
        Rule(r"decoder\.1\.weight", f"{HEAD}.layer.activation.weight"),
        *parts.linear_rules(r"decoder\.3", f"{HEAD}.layer.fc2"),
        *parts.linear_rules("decoder", f"{HEAD}.layer.fc2"),
    ]


def _projector_rules(of: str, to: str) -> list[Rule]:
    return [
        *parts.linear_rules(rf"{of}\.0", f"{to}.0"),
        Rule(rf"{of}\.1\.weight", f"{to}.1.weight"),
        *parts.linear_rules(rf"{of}\.2", f"{to}.2"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {"teacher.encoder.input.mask_token": "the teacher sees all nodes"} if "dec_mask_token" in weights else {}

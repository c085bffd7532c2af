"""Point-MAE and Point-M2AE as their authors save them: ``base_model`` in a PyTorch file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from maskedmod.errors import UserError
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import convolved
from maskedmod.zoo.writing import Writer, Written, refuse, unusual

AT, HEAD = "base_model.", "objectives.main.head"
END, STATISTICS = "(weight|bias)", "(weight|bias|running_mean|running_var|num_batches_tracked)"
INNER = r"((?:norm[12]|attn\.qkv|attn\.proj|mlp\.fc[12])\.(?:weight|bias))"
ENCODER: dict[str, Any] = {
    "norm": "layer", "norm_place": "pre", "qkv_bias": "none", "positions": "mlp", "every_block": True, "classes": 0,
    "registers": 0, "layer_scale": None, "activation": "gelu", "final_norm": (None, True), "sees": "visible",
    "mask_at": "embedded",
}  # fmt: skip
DECODER: dict[str, Any] = {"qkv_bias": "none", "positions": "mlp", "every_block": True, "embed": False, "prompting": False}


def point_mae(loaded: Loaded, version: int) -> Written:
    """``.pth`` of Pang-Yatian/Point-MAE after pre-training."""
    encoder, head = _arguments(loaded, "point_mae", "transformer", "mae_decoder")
    alike = {"eps": encoder.get("eps", 1e-6), "mlp_ratio": encoder.get("mlp_ratio", 4.0)}
    refuse("layout point_mae", [*unusual(encoder, ENCODER), *unusual({**alike, **head}, {**DECODER, **alike})])
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    theirs = f"{AT}MAE_encoder"
    _pointnet(out, r"encoder\.embed", rf"{theirs}.encoder")
    out.each(rf"encoder\.blocks\.(\d+)\.{INNER}", rf"{theirs}.blocks.blocks.\1.\2")
    out.linear("encoder.norm", f"{theirs}.norm")
    out.each(rf"{HEAD}\.blocks\.(\d+)\.{INNER}", rf"{AT}MAE_decoder.blocks.\1.\2")
    out.linear(f"{HEAD}.norm", f"{AT}MAE_decoder.norm")
    for ours, place in (("encoder", f"{theirs}.pos_embed"), (HEAD, f"{AT}decoder_pos_embed")):
        out.linear(f"{ours}.positions.fc1", f"{place}.0")
        out.linear(f"{ours}.positions.fc2", f"{place}.2")
    out.one(f"{HEAD}.mask_token", f"{AT}mask_token", lambda x: x.reshape(1, 1, -1))
    out.one(f"{HEAD}.pred.weight", f"{AT}increase_dim.0.weight", convolved)
    out.one(f"{HEAD}.pred.bias", f"{AT}increase_dim.0.bias")
    cloud = loaded.tree["modality"]["points"]
    (kind, mask), chamfer = next(iter(loaded.tree["mask"].items())), loaded.tree["loss"].get("chamfer") or {}
    settings = {key: cloud[key] for key in ("points", "groups", "near_origin", "centre", "scale") if key in cloud}
    settings |= {"heads": encoder.get("heads", 12), "decoder_heads": head.get("heads", 16), "eps": encoder.get("eps", 1e-6)}
    settings |= {"mask": kind, "mask_ratio": (mask or {}).get("ratio", 0.6), "chamfer": chamfer.get("kind", "l2")}
    return Written(out.done(), "pth", settings, nested=True)


def point_m2ae(loaded: Loaded, version: int) -> Written:
    """``.pth`` of ZrrSkywalker/Point-M2AE after pre-training."""
    encoder, head = _arguments(loaded, "point_m2ae", "point_pyramid", "pyramid_decoder")
    usual = {"qkv_bias": "none", "local_radius": None, "mlp_ratio": 4.0, "eps": 1e-5}
    refuse("layout point_m2ae", [*unusual(encoder, usual), *unusual(head, usual)])
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    theirs = f"{AT}h_encoder"
    _pointnet(out, r"encoder\.embed", f"{theirs}.token_embed.0")
    levels: Any = loaded.model.encoder.levels
    for i in range(1, len(levels)):
        _pointnet(out, rf"encoder\.merges\.{i - 1}", f"{theirs}.token_embed.{i}")
    for ours, places, blocks in (
        ("encoder", f"{theirs}.encoder_pos_embeds", f"{theirs}.encoder_blocks"),
        (HEAD, f"{AT}decoder_pos_embeds", f"{AT}h_decoder"),
    ):
        for name, number in (("fc1", 0), ("fc2", 2)):
            out.each(rf"{ours}\.positions\.(\d+)\.{name}\.{END}", rf"{places}.\1.{number}.\2")
        out.each(rf"{ours}\.stages\.(\d+)\.(\d+)\.{INNER}", rf"{blocks}.\1.blocks.\2.\3")
    out.each(rf"encoder\.norms\.(\d+)\.{END}", rf"{theirs}.encoder_norms.\1.\2")
    _norms_not_read(out, theirs, levels)
    _propagation(out)
    out.one(f"{HEAD}.mask_token", f"{AT}mask_token", lambda x: x.reshape(1, -1))
    out.linear(f"{HEAD}.norm", f"{AT}decoder_norm")
    out.one(f"{HEAD}.pred.weight", f"{AT}rec_head.weight", convolved)
    out.one(f"{HEAD}.pred.bias", f"{AT}rec_head.bias")
    cloud, mask = loaded.tree["modality"]["points"], loaded.tree["mask"]["multi_scale"] or {}
    coarser = cloud.get("coarser", [])
    settings = {
        "points": cloud["points"], "groups": [cloud["groups"], *(n for n, _ in coarser)],
        "group_sizes": [cloud["group_size"], *(size for _, size in coarser)], "heads": encoder.get("heads", 6),
    }  # fmt: skip
    settings |= {key: mask[name] for key, name in (("mask_ratio", "ratio"), ("spill", "spill")) if name in mask}
    return Written(out.done(), "pth", settings, nested=True)


def _arguments(loaded: Loaded, layout: str, encoder: str, head: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of encoder and head, which must be these."""
    tree = loaded.tree
    if (chosen(tree.get("modality")), chosen(tree.get("encoder")), chosen(tree.get("head"))) != ("points", encoder, head):
        raise UserError(f"layout {layout} is for point clouds with encoder={encoder} and head={head}")
    return tree["encoder"][encoder] or {}, tree["head"][head] or {}


def _pointnet(out: Writer, ours: str, theirs: str) -> None:
    """The mini-PointNet, whose linear maps are convolutions over single points there."""
    for number, (stage, place) in enumerate((("first", 0), ("first", 3), ("second", 0), ("second", 3)), 1):
        out.each(rf"{ours}\.conv{number}\.weight", f"{theirs}.{stage}_conv.{place}.weight", convolved)
        out.each(rf"{ours}\.conv{number}\.bias", f"{theirs}.{stage}_conv.{place}.bias")
    for number, stage in ((1, "first"), (2, "second")):
        out.each(rf"{ours}\.norm{number}\.{STATISTICS}", rf"{theirs}.{stage}_conv.1.\1")


def _propagation(out: Writer) -> None:
    """The steps from a coarser level to a finer one."""
    ours, theirs = rf"{HEAD}\.ups\.(\d+)", rf"{AT}token_prop.\1"
    out.each(rf"{ours}\.fuse\.weight", rf"{theirs}.fuse.net.0.weight", convolved)
    out.each(rf"{ours}\.fuse\.bias", rf"{theirs}.fuse.net.0.bias")
    out.each(rf"{ours}\.norm\.{STATISTICS}", rf"{theirs}.fuse.net.1.\2")
    residual = rf"{theirs}.extraction.operation.\2"
    for n in (1, 2):
        out.each(rf"{ours}\.residual\.(\d+)\.fc{n}\.weight", rf"{residual}.net{n}.0.weight", convolved)
        out.each(rf"{ours}\.residual\.(\d+)\.fc{n}\.bias", rf"{residual}.net{n}.0.bias")
        out.each(rf"{ours}\.residual\.(\d+)\.norm{n}\.{STATISTICS}", rf"{residual}.net{n}.1.\3")


def _norms_not_read(out: Writer, theirs: str, widths: Sequence[int]) -> None:
    """Norms of the levels below the one that is predicted: the file's own, else as they start."""
    for i, width in enumerate(widths):
        for end, start in (("weight", torch.ones), ("bias", torch.zeros)):
            key = f"{theirs}.encoder_norms.{i}.{end}"
            if key not in out.out:
                found = out.original(f"h_encoder.encoder_norms.{i}.{end}")
                out.out[key] = start(width) if found is None else found

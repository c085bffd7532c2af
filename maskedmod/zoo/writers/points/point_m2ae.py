"""Point-M2AE as its authors save it: ``base_model`` in a PyTorch file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD, INNER, STATISTICS, convolved
from maskedmod.zoo.writers.points.parts import AT, arguments, pointnet
from maskedmod.zoo.writing import Writer, Written, refuse, unusual

END = "(weight|bias)"


def point_m2ae(loaded: Loaded, version: int) -> Written:
    """``.pth`` of ZrrSkywalker/Point-M2AE after pre-training."""
    encoder, head = arguments(loaded, "point_m2ae", "point_pyramid", "pyramid_decoder")
    usual = {"qkv_bias": "none", "mlp_ratio": 4.0, "eps": 1e-5}
    if encoder.get("local_radius"):  # what the released code does with it in pre-training
        usual["radius_on"] = "padding"
        encoder = {"radius_on": "tokens", **encoder}
    refuse("layout point_m2ae", [*unusual(encoder, usual), *unusual(head, usual)])
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    theirs = f"{AT}h_encoder"
    pointnet(out, r"encoder\.embed", f"{theirs}.token_embed.0")
    levels: Any = loaded.model.encoder.levels
    for i in range(1, len(levels)):
        pointnet(out, rf"encoder\.merges\.{i - 1}", f"{theirs}.token_embed.{i}")
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
    if encoder.get("local_radius"):
        settings["local_radius"] = list(encoder["local_radius"])
    settings |= {"drop_path": encoder["drop_path"]} if encoder.get("drop_path") else {}
    settings |= {key: mask[name] for key, name in (("mask_ratio", "ratio"), ("spill", "spill")) if name in mask}
    return Written(out.done(), "pth", settings, nested=True)


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

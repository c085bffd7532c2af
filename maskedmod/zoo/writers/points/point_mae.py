"""Point-MAE as its authors save it: ``base_model`` in a PyTorch file."""

from __future__ import annotations

from typing import Any

from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.mapping import HEAD, INNER, convolved
from maskedmod.zoo.writers.points.parts import AT, arguments, pointnet
from maskedmod.zoo.writing import Writer, Written, refuse, unusual

ENCODER: dict[str, Any] = {
    "norm": "layer", "norm_place": "pre", "qkv_bias": "none", "positions": "mlp", "every_block": True, "classes": 0,
    "registers": 0, "layer_scale": None, "activation": "gelu", "final_norm": (None, True), "sees": "visible",
    "mask_at": "embedded",
}  # fmt: skip
DECODER: dict[str, Any] = {"qkv_bias": "none", "positions": "mlp", "every_block": True, "embed": False, "prompting": False}


def point_mae(loaded: Loaded, version: int) -> Written:
    """``.pth`` of Pang-Yatian/Point-MAE after pre-training."""
    encoder, head = arguments(loaded, "point_mae", "transformer", "mae_decoder")
    alike = {"eps": encoder.get("eps", 1e-6), "mlp_ratio": encoder.get("mlp_ratio", 4.0)}
    refuse("layout point_mae", [*unusual(encoder, ENCODER), *unusual({**alike, **head}, {**DECODER, **alike})])
    out = Writer(dict(loaded.model.state_dict()), loaded.kept)
    theirs = f"{AT}MAE_encoder"
    pointnet(out, r"encoder\.embed", rf"{theirs}.encoder")
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
    settings |= {"drop_path": encoder["drop_path"]} if encoder.get("drop_path") else {}
    settings |= {"mask": kind, "mask_ratio": (mask or {}).get("ratio", 0.6), "chamfer": chamfer.get("kind", "l2")}
    return Written(out.done(), "pth", settings, nested=True)

"""Audio-MAE as facebookresearch/AudioMAE saves it, with the shifted-window decoder or the plain one.

Its position tables were made for a lattice of (frequency, time) while tokens run time first; a checkpoint needs the table it was
trained with, so both tables are kept as the file has them.
"""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts.image import fair_mae
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import HEAD, Rule

NAME = "audio_mae"
SETTINGS: dict[str, Any] = {
    "mel_bins": None,
    "mean": None,
    "std": None,
    "heads": None,
    "decoder_heads": None,
    "window": 4,
    "shift": [2, 0],
    "mask_ratio": 0.8,
    "norm_pix_loss": True,
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {}

BANDS = 8
"""Patches along frequency in the released code (128 mel bins, patches of 16)."""

TAU = "decoder_blocks.0.attn.tau"


def matches(weights: Weights) -> bool:
    if TAU in weights:
        return True
    if not fair_mae.matches(weights) or weights["patch_embed.proj.weight"].shape[1] != 1:
        return False
    tokens = weights["pos_embed"].shape[1] - 1
    return round(tokens**0.5) ** 2 != tokens


def recipe(weights: Weights, settings: Tree) -> Tree:
    kernel = weights["patch_embed.proj.weight"]
    patch, tokens = (kernel.shape[2], kernel.shape[3]), weights["pos_embed"].shape[1] - 1
    bins = settings["mel_bins"] or BANDS * patch[1]
    bands = bins // patch[1]
    if bins % patch[1] or tokens % bands:
        raise UserError(f"mel_bins {bins}: {tokens} positions of patch {patch} do not fill it; give settings={{'mel_bins': ...}}")
    grid = (tokens // bands, bands)
    audio = {"mel_bins": bins, "frames": grid[0] * patch[0], "patch_size": list(patch), "mask_padding": False}
    audio.update({name: settings[name] for name in ("mean", "std") if settings[name] is not None})
    tree = fair_mae.mae_tree(weights, {"audio": audio}, grid, settings)
    if TAU in weights:
        windows = {"heads": len(weights[TAU]), "window": settings["window"], "shift": settings["shift"]}
        tree["head"]["mae_decoder"].update(windows)
    return tree


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    to = f"{HEAD}.blocks"
    return [
        Rule(r"decoder_blocks\.(\d+)\.attn\.tau", rf"{to}.\1.attn.tau"),
        Rule(r"decoder_blocks\.(\d+)\.attn\.meta_mlp\.fc1\.(weight|bias)", rf"{to}.\1.attn.bias_in.\2"),
        Rule(r"decoder_blocks\.(\d+)\.attn\.meta_mlp\.fc2\.(weight|bias)", rf"{to}.\1.attn.bias_out.\2"),
        *fair_mae.mae_rules(weights, recipe(weights, settings)),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return fair_mae.untrained(weights)

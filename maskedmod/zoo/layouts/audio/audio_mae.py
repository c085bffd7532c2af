"""Audio-MAE as facebookresearch/AudioMAE saves it, with the shifted-window decoder or the plain one.

Its position tables were made for a lattice of (frequency, time) while tokens run time first; a checkpoint needs the table it was
trained with, so both tables are kept as the file has them.
"""

from __future__ import annotations

from typing import Any

from maskedmod.errors import UserError
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, Setting, only
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
    "no_shift": False,
    "stride": None,
    "use_custom_patch": False,
    "mask_ratio": 0.8,
    "norm_pix_loss": True,
    "eps": 1e-6,
}
CONFIG: dict[str, str] = {"heads": "num_heads", "decoder_heads": "decoder_num_heads"}
REFERENCE = "facebookresearch/AudioMAE@bd60e29 models_mae.MaskedAutoencoderViT"
ARGUMENTS: dict[str, Argument] = {
    "img_size": Setting("mel_bins"),
    "num_heads": Setting("heads"),
    "decoder_num_heads": Setting("decoder_heads"),
    "norm_layer": Setting("eps"),
    **{name: Setting(name) for name in ("stride", "use_custom_patch", "norm_pix_loss", "no_shift", "mask_ratio")},
    **dict.fromkeys(("patch_size", "in_chans", "embed_dim", "depth", "decoder_embed_dim", "decoder_depth", "mlp_ratio"), TENSORS),
    "decoder_mode": TENSORS,
    **dict.fromkeys(("contextual_depth", "pos_trainable", "alpha", "temperature", "beta", "epoch", "mode"), FREE),
    **dict.fromkeys(("mask_t_prob", "mask_f_prob"), FREE),  # without mask_2d nothing reads them
    **dict.fromkeys(("split_pos", "use_nce", "mask_2d"), only(False, 0)),
    "audio_exp": only(True, 1),
}

BANDS = 8
"""Patches along frequency in the released code (128 mel bins, patches of 16)."""
STRIDE = 10
"""Of overlapping patches, where the run does not say it: the released constructor's default."""

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
    stride = _stride(patch, settings)
    bands, rest = (bins - patch[1]) // stride[1] + 1, (bins - patch[1]) % stride[1]
    if bins < patch[1] or (rest and stride == patch) or tokens % bands:
        every = "" if stride == patch else f" every {stride}"
        raise UserError(
            f"mel_bins {bins}: {tokens} positions of patch {patch}{every} do not fill it; give settings={{'mel_bins': ...}}"
        )
    grid = (tokens // bands, bands)
    frames = (grid[0] - 1) * stride[0] + patch[0]
    audio = {"mel_bins": bins, "frames": frames, "patch_size": list(patch), "mask_padding": False}
    audio.update({} if stride == patch else {"stride": list(stride)})
    audio.update({name: settings[name] for name in ("mean", "std") if settings[name] is not None})
    tree = fair_mae.mae_tree(weights, {"audio": audio}, grid, settings)
    if TAU in weights:
        shift = [0, 0] if settings["no_shift"] else settings["shift"]
        windows = {"heads": len(weights[TAU]), "window": settings["window"], "shift": shift}
        tree["head"]["mae_decoder"].update(windows)
    return tree


def _stride(patch: tuple[int, int], settings: Tree) -> tuple[int, int]:
    """Steps between patches (time, frequency): of the patch itself, unless they overlap."""
    stride = settings["stride"] or (STRIDE if settings["use_custom_patch"] else None)
    if stride is None:
        return patch
    both = (stride, stride) if isinstance(stride, int) else tuple(stride)
    if len(both) != 2 or not all(isinstance(x, int) and 0 < x <= p for x, p in zip(both, patch, strict=True)):
        raise UserError(f"stride {stride}: expected a number, or (time, frequency), of at most the patch {patch}")
    return both


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

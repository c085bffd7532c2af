"""Recipes around a Vision Transformer that several layouts hold."""

from __future__ import annotations

from maskedmod.zoo.layouts.parts import Tree


def mae(modality: Tree, encoder: Tree, head: Tree, settings: Tree) -> Tree:
    """MAE; for encoders alone too, whose layouts say nothing of ``norm_pix_loss``."""
    return {
        "modality": modality,
        "mask": {"random": {"ratio": settings["mask_ratio"]}},
        "encoder": {"transformer": encoder},
        "target": {"raw": {"norm": "patch" if settings.get("norm_pix_loss", True) else "none"}},
        "head": {"mae_decoder": head},
        "loss": {"regression": {"kind": "mse"}},
    }


BLOCKS = {
    "npred": "targets", "pred_mask_scale": "target_scale", "aspect_ratio": "target_aspect", "enc_mask_scale": "context_scale",
    "min_keep": "least", "allow_overlap": "overlap",
}  # fmt: skip
"""Arguments of I-JEPA's collator -> those of mask=multi_block."""


def i_jepa(modality: Tree, encoder: Tree, head: Tree, settings: Tree) -> Tree:
    """I-JEPA; layouts of encoders alone say little of blocks. ``ratio``: hidden at random in their place."""
    ratio = settings.get("ratio")
    blocks: Tree = {"multi_block": {ours: settings[name] for name, ours in BLOCKS.items() if name in settings}}
    mask = blocks if ratio is None else {"random": {"ratio": {"low": ratio[0], "high": ratio[1]}}}
    return {
        "modality": modality,
        "mask": mask,
        "encoder": {"transformer": encoder},
        "teacher": {"ema": {"momentum": {"start": 0.996, "end": 1.0}}},
        "target": {"feature": {"norm": "layer"}},
        "head": {"mae_decoder": head},
        "loss": {"regression": {"kind": "smooth_l1"}},
    }


def simmim(modality: Tree, encoder: Tree, patch: int, settings: Tree) -> Tree:
    """SimMIM; ``patch``: side of a patch in pixels."""
    unit = (settings["mask_patch_size"] or 2 * patch) // patch
    return {
        "modality": modality,
        "mask": {"random": {"ratio": settings["mask_ratio"], "count": "mask_ceil", "unit": unit}},
        "encoder": {"transformer": encoder},
        "target": {"raw": {"norm": "none"}},
        "head": {"linear": {}},
        "loss": {"regression": {"kind": "l1"}},
    }

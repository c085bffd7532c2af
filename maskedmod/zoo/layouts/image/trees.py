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


def i_jepa(modality: Tree, encoder: Tree, head: Tree, settings: Tree) -> Tree:
    """I-JEPA."""
    return {
        "modality": modality,
        "mask": {"multi_block": {"least": settings["min_keep"]}},
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

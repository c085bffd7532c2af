"""Every recipe, and every meaningful cross of mask, encoder input, target and head, trains five steps in miniature."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from maskedmod.core.context import Context, step_seed
from maskedmod.core.model import MaskedModel
from maskedmod.recipe import catalog
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.recipe.layering import chosen

SMALL = [
    "preset=demo",
    "encoder.depth=2",
    "encoder.width=48",
    "encoder.heads=4",
    "modality.patch_size=8",
]
FOR = {
    "image": ["modality.size=32"],
    "audio": ["modality.frames=64", "modality.mel_bins=32", "modality.sample_rate=8000"],
}


def samples(model: MaskedModel, count: int = 6) -> dict[str, Any]:
    modality = model.modality
    records = modality.demo("train")
    read = [modality.read(records[i]) for i in range(count)]
    modality.statistics.update(modality.measure(read))
    return modality.collate(read)


def five_steps(model: MaskedModel, batch: dict[str, Any]) -> None:
    """Finite losses, a gradient at every trainable parameter over the steps, predictions that differ between positions."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    touched: set[str] = set()
    for step in range(5):
        torch.manual_seed(step_seed(0, step))
        ctx = Context(step=step, max_steps=5, generator=torch.Generator().manual_seed(step))
        out = model(batch, ctx, watch=step == 4)
        assert torch.isfinite(out["loss"]), f"step {step}"
        optimizer.zero_grad()
        out["loss"].backward()
        touched |= {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
        optimizer.step()
        model.after_step(ctx)
    wanted = {name for name, p in model.named_parameters() if p.requires_grad}
    assert wanted - touched == set()
    signs = model.diagnose()
    assert signs["main.prediction_spread"] > 1e-4, "masked positions get one prediction"


@pytest.mark.parametrize("name", recipe_file.names())
def test_recipe_trains(name: str) -> None:
    torch.manual_seed(0)
    whole = resolve([f"recipe={name}", "preset=demo"])
    known = {argument.name for argument in catalog.entry("encoder", str(chosen(whole["encoder"]))).arguments}
    sizes = [f"encoder.{key}={value}" for key, value in {"depth": 3, "width": 48, "heads": 4}.items() if key in known]
    model = build_model(resolve([f"recipe={name}", "preset=demo", *sizes]))
    five_steps(model, samples(model))


MASKS = {
    "random": ["mask=random", "mask.ratio=0.6"],
    "block": ["mask=block", "mask.ratio=0.5", "mask.least=2"],
    "axis": ["mask=axis", "mask.ratios=[0.5,0.5]"],
    "multi_block": ["mask=multi_block", "mask.least=1"],
    "random_k": ["mask=random", "mask.ratio=0.6", "mask.masks_per_sample=2"],
}
TARGETS = {
    "raw": ["target=raw"],
    "raw_patch": ["target=raw", "target.norm=patch"],
    "hog": ["target=hog", "target.cell=4"],
    "ema": ["teacher=ema", "target=feature"],
    "ema_layers": ["teacher=ema", "target=feature", "target.layers=[0,1]", "target.post_norm=layer"],
}
HEADS = {
    "decoder": ["head=mae_decoder", "head.depth=1", "head.width=32", "head.heads=2"],
    "windows": ["head=mae_decoder", "head.depth=2", "head.width=32", "head.heads=2", "head.window=2", "head.shift=[1,0]"],
    "linear": ["head=linear"],
    "mlp": ["head=mlp"],
}


def meaningful(mask: str, sees: str, target: str, head: str) -> bool:
    """Heads without a decoder read hidden positions, so the encoder must have seen mask tokens there."""
    return not (sees == "visible" and head in ("linear", "mlp"))


CROSS = [c for c in itertools.product(MASKS, ("visible", "mask_token"), TARGETS, HEADS) if meaningful(*c)]
CHOSEN = CROSS[::3]  # every third of them: all blocks meet, the suite stays short


@pytest.mark.parametrize("modality", ["image", "audio"])
@pytest.mark.parametrize(("mask", "sees", "target", "head"), CHOSEN, ids=lambda value: value)
def test_cross_trains(modality: str, mask: str, sees: str, target: str, head: str) -> None:
    words = [f"recipe={'mae' if modality == 'image' else 'audio_mae'}", *SMALL, *FOR[modality], *MASKS[mask], *TARGETS[target]]
    torch.manual_seed(0)
    model = build_model(resolve([*words, *HEADS[head], f"encoder.sees={sees}"]))
    five_steps(model, samples(model))


def test_cross_is_broad() -> None:
    assert len(CHOSEN) >= 24
    for position, blocks in enumerate((MASKS, ("visible", "mask_token"), TARGETS, HEADS)):
        assert {combination[position] for combination in CHOSEN} == set(blocks)

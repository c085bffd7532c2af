"""Recorded tensors of published code: finding the cases, saving their weights as their authors do, comparing numbers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.step import Step
from maskedmod.core.tokens import Tokens
from maskedmod.zoo.layouts.known import LAYOUTS
from maskedmod.zoo.mapping import convert
from tests.conftest import ROOT, parity_case, shared

OUTPUT, GRADIENT = 1e-5, 1e-4
"""Largest accepted relative error: of outputs and losses, of gradients."""


@dataclass
class Golden:
    """One case: ``tensors`` by key (``weights.*``, ``input.*``, ...) and ``meta`` with constructor and settings."""

    name: str
    tensors: dict[str, Tensor]
    meta: dict[str, Any]

    def __getitem__(self, key: str) -> Tensor:
        return self.tensors[key]

    def __contains__(self, key: str) -> bool:
        return key in self.tensors

    def group(self, prefix: str) -> dict[str, Tensor]:
        """Tensors under a prefix, which is removed."""
        return {key.removeprefix(prefix): x for key, x in self.tensors.items() if key.startswith(prefix)}


def cases(system: str) -> list[str]:
    """All case folders of a system in both roots, found by their meta.json; the system's own name where the recordings are absent
    (the test skips then)."""
    found = [meta.parent.relative_to(root) for root in _roots() for meta in sorted((root / system).rglob("meta.json"))]
    return [str(name) for name in found] or [system]


def cases_with(system: str, key: str) -> list[str]:
    """Those cases of a system whose meta.json has ``key``, as for ``cases``."""
    return [name for name in cases(system) if (file := _meta(name)) is None or key in json.loads(file.read_text())]


def _meta(name: str) -> Path | None:
    return next((file for root in _roots() if (file := root / name / "meta.json").is_file()), None)


def _roots() -> list[Path]:
    shared_folder = Path(os.environ.get("MASKEDMOD_SHARED", ROOT.parent / "shared"))
    return [shared_folder / "parity", shared_folder / "parity_variants"]


def golden(name: str) -> Golden:
    """Read a case; counts it."""
    shared("parity")  # skips the test where there is none
    folder = next((root / name for root in _roots() if (root / name / "meta.json").is_file()), _roots()[0] / name)
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    parity_case(name)
    return Golden(name, tensors, json.loads((folder / "meta.json").read_text()))


def error(ours: Tensor, reference: Tensor) -> float:
    """Largest difference over the largest value of the reference."""
    assert ours.shape == reference.shape, f"shape {tuple(ours.shape)}, expected {tuple(reference.shape)}"
    ours, reference = ours.detach(), reference.detach()
    return float((ours.double() - reference.double()).abs().max() / reference.double().abs().max().clamp(min=1e-30))


def agree(what: str, ours: Tensor, reference: Tensor, most: float = OUTPUT) -> None:
    """Compare, and show the number (``pytest -s``)."""
    found = error(ours, reference)
    print(f"  {what}: relative error {found:.2e}")
    assert found < most, f"{what}: relative error {found:.2e}, accepted is {most:.0e}"


def one_step(loaded: Loaded, batch: dict[str, Any], mask: MaskSet) -> tuple[Step, dict[str, Tensor]]:
    """The model's own step with a mask that is given: -> the step and its losses."""
    model, ctx = loaded.model, Context(training=False)
    tokens: Tokens = model.modality.tokenize(batch)["main"]
    step = Step(model.modality, batch, ctx, {"main": model.view(tokens, ctx, mask=mask)})
    return step, model.score(step)


def encode(loaded: Loaded, batch: dict[str, Any]) -> Tensor:
    """Output of the encoder on all tokens, class token first: ``[B, 1 + N, D]``."""
    latent = loaded.model.encoder(Seen(loaded.model.modality.tokenize(batch)["main"]))
    assert latent.prefix is not None
    return torch.cat([latent.prefix, latent.tokens], dim=1)


def gradients_agree(case: Golden, loaded: Loaded, loss: Tensor, settings: dict[str, Any] | None = None) -> None:
    """Backward, and compare every recorded gradient, sent through the rules that the weights went through. A rule that adds
    something (a class token's own position) adds it to zeros as well, and that is taken off."""
    loss.backward()
    layout = next(layout for layout in LAYOUTS if loaded.layout == layout.NAME)
    rules = layout.rules(case.group("weights."), loaded.report.settings)
    recorded = case.group("grad.")
    converted, added = convert(recorded, rules), convert({key: torch.zeros_like(x) for key, x in recorded.items()}, rules).state
    assert converted.state and not converted.unexpected and not converted.unneeded
    own = dict(loaded.model.named_parameters())
    for key, reference in converted.state.items():
        found, reference = own[key].grad, reference - added[key]
        assert found is not None, f"{key} got no gradient"
        agree(f"gradient of {key}", found, reference, GRADIENT)


def load_saved(content: dict[str, Any], path: Path, **options: Any) -> Loaded:
    """Write a checkpoint as its authors do and read it through the public path; every key must be accounted for."""
    torch.save(content, path)
    loaded = maskedmod.load(path, **options)
    assert not loaded.report.unexpected and not loaded.report.missing
    return loaded


def shuffled(case: Golden) -> MaskSet:
    """The mask of MAE-like code: the order it shuffled tokens into, of which the first are kept."""
    order, masked = case["mask.ids_restore"].argsort(1), case["mask.mask"].bool()
    kept = int((~masked[0]).sum())
    role = masked.to(torch.int8)
    assert not masked.gather(1, order[:, :kept]).any() and masked.gather(1, order[:, kept:]).all()
    return MaskSet(role, order[:, :kept], order[:, None, kept:])

"""Health checks: read a model's vital signs and say in a sentence what is wrong, as it happens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

EARLY = (10, 20)
"""Steps (1-based) that are always checked: a fault in the set-up shows at once."""

SAME_PREDICTIONS = 1e-4
"""Below this relative spread the masked positions of a sample get one answer. Measured on untrained models: about 0.1 and
more; on a decoder without positions: about 1e-7."""

COLLAPSED_TARGET = 1e-2
"""Below this relative spread targets are constant over positions and samples."""

COLLAPSED_FEATURES = 1e-2
"""The same for the tokens that come out of the encoder."""

FLAT_FEATURES = 1.05
"""Effective rank under which all differences between tokens lie on one line."""


class Health:
    """Turns numbers into findings. A finding is given once for each objective; again only after it had gone."""

    def __init__(self, every: int, total: int) -> None:
        self.every, self.total = every, total
        self._present: set[tuple[str, str]] = set()

    def due(self, step: int) -> bool:
        """True when the 1-based step is to be watched."""
        return self.every > 0 and (step in EARLY or step % self.every == 0 or step == self.total)

    def read(self, signs: Mapping[str, float]) -> list[str]:
        """Findings in vital signs ``<objective>.<sign>`` (see ``maskedmod.core.health.vital_signs``)."""
        found = []
        for key, number in signs.items():
            objective, _, sign = key.rpartition(".")
            low, text = _RULES.get(sign, (None, ""))
            if low is not None:
                found += self._once(objective, sign, number < low, text.format(objective=objective, number=number))
        return found

    def compare(self, step: int, losses: Mapping[str, float]) -> list[str]:
        """Finding when the validation loss is no better than the mean predictor's in the second half of a run."""
        model, mean = losses.get("val_loss"), losses.get("val_mean_baseline")
        if model is None or mean is None or step < self.total / 2 or step < 100:
            return []
        text = f"the validation loss {model:.4g} is no better than that of predicting the training mean, {mean:.4g}"
        return self._once("", "mean", model >= mean, text)

    def _once(self, objective: str, sign: str, ill: bool, text: str) -> list[str]:
        key = (objective, sign)
        new = ill and key not in self._present
        (self._present.add if ill else self._present.discard)(key)
        return [text] if new else []


_RULES: dict[str, tuple[float, str]] = {
    "prediction_spread": (
        SAME_PREDICTIONS,
        "objective {objective}: predictions at masked positions are identical (relative spread {number:.1e}); the head does "
        "not know positions or its input is constant",
    ),
    "target_spread": (
        COLLAPSED_TARGET,
        "objective {objective}: the target is collapsed, nearly the same for all positions and samples (relative spread "
        "{number:.1e}); look at the teacher's momentum, the learning rate and the target's normalisation",
    ),
    "feature_spread": (
        COLLAPSED_FEATURES,
        "objective {objective}: the encoder's features are collapsed, nearly the same for all tokens (relative spread "
        "{number:.1e})",
    ),
    "feature_rank": (
        FLAT_FEATURES,
        "objective {objective}: the encoder's features are collapsed to one direction (effective rank {number:.2f})",
    ),
}


def save_batch(path: Path, batch: Mapping[str, Any]) -> Path:
    """Write the tensors of a batch to safetensors, nested ones under ``outer.inner``; the rest as text in its header."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    rest: dict[str, str] = {}

    def walk(prefix: str, thing: Any) -> None:
        if isinstance(thing, Tensor):
            tensors[prefix] = thing.detach().cpu().contiguous().clone()
        elif isinstance(thing, dict):
            for key, value in thing.items():
                walk(f"{prefix}.{key}" if prefix else str(key), value)
        else:
            rest[prefix] = json.dumps(thing, default=str)

    walk("", dict(batch))
    save_file(tensors, path, metadata=rest)
    return path

"""The same samples drawn again and again while a run goes on: whole pictures, and rows that the report puts under one another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from maskedmod.core.context import Context
from maskedmod.core.model import MaskedModel
from maskedmod.reconstruct.dense import reconstruct
from maskedmod.reconstruct.grid import save_grid, stages
from maskedmod.reconstruct.reconstruction import Reconstruction
from maskedmod.reconstruct.run import first_batch
from maskedmod.support.devices import to_device
from maskedmod.zoo.run_folder import baseline

ROWS = "rows"
"""Folder under ``pictures/`` of the rows."""
SAMPLES = 8
ROW_WIDTH = 1000
"""Pixels that a row is wide at most."""


class RunPictures:
    """Draws the first eight samples of ``records``: ``pictures/step_N.png`` and the row ``pictures/rows/step_N.png``."""

    def __init__(self, model: MaskedModel, records: Any, out: Path, device: torch.device) -> None:
        self.model, self.records, self.out, self.device = model, records, out, device
        self._batch: tuple[dict[str, Any], list[str]] | None = None
        self._given_up = False

    def __call__(self, step: int, whole: bool = True) -> None:
        """Draw after ``step`` steps; ``whole=False``: the row alone. What cannot be drawn is said once."""
        if self._given_up:
            return
        try:
            self._draw(step, whole)
        except (ValueError, OSError) as error:  # a picture that cannot be drawn takes nothing from a run
            self._given_up = True
            tqdm.write(f"no pictures: {error}", file=sys.stderr)

    def _draw(self, step: int, whole: bool) -> None:
        if self._batch is None:
            few = [self.records[i] for i in range(min(2 * SAMPLES, len(self.records)))]
            self._batch = first_batch(self.model.modality, few, min(SAMPLES, self.model.modality.held or SAMPLES))
        batch, keys = self._batch
        means = {name: table.to(self.device) for name, table in (baseline(self.out) or {}).items()}
        result = reconstruct(self.model, to_device(batch, self.device), Context(), means or None)
        folder = self.out / "pictures"
        if whole:
            save_grid(result, folder / f"step_{step:08d}.png", SAMPLES, keys, f"step {step}")
        if result.sure is None:  # letters stand in lines of their own
            save_rows(result, folder / ROWS, step)


def save_rows(recon: Reconstruction, folder: Path, step: int) -> None:
    """The last stage (reconstruction or error map) of the samples side by side as ``step_N.png``; the first two (original,
    masked) once."""
    found = stages(recon)
    folder.mkdir(parents=True, exist_ok=True)
    for place, stage in enumerate(found[:2]):
        if not list(folder.glob(f"{place}_*.png")):
            _row(stage.images).save(folder / f"{place}_{stage.name.replace(' ', '_')}.png")
    part = folder / f".step_{step:08d}.png"
    _row(found[-1].images).save(part, "PNG")
    part.replace(folder / f"step_{step:08d}.png")


def _row(images: list[Any]) -> Any:
    """Panels of one height side by side, small ones enlarged in hard pixels; fewer of them where they are wide."""
    from PIL import Image

    height, width = max(image.shape[0] for image in images), max(image.shape[1] for image in images)
    count = max(1, min(len(images), SAMPLES if width <= 1.5 * height else SAMPLES // 2))
    gap = 6
    zoom = (ROW_WIDTH - gap * (count - 1)) / count / width
    w, h = round(width * zoom), max(24, round(height * zoom))
    row = Image.new("RGB", (count * (w + gap) - gap, h), (255, 255, 255))
    for place, image in enumerate(images[:count]):
        how = Image.Resampling.NEAREST if zoom >= 1 else Image.Resampling.LANCZOS
        row.paste(Image.fromarray(np.ascontiguousarray(image)).convert("RGB").resize((w, h), how), (place * (w + gap), 0))
    return row

"""A reconstruction as a PNG: original, masked, mean-fill and reconstruction of each sample, the errors under them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.core.tokens import Tokens
from maskedmod.reconstruct.drawing import Stage, grid_picture, paint_blocks, paint_heat, token_map
from maskedmod.reconstruct.letters import letters_picture
from maskedmod.reconstruct.media import wav as wav_file
from maskedmod.reconstruct.packed import first_graphs
from maskedmod.reconstruct.reconstruction import Reconstruction


def save_grid(
    recon: Reconstruction,
    path: Path,
    max_samples: int = 8,
    titles: Sequence[str] | None = None,
    headline: str = "Reconstruction",
    wav: bool = False,
    columns: int | None = None,
) -> list[Path]:
    """Write the picture of up to ``max_samples`` samples to ``path``; with ``wav`` also ``<stem>_<sample>_<stage>.wav`` beside
    it, for modalities that can be heard. -> the files written. Writes are atomic. ``titles``: a name per sample;
    ``columns``: samples side by side, by default as many as look well."""
    recon = first(recon, max_samples)
    picture = grid(recon, max_samples, titles, headline, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.part.png")
    picture.save(partial, format="PNG")
    partial.replace(path)
    return [path, *(_save_sound(recon, path) if wav else [])]


def grid(
    recon: Reconstruction,
    max_samples: int = 8,
    titles: Sequence[str] | None = None,
    headline: str = "Reconstruction",
    columns: int | None = None,
) -> Any:
    """The picture of up to ``max_samples`` samples, a PIL image; see ``save_grid``."""
    recon = first(recon, max_samples)
    count = recon.tokens.batch
    names = list(titles or [])[:count] or [f"sample {i}" for i in range(count)]
    if recon.sure is not None:
        return letters_picture(recon, names, _headline(recon, headline))
    return grid_picture(stages(recon), names, _headline(recon, headline), caption(recon), columns)


def stages(recon: Reconstruction) -> list[Stage]:
    """Rows of the picture. What cannot be drawn in the signal's own values is shown as an error map over it."""
    values, hidden = recon.tokens.values, recon.hidden
    if recon.tokens.layout.valid is not None:
        hidden = hidden & recon.tokens.layout.valid
    panels = recon.modality.draw(values, recon.tokens, None)
    axes = [(panel.across, panel.upward) for panel in panels]
    rows = [Stage("original", [panel.image for panel in panels], axes=axes), Stage("masked", _draw(recon, values, hidden))]
    several = recon.blocks.ndim > 1 and recon.blocks.shape[1] > 1
    if recon.predicted is None or several:
        where = token_map(_drawer(recon), recon.tokens.shape[:2])  # type: ignore[arg-type]
        drawn = rows[0].images
        if several:
            blocks = recon.blocks.cpu().numpy()
            rows[1].name = "context"
            painted = [paint_blocks(image, at, block) for image, at, block in zip(drawn, where, blocks, strict=True)]
            rows.append(Stage("target blocks", painted))
    if recon.predicted is None:
        error = recon.token_error.float().cpu().numpy()
        top = float(np.nanquantile(error, 0.98)) if np.isfinite(error).any() else 1.0
        heat = [paint_heat(image, at, each, top) for image, at, each in zip(drawn, where, error, strict=True)]
        rows.append(Stage("error", heat, _notes(recon, recon.error, True), strong=True))
        return rows
    if recon.filled is not None:
        mean_notes = [] if recon.mean_error is None else _notes(recon, recon.mean_error, False)
        rows.append(Stage("mean-fill", _draw(recon, recon.filled), mean_notes))
    rows.append(Stage("reconstruction", _draw(recon, recon.predicted), _notes(recon, recon.error, True), strong=True))
    return rows


def caption(recon: Reconstruction) -> str:
    """What the numbers and colours are, with the target's own note."""
    kind = "cross entropy" if recon.discrete else "loss" if recon.unordered else "mean squared error of the target"
    parts = [f"Under each picture: {kind} over the predicted positions"]
    if recon.mean_error is not None:
        parts[0] += ", and in brackets its ratio to that of predicting the mean"
    if recon.predicted is None:
        parts.append("the target is no signal that could be drawn: error per token, dark is small, pale was not predicted")
    if recon.blocks.ndim > 1 and recon.blocks.shape[1] > 1:
        parts.append("each colour is one set of targets")
    if recon.note:
        parts.append(recon.note)
    text = "; ".join(part.strip().rstrip(".") for part in parts)
    return text + "."


def _headline(recon: Reconstruction, headline: str) -> str:
    mean = recon.mean_error_all
    compared = "" if mean is None or not mean > 0 else f", {recon.error_all / mean:.0%} of the mean's {mean:.3g}"
    return f"{headline}: error {recon.error_all:.3g}{compared}"


def _notes(recon: Reconstruction, error: Tensor, ratio: bool) -> list[str]:
    notes = []
    for i, wrong in enumerate(error.tolist()):
        if wrong != wrong:
            notes.append("nothing was hidden")
        elif ratio and recon.mean_error is not None and float(recon.mean_error[i]) > 0:
            notes.append(f"{wrong:.3g} ({wrong / float(recon.mean_error[i]):.0%})")
        else:
            notes.append(f"{wrong:.3g}")
    return notes


def _draw(recon: Reconstruction, values: Tensor, hidden: Tensor | None = None) -> list[Any]:
    return [panel.image for panel in recon.modality.draw(values, recon.tokens, hidden)]


def _drawer(recon: Reconstruction) -> Callable[[Any], list[Any]]:
    """Draws noise with given tokens greyed out; its values are extreme, so that no pixel looks grey by chance."""
    tokens = recon.tokens
    values = tokens.values
    if values.is_floating_point():
        generator = torch.Generator().manual_seed(0)
        values = torch.randn(values.shape, generator=generator).sign().to(values) * 3
    return lambda hidden: _draw(recon, values, torch.from_numpy(hidden).to(values.device))


def heard(recon: Reconstruction) -> dict[str, list[Any]]:
    """``(samples, rate)`` of every sample for each stage that can be heard; in ``masked`` the hidden places are silent. {} for
    modalities without sound, and where the target is no signal only what was seen."""
    original = recon.tokens.values
    kinds = {
        "original": (original, None),
        "masked": (original, recon.hidden),
        "mean_fill": (recon.filled, None),
        "reconstruction": (recon.predicted, None),
    }
    found = {kind: recon.modality.audio(v, recon.tokens, gone) for kind, (v, gone) in kinds.items() if v is not None}
    return {kind: sounds for kind, sounds in found.items() if sounds}


def _save_sound(recon: Reconstruction, path: Path) -> list[Path]:
    written = []
    for kind, sounds in heard(recon).items():
        for i, (samples, rate) in enumerate(sounds):
            file = path.with_name(f"{path.stem}_{i}_{kind}.wav")
            file.write_bytes(wav_file(samples, rate))
            written.append(file)
    return written


def first(recon: Reconstruction, count: int) -> Reconstruction:
    """Of its first ``count`` samples."""
    if recon.tokens.layout.packed:
        return first_graphs(recon, count)

    def cut(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[:count]

    t = recon.tokens
    layout = replace(t.layout, valid=cut(t.layout.valid))
    tokens: Tokens = replace(t, values=t.values[:count], pos=t.pos[:count], eligible=cut(t.eligible), layout=layout)
    return replace(
        recon,
        tokens=tokens,
        hidden=recon.hidden[:count],
        blocks=recon.blocks[:count],
        token_error=recon.token_error[:count],
        error=recon.error[:count],
        mean_error=cut(recon.mean_error),
        filled=cut(recon.filled),
        predicted=cut(recon.predicted),
    )

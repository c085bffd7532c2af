"""A reconstruction in a notebook: its picture, and where it can be heard, players under it."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

from maskedmod.reconstruct.grid import first, grid, heard
from maskedmod.reconstruct.media import png, wav
from maskedmod.reconstruct.reconstruction import Reconstruction

HEARD = 2
"""Samples that get players; each is four sounds inside the page."""


def picture(recon: Reconstruction, max_samples: int = 8) -> Any:
    """The PIL image that a notebook shows: original, masked, mean-fill and reconstruction, with the errors."""
    return grid(recon, max_samples, headline=recon.title or "Reconstruction")


def html(recon: Reconstruction) -> str:
    """The picture as wide as the page allows; for sound a row of players for each of the first samples."""
    text = escape(repr(recon), quote=True)
    parts = [f'<img alt="{text}" style="max-width:100%;height:auto" src="data:image/png;base64,{_text(png(picture(recon)))}">']
    stages = heard(first(recon, HEARD))
    for i in range(min(HEARD, recon.tokens.batch) if stages else 0):
        players = [
            f'<label style="margin-right:1em">{kind.replace("_", "-")} '
            f'<audio controls src="data:audio/wav;base64,{_text(wav(*sounds[i]))}"></audio></label>'
            for kind, sounds in stages.items()
        ]
        parts.append(f"<div>sample {i}: {''.join(players)}</div>")
    return f"<div>{''.join(parts)}</div>"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")

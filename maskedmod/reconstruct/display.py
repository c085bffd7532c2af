"""A reconstruction in a notebook: its picture, and where it can be heard, players under it."""

from __future__ import annotations

import base64
import io
import wave
from html import escape
from typing import Any

import numpy as np

from maskedmod.reconstruct.reconstruction import Reconstruction

HEARD = 2
"""Samples that get players; each is four sounds inside the page."""


def png(picture: Any) -> bytes:
    """A PIL image as the bytes of a PNG file."""
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def wav(samples: Any, rate: int) -> bytes:
    """Samples in [-1, 1] as the bytes of a mono WAV file of 16 bits."""
    file = io.BytesIO()
    pcm = (np.clip(np.asarray(samples, dtype=np.float32), -1, 1) * 32767).astype("<i2")
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(int(rate))
        out.writeframes(pcm.tobytes())
    return file.getvalue()


def html(recon: Reconstruction) -> str:
    """The picture as wide as the page allows; for sound a row of players for each of the first samples."""
    from maskedmod.reconstruct.grid import first, heard

    text = escape(repr(recon), quote=True)
    parts = [f'<img alt="{text}" style="max-width:100%;height:auto" src="data:image/png;base64,{_text(png(recon.picture()))}">']
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

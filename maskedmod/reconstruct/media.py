"""Pictures and sounds as the bytes of a file."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np


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

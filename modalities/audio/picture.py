"""Spectrograms as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskedmod.core.modality import Ticks

from .fbank import Filterbank, to_mel

_ANCHORS = np.array(
    (0, 0, 4, 28, 16, 68, 79, 18, 123, 129, 37, 129, 181, 54, 122, 229, 80, 100, 251, 135, 97, 254, 194, 135, 252, 253, 191),
    dtype=np.float64,
).reshape(-1, 3)
_STEPS = np.linspace(0.0, 1.0, len(_ANCHORS))
_RAMP = np.linspace(0.0, 1.0, 256)
_COLOURS = np.stack([np.interp(_RAMP, _STEPS, _ANCHORS[:, c]) for c in range(3)], axis=1).round().astype(np.uint8)
"""Dark violet through red to pale yellow, evenly brighter, as in the magma map."""

GREY = 128
RANGE = (-2.5, 2.5)
"""Values, in deviations from the mean, that get the darkest and the brightest colour."""


def spectrogram(values: np.ndarray[Any, Any], shown: np.ndarray[Any, Any] | None, whole: int) -> np.ndarray[Any, Any]:
    """Values ``[T, F]`` in deviations from the mean -> uint8 ``[H, W, 3]``, enlarged by a whole number that fits ``whole``
    frames into about 768 pixels and the bins into about 256. ``shown`` bool ``[T, F]``: grey where False."""
    low, high = RANGE
    level = np.nan_to_num((values - low) / (high - low), nan=0.0).clip(0, 1)
    image = _COLOURS[(level * 255).round().astype(np.int64)]
    if shown is not None:
        image = np.where(shown[..., None], image, np.uint8(GREY))
    factor = max(1, min(256 // values.shape[1], 768 // whole))
    image = image.transpose(1, 0, 2)[::-1]
    return np.ascontiguousarray(image.repeat(factor, axis=0).repeat(factor, axis=1))


STEPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds from tick to tick."""


def seconds(duration: float, most: int = 5) -> Ticks:
    """Ticks of a time axis that begins at 0: round steps, at most ``most`` of them."""
    step = next((step for step in STEPS if duration / step <= most), STEPS[-1])
    return tuple((i * step / duration, f"{i * step:g} s") for i in range(int(duration / step + 1e-9) + 1)) if duration > 0 else ()


def hertz(bank: Filterbank) -> Ticks:
    """Ticks of the frequency axis, an octave apart. Bin i is centred on mel low + (i + 1) step, and drawn from i to i + 1 of
    ``mel_bins`` parts of the height."""
    low, high = to_mel(bank.low_freq), to_mel(bank.top)
    step = (high - low) / (bank.mel_bins + 1)
    found = []
    for frequency in (125 * 2.0**octave for octave in range(10)):
        place = ((to_mel(frequency) - low) / step - 0.5) / bank.mel_bins
        if 0 <= place <= 1:
            found.append((place, f"{frequency:g} Hz" if frequency < 1000 else f"{frequency / 1000:g} kHz"))
    return tuple(found)

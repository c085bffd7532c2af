"""Change of sample rate by a windowed sinc (Smith, "Digital Audio Resampling"), for any pair of rates.

The filter and its defaults (6 zero crossings, cut-off at 0.99 of half the lower rate, Hann window) are those of
``torchaudio.functional.resample``; its one table per output phase holds only the taps of that phase, so odd pairs such as
44101 and 16000 Hz need kilobytes, and nothing but numpy is imported.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

CROSSINGS, ROLLOFF = 6, 0.99
ROWS = 1 << 14
"""Output samples computed at once: bounds the memory of the gathered taps."""


def resample(wave: np.ndarray[Any, Any], rate: int, target: int) -> np.ndarray[Any, Any]:
    """float32 ``[S]`` at ``rate`` Hz -> float32 ``[ceil(S * target / rate)]`` at ``target`` Hz."""
    if rate == target:
        return wave
    common = math.gcd(rate, target)
    rate, target = rate // common, target // common
    table, reach = _table(rate, target)
    count = -(-len(wave) * target // rate)
    padded = np.pad(wave.astype(np.float32, copy=False), (reach, reach + 1))
    taps = np.arange(2 * reach + 1)
    out = np.empty(count, dtype=np.float32)
    for first in range(0, count, ROWS):
        index = np.arange(first, min(first + ROWS, count), dtype=np.int64)
        start = index * rate // target
        phase = index * rate % target
        out[index] = np.einsum("it,it->i", padded[start[:, None] + taps], table[phase])
    return out


@lru_cache(maxsize=32)
def _table(rate: int, target: int) -> tuple[np.ndarray[Any, Any], int]:
    """Filter taps ``[target, 2 * reach + 1]`` by phase: row p serves outputs that lie p / target after an input sample."""
    base = min(rate, target) * ROLLOFF
    reach = math.ceil(CROSSINGS * rate / base)
    offset = np.arange(-reach, reach + 1)[None] - np.arange(target)[:, None] / target
    t = np.clip(offset * base / rate, -CROSSINGS, CROSSINGS)
    hann = np.cos(t * np.pi / CROSSINGS / 2) ** 2
    return (np.sinc(t) * hann * base / rate).astype(np.float32), reach

"""The built-in sample: short synthetic sounds of ten kinds, made when they are read, the same on every machine.

All are structured (a hidden part follows from what is around it) and varied (pitch, tempo, colour, loudness, length, place).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, overload

import numpy as np

from maskedmod.core.modality import Record

RATE = 16000
SIZES = {"train": 512, "val": 64}

Wave = np.ndarray[Any, Any]
Draw = np.random.Generator


class DemoClips(Sequence[Record]):
    """``train`` 512 clips, ``val`` 64 others; labels are the names of ``KINDS``, evenly spread."""

    def __init__(self, split: str) -> None:
        if split not in SIZES:
            raise ValueError(f"split is {split!r}; expected train or val")
        self.split = split

    def __len__(self) -> int:
        return SIZES[self.split]

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        kind = list(KINDS)[index % len(KINDS)]
        sound = Synthesised(kind, (list(SIZES).index(self.split), index))
        return Record(sound, f"demo {self.split} {index} ({kind})", kind, {"rate": RATE})


@dataclass(frozen=True)
class Synthesised:
    """A sound that is made when somebody asks for its samples: ``numpy.asarray(sound)`` is float32 ``[S]``."""

    kind: str
    seed: tuple[int, int]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Wave:
        return _kept(self).astype(dtype or np.float32, copy=False)


@lru_cache(maxsize=1024)
def _kept(sound: Synthesised) -> Wave:
    """Making a clip costs several milliseconds, keeping all of them about 60 MB: an epoch after the first costs nothing."""
    return clip(sound.kind, np.random.default_rng(sound.seed))


def clip(kind: str, draw: Draw) -> Wave:
    """One sound of a kind: float32 ``[S]`` at 16 kHz, 1.2 to 2 s, peak 0.1 to 0.7, with faint noise under it."""
    time = np.arange(int(RATE * draw.uniform(1.2, 2.0))) / RATE
    sound = KINDS[kind](time, draw)
    sound = sound / max(1e-6, float(np.abs(sound).max())) * draw.uniform(0.1, 0.7)
    ramp = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.01)
    return (sound * ramp + 3e-4 * draw.standard_normal(len(time))).astype(np.float32)


def _harmonics(phase: Wave, weights: Wave) -> Wave:
    """Sum of overtones over a phase in cycles ``[S]``; ``weights`` ``[n]`` or ``[n, 1]``-like against ``[n, S]``."""
    order = np.arange(1, len(weights) + 1)[:, None]
    return np.asarray((weights.reshape(len(weights), -1) * np.sin(2 * np.pi * order * phase)).sum(0))


def _glide(time: Wave, start: float, end: float) -> Wave:
    """Phase of a pitch that goes from ``start`` to ``end`` Hz, evenly by octaves."""
    return np.asarray(np.cumsum(start * (end / start) ** (time / time[-1])) / RATE)


def _tone(time: Wave, draw: Draw) -> Wave:
    count = draw.integers(4, 16)
    return _harmonics(draw.uniform(110, 440) * time, draw.uniform(0.7, 1.0) ** np.arange(count))


def _rise(time: Wave, draw: Draw) -> Wave:
    return _harmonics(_glide(time, draw.uniform(150, 500), draw.uniform(1200, 3500)), np.array([1.0, 0.5]))


def _fall(time: Wave, draw: Draw) -> Wave:
    return _harmonics(_glide(time, draw.uniform(1200, 3500), draw.uniform(150, 500)), np.array([1.0, 0.5]))


def _noise(time: Wave, draw: Draw, low: float = 0.0, high: float = 0.0) -> Wave:
    """Noise between two frequencies (drawn where not given)."""
    low = low or draw.uniform(200, 4000)
    high = high or low * draw.uniform(1.3, 2.0)
    spectrum = np.fft.rfft(draw.standard_normal(len(time)))
    place = np.fft.rfftfreq(len(time), 1 / RATE)
    return np.asarray(np.fft.irfft(spectrum * ((place > low) & (place < high)), len(time)))


def _pulses(time: Wave, draw: Draw) -> Wave:
    """Bursts of a noise band in a steady rhythm."""
    beat = (time * draw.uniform(3, 9) + draw.uniform()) % 1.0
    low = draw.uniform(500, 2500)
    return _noise(time, draw, low, low * 2.5) * np.exp(-beat * draw.uniform(8, 16))


def _clicks(time: Wave, draw: Draw) -> Wave:
    """Ringing clicks, even in time."""
    gap, pitch = 1 / draw.uniform(5, 14), draw.uniform(1500, 5000)
    since = (time + draw.uniform(0, gap)) % gap
    return np.asarray(np.exp(-since * draw.uniform(80, 200)) * np.sin(2 * np.pi * pitch * since))


def _vowel(time: Wave, draw: Draw) -> Wave:
    """A voice that goes from one vowel to another: overtones under three moving formants."""
    formants = np.array([(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)])
    first, second = formants[draw.choice(len(formants), 2, replace=False)]
    path = 1 / (1 + np.exp(-12 * (time / time[-1] - 0.5)))
    pitch = draw.uniform(90, 230) * (1 + 0.03 * np.sin(2 * np.pi * draw.uniform(4, 6) * time))
    order = np.arange(1, int(5000 / pitch.max()))[:, None]
    weights = sum(np.exp(-(((order * pitch - (a + (b - a) * path)) / 130.0) ** 2)) for a, b in zip(first, second, strict=True))
    return _harmonics(np.cumsum(pitch) / RATE, np.asarray(weights) / order**0.5)


def _tremolo(time: Wave, draw: Draw) -> Wave:
    """A buzzing tone whose loudness swings."""
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * draw.uniform(3, 8) * time + draw.uniform(0, 6))
    return _harmonics(draw.uniform(200, 700) * time, 1 / np.arange(1, 9)) * swing


def _siren(time: Wave, draw: Draw) -> Wave:
    """A pitch that swings up and down."""
    middle, depth, rate = draw.uniform(600, 1500), draw.uniform(0.2, 0.5), draw.uniform(1.5, 4)
    pitch = middle * (1 + depth * np.sin(2 * np.pi * rate * time + draw.uniform(0, 6)))
    return _harmonics(np.cumsum(pitch) / RATE, np.array([1.0, 0.5, 0.25]))


def _arpeggio(time: Wave, draw: Draw) -> Wave:
    """Plucked notes of a chord, over and over."""
    steps = draw.uniform(5, 9) * time
    notes = draw.uniform(150, 350) * 2 ** (np.array([0, 4, 7, 12]) / 12)
    pitch = notes[(steps.astype(int) + draw.integers(4)) % 4]
    return _harmonics(np.cumsum(pitch) / RATE, 0.75 ** np.arange(8)) * np.exp(-3 * (steps % 1.0))


KINDS: dict[str, Callable[[Wave, Draw], Wave]] = {
    "tone": _tone,
    "rise": _rise,
    "fall": _fall,
    "noise": _noise,
    "pulses": _pulses,
    "clicks": _clicks,
    "vowel": _vowel,
    "tremolo": _tremolo,
    "siren": _siren,
    "arpeggio": _arpeggio,
}

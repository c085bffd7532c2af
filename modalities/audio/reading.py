"""From a file, bytes or an array to one mono clip at the wanted rate. Reads only the part of a long file that is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskedmod.core.modality import BadSample, Record, altered

from .lengths import BLOCK, opened
from .resampling import resample

Fit = Literal["crop", "start", "windows"]
Wave = np.ndarray[Any, Any]

LEAD = 24 * 1152
"""Samples of an mp3 that are decoded before those that are wanted: its frames borrow bits from earlier ones."""
CANCELLED = 0.05
"""Share of the energy below which an average of channels is no picture of them."""
_EXACT_INT16 = {"PCM_16", "PCM_S8", "PCM_U8"}


@dataclass(frozen=True)
class Part:
    """Which part of a clip is wanted: at most ``samples`` at ``rate`` Hz; see ``Audio`` for ``fit``. A clip is longer than that
    when another frame, ``shift`` samples on, would fit."""

    rate: int
    samples: int
    shift: int
    fit: Fit

    def place(self, total: int, rate: int, extra: Mapping[str, Any]) -> tuple[int, int]:
        """First sample and number of samples to take of ``total`` at ``rate`` Hz."""
        need = math.ceil(self.samples * rate / self.rate)
        if "start" in extra:
            first = min(math.floor(extra["start"] * rate + 1e-6), total)
            return first, min(need, total - first)
        if total * self.rate < (self.samples + self.shift) * rate or self.fit == "start":
            if total * self.rate >= (self.samples + self.shift) * rate:
                altered(f"cut: the first {need / rate:.2f} of {total / rate:.2f} s used")
            return 0, min(need, total)
        if self.fit == "windows":
            raise BadSample(f"{total / rate:.2f} s long, a window is {need / rate:.2f} s: cut the record with Audio.expand first")
        altered(f"cut: {need / rate:.2f} of {total / rate:.2f} s used")
        if extra.get("seed") is None:
            return (total - need) // 2, need
        return int(np.random.default_rng(extra["seed"]).integers(total - need + 1)), need


def read_clip(record: Record, part: Part) -> Wave:
    """One mono clip, int16 where that is exact, else float32 in [-1, 1]; channels are averaged. Raises BadSample."""
    data, rate = _unwrap(record)
    if isinstance(data, str | Path | bytes | bytearray | memoryview):
        wave, rate = _from_file(data, part, record.extra)
    else:
        wave, rate = _from_array(data, rate, part, record.extra)
    if wave.size == 0:
        raise BadSample("holds no sound (0 samples)")
    if wave.dtype != np.int16 and not np.isfinite(wave).all():
        raise BadSample(f"{int((~np.isfinite(wave)).sum())} samples are NaN or infinite")
    if rate != part.rate:
        altered(f"resampled from {rate} to {part.rate} Hz")
        wave = resample(_as_float(wave), rate, part.rate)
    return np.ascontiguousarray(wave[: part.samples])


def duration(record: Record) -> float:
    """Seconds of a record's sound; of a file from its header, where this can be believed. Raises BadSample."""
    data, rate = _unwrap(record)
    if isinstance(data, str | Path | bytes | bytearray | memoryview):
        with _open(data) as sound:
            return float(sound.frames / sound.samplerate)
    wave = _channels_first(data)
    return float(wave.shape[-1] / _known(rate))


def _unwrap(record: Record) -> tuple[Any, int | None]:
    """The payload and its rate: plain, ``(array, rate)``, or the mappings of Hugging Face's ``Audio`` feature."""
    data, rate = record.data, record.extra.get("rate")
    if isinstance(data, Mapping):
        rate = data.get("sampling_rate", rate)
        data = next((data[name] for name in ("array", "bytes", "path") if data.get(name) is not None), None)
        if data is None:
            raise BadSample("mapping without array, bytes or path")
    elif isinstance(data, tuple) and len(data) == 2:
        data, rate = data
    return data, rate


def _from_file(data: Any, part: Part, extra: Mapping[str, Any]) -> tuple[Wave, int]:
    with _open(data) as sound:
        import soundfile

        rate, total = sound.samplerate, sound.frames
        if total == 0:
            raise BadSample("holds no sound (0 samples, or cut off near the start)")
        first, count = part.place(total, rate, extra)
        spare = 0 if rate == part.rate else 64  # the filter of the resampler looks a little past the end
        if sound.channels > 1:
            altered(f"{sound.channels} channels averaged")
        exact = sound.subtype in _EXACT_INT16 and sound.channels == 1
        try:
            lead = min(first, LEAD) if sound.format == "MP3" else 0
            _go_to(sound, first - lead)
            wave = sound.read(lead + count + spare, dtype="int16" if exact else "float32", always_2d=True)[lead:]
        except soundfile.LibsndfileError as error:
            raise BadSample(f"damaged or cut off: {error.error_string}") from None
    if len(wave) < count:
        raise BadSample(f"cut off: {len(wave)} of {count} samples could be read")
    return (wave[:, 0] if exact else _averaged(wave.T)), rate


def _averaged(wave: Wave) -> Wave:
    """One channel of ``[C, S]``. Channels that are opposite to one another cancel out, which is told."""
    found = wave.mean(axis=0, dtype=np.float32)
    before, after = float(np.square(wave, dtype=np.float64).mean()), float(np.square(found, dtype=np.float64).mean())
    if len(wave) > 1 and after < CANCELLED * before:
        altered(f"{1 - after / before:.0%} of the energy cancels out between channels of opposite phase")
    return found


def _go_to(sound: Any, first: int) -> None:
    """To a sample; of a file that can only be read from the start, by reading what lies before it."""
    if sound.seekable():
        sound.seek(first)
        return
    while first > 0 and (got := len(sound.read(min(first, BLOCK), dtype="int16", always_2d=True))):
        first -= got


def _open(data: Any) -> Any:
    """A soundfile.SoundFile; every way of being no sound is a BadSample with its own line."""
    if isinstance(data, str | Path):
        path = Path(data)
        if not path.is_file():
            raise BadSample("no such file")
        if path.stat().st_size == 0:
            raise BadSample("the file is empty (0 bytes)")
        return opened(str(path))
    if len(data) == 0:
        raise BadSample("empty (0 bytes)")
    return opened(bytes(data))


def _from_array(data: Any, rate: int | None, part: Part, extra: Mapping[str, Any]) -> tuple[Wave, int]:
    rate = _known(rate)
    wave = _channels_first(data)
    first, count = part.place(wave.shape[-1], rate, extra)
    wave = wave[..., first : first + count + (0 if rate == part.rate else 64)]
    if wave.ndim == 2:
        if len(wave) > 1:
            altered(f"{len(wave)} channels averaged")
        wave = wave[0] if len(wave) == 1 else _averaged(_as_float(wave))
    return (wave if wave.dtype == np.int16 else _as_float(wave)), rate


def _known(rate: Any) -> int:
    if rate is None:
        raise BadSample("array without a sample rate: give (array, rate), or extra={'rate': 16000}")
    if int(rate) != rate or rate <= 0:
        raise BadSample(f"sample rate {rate!r}; expected a whole number of Hz")
    return int(rate)


def _channels_first(data: Any) -> Wave:
    """``[S]`` or ``[C, S]``; of a two-dimensional array the shorter axis is taken for the channels."""
    if hasattr(data, "detach"):
        data = data.detach().cpu()
        data = (data.float() if str(data.dtype) == "torch.bfloat16" else data).numpy()  # a type that numpy has not
    wave = np.asarray(data)
    if wave.ndim not in (1, 2) or wave.dtype.kind not in "fiu":
        raise BadSample(
            f"array of shape {wave.shape} and type {wave.dtype}; expected numbers of shape [samples] or [channels, samples]"
        )
    return wave.T if wave.ndim == 2 and wave.shape[0] > wave.shape[1] else wave


def _as_float(wave: Wave) -> Wave:
    """float32 in [-1, 1]: integers by their full scale, unsigned ones around their middle."""
    if wave.dtype.kind == "f":
        return wave.astype(np.float32, copy=False)
    half = 2.0 ** (8 * wave.dtype.itemsize - 1)
    return ((wave.astype(np.float64) - (half if wave.dtype.kind == "u" else 0.0)) / half).astype(np.float32)

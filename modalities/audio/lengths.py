"""Lengths that a sound file does not know, or tells wrongly: found by looking, and put into the header before it is opened."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from maskedmod.core.modality import BadSample, altered
from maskedmod.support.compat import require

from .flac import total_samples
from .mpeg import count_frames, with_count

UNKNOWN = 1 << 48
"""libsndfile calls more samples than this a file whose header says none."""
PLACEHOLDERS = ((0x7FFF0000, 0x80000100), (0xFFFF0000, 0xFFFFFFFF))
"""Sizes, from and to, that programs write which do not know yet how much will come: SoX 0x7ffff000, arecord 0x80000000, FFmpeg
0xffffffff, others a header's length less. Nothing is missing then."""
USUAL, MOST = 20.0, 4000.0
"""Samples a byte: more than the first is seldom, in a FLAC of silence; more than the second is in no other format."""
BLOCK = 1 << 16


def opened(data: Any) -> Any:
    """A SoundFile whose ``frames`` are those that are there: of a path (text) or of bytes. BadSample for what is no sound, and
    for one that is cut off."""
    soundfile = require("soundfile", "audio")
    try:
        sound = soundfile.SoundFile(io.BytesIO(data) if isinstance(data, bytes) else data)
        mended = _mended(sound, data)
        if mended is not None:
            sound.close()
            sound = soundfile.SoundFile(io.BytesIO(mended))
    except soundfile.LibsndfileError as error:
        raise BadSample(f"not a sound file that can be read: {error.error_string}") from None
    cut = re.search(r"^\s*(?:data|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if cut is not None and int(cut[2]) < int(cut[1]) and not any(a <= int(cut[1]) <= b for a, b in PLACEHOLDERS):
        sound.close()
        raise BadSample(f"cut off: the header promises {cut[1]} bytes of sound, {cut[2]} are there")
    return sound


def _mended(sound: Any, data: Any) -> bytes | None:
    """The bytes with a header that knows; None where it knew."""
    dense = sound.frames / max(1, len(data) if isinstance(data, bytes) else Path(data).stat().st_size)
    if sound.format == "FLAC" and dense > USUAL:  # silence, or a number that is none
        total = _total(data, _age(data))
        if total == 0:
            raise BadSample("damaged: the header says no length, and no whole frame was found")
        if sound.frames >= UNKNOWN:
            return _with_total(_bytes(data), total)
        if total < sound.frames:
            raise BadSample(f"cut off: the header promises {sound.frames} samples, {total} are there")
    elif dense > MOST:
        raise BadSample(f"damaged: the header promises {sound.frames} samples, which the file cannot hold")
    if sound.format == "MP3":
        return _counted(data, _age(data), sound.frames)
    if sound.format in ("WAV", "WAVEX", "AU") and sound.frames == 0:
        return _without_size(_bytes(data), sound.format == "AU")
    if sound.format == "OGG" and (more := _further_streams(data, _age(data))):
        altered(f"only the first of {more + 1} joined Ogg streams used")
    return None


def _bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else Path(data).read_bytes()


def _age(data: Any) -> int:
    """When a file was written last: what is found of it is kept until then."""
    return 0 if isinstance(data, bytes) else Path(data).stat().st_mtime_ns


@lru_cache(maxsize=1024)
def _total(data: Any, age: int) -> int:
    return total_samples(_bytes(data))


def _with_total(raw: bytes, total: int) -> bytes:
    """A FLAC whose stream information says its samples: 36 bits, 13 bytes and a half into the block."""
    at = raw.index(b"fLaC") + 8 + 13
    return raw[:at] + bytes([raw[at] & 0xF0 | total >> 32]) + (total & 0xFFFFFFFF).to_bytes(4, "big") + raw[at + 5 :]


@lru_cache(maxsize=64)
def _counted(data: Any, age: int, guessed: int) -> bytes | None:
    """An mp3 that has more frames than its header says, or than libsndfile guesses without one, with their number in front."""
    raw = _bytes(data)
    frames = count_frames(raw)
    if frames is None or frames.count == 0:
        return None
    if frames.told is not None and frames.told > 2 * frames.count:
        raise BadSample(f"cut off: the header promises {frames.told} frames, {frames.count} are there")
    if frames.told is not None and frames.told >= frames.count:
        return None  # whatever is missing is told when it is read
    if frames.told is None and abs(guessed - frames.count * frames.samples) < frames.samples:
        return None
    if frames.told:
        altered(f"the header says {frames.told} frames, {frames.count} are there: all are used")
    return with_count(raw, frames)


def _without_size(raw: bytes, au: bool) -> bytes | None:
    """A WAV or AU with sound behind a size of 0, as a recorder leaves that was stopped; None where there is none."""
    at = 8 if au else raw.find(b"data\0\0\0\0", 12, 1 << 16) + 4
    start = int.from_bytes(raw[4:8], "big") if au else at + 4
    if at < 8 or len(raw) <= start + 8:
        return None
    altered("the header says no sound: read to the end of the file")
    return raw[:at] + b"\xff\xff\xff\xff" + raw[at + 4 :]


@lru_cache(maxsize=1024)
def _further_streams(data: Any, age: int) -> int:
    """Ogg streams that begin after the sound of the first one."""
    raw = _bytes(data)
    begins = [found.start() for found in re.finditer(rb"OggS\0[\x02\x06]", raw)]
    sound = re.search(rb"OggS\0[\0\x01\x04\x05](?!\0{8})", raw)
    return sum(place > sound.start() for place in begins) if sound is not None else 0

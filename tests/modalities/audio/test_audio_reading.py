"""Reading sound: formats, rates, lengths, parts of long clips, and everything that is no sound."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from maskedmod.modalities.audio import Audio, resample

from maskedmod.core.modality import BadSample, Record
from maskedmod.errors import UserError

RATE = 16000


def tone(seconds: float, rate: int = RATE, pitch: float = 440.0) -> np.ndarray[Any, Any]:
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(samples: np.ndarray[Any, Any], rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def audio(**settings: Any) -> Audio:
    return Audio(**{"frames": 128, "mel_bins": 64, **settings})


@pytest.mark.parametrize(("ending", "error"), [("wav", 1e-4), ("flac", 1e-4), ("ogg", 0.1), ("mp3", 0.1)])
def test_formats(tmp_path: Path, ending: str, error: float) -> None:
    sound, path = tone(1.0), tmp_path / f"a.{ending}"
    soundfile.write(path, sound, RATE)
    read = audio().read(Record(str(path), "a"))
    assert read.dtype == (np.int16 if ending in ("wav", "flac") else np.float32)
    full = read / 32768 if read.dtype == np.int16 else read
    size = min(len(full), len(sound))
    assert size > 15000
    assert np.abs(full[2000 : size - 2000] - sound[2000 : size - 2000]).max() < error
    assert np.array_equal(audio().read(Record(path.read_bytes(), "a")), read)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_sample_types(subtype: str) -> None:
    read = audio().read(Record(wav(tone(0.5), subtype=subtype), "a"))
    full = read / 32768 if read.dtype == np.int16 else read
    assert np.abs(full - tone(0.5)).max() < (0.01 if subtype == "PCM_U8" else 1e-6)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 44101, 48000])
def test_rates_are_resampled(rate: int) -> None:
    read = audio().read(Record(wav(tone(1.0, rate), rate), "a"))
    assert len(read) == RATE
    middle = slice(1000, -1000)
    assert np.abs(read[middle] - tone(1.0)[middle]).max() < 5e-3


def test_channels_are_averaged() -> None:
    left, right = tone(0.5), tone(0.5, pitch=880)
    stereo = np.stack([left, right], axis=1)
    expected = (left + right) / 2
    assert np.abs(audio().read(Record(wav(stereo), "a")) - expected).max() < 1e-4
    for array in (stereo, stereo.T, torch.from_numpy(stereo)):
        assert np.abs(audio().read(Record(array, "a", extra={"rate": RATE})) - expected).max() < 1e-6


def test_arrays_and_mappings() -> None:
    sound = tone(0.5)
    plain = audio().read(Record(sound, "a", extra={"rate": RATE}))
    for data in (
        (sound, RATE),
        (torch.from_numpy(sound), RATE),
        (sound.astype(np.float64), RATE),
        {"array": sound, "sampling_rate": RATE},
    ):
        assert np.array_equal(audio().read(Record(data, "a")), plain)
    assert np.array_equal(plain, sound)
    assert audio().read(Record({"bytes": wav(sound), "path": "gone.wav"}, "a")).dtype == np.int16
    whole = (sound * 2**31).astype(np.int32)
    assert np.abs(audio().read(Record((whole, RATE), "a")) - sound).max() < 1e-6


def test_reads_no_more_than_the_frames_need(tmp_path: Path) -> None:
    ramp = (np.arange(RATE * 10) % 30000).astype(np.int16)
    path = tmp_path / "long.wav"
    soundfile.write(path, ramp, RATE)
    need = 127 * 160 + 400
    for fit, extra, first in (("start", {}, 0), ("crop", {}, (len(ramp) - need) // 2)):
        read = audio(fit=fit).read(Record(str(path), "a", extra=extra))
        assert np.array_equal(read, ramp[first : first + need])
    drawn = [audio().read(Record(str(path), "a", extra={"seed": seed})) for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert all(len(clip) == need for clip in drawn)


@pytest.mark.parametrize("rate", [16000, 44100, 8000])
def test_windows_hold_every_frame_once(rate: int) -> None:
    adapter = audio(fit="windows", subtract_mean=False)
    long = np.random.default_rng(0).standard_normal(rate * 5).astype(np.float32) * 0.1
    record = Record((long, rate), "long", label="x")
    with pytest.raises(BadSample, match="expand"):
        adapter.read(record)
    parts = adapter.expand(record)
    assert [part.extra["clip"] for part in parts] == ["long"] * 4
    assert len({part.key for part in parts}) == 4
    assert all(part.label == "x" for part in parts)
    batch = adapter.collate([adapter.read(part) for part in parts])
    features, frames = adapter.features({**batch, "wave": batch["wave"]})
    whole = Audio(frames=498, mel_bins=64, patch_size=(6, 64), subtract_mean=False)
    expected = whole.features(whole.collate([whole.read(record)]))[0][0]
    assert frames is not None
    assert frames.sum() == 498
    joined = torch.cat([row[:count] for row, count in zip(features, frames, strict=True)])
    inner = torch.ones(498, dtype=torch.bool)
    if rate != 16000:  # the filter of the resampler sees silence before a window
        inner[[127, 128, 255, 256, 383, 384]] = False
    unlike = (joined - expected)[inner].abs()
    assert unlike.median() < 0.01
    assert torch.quantile(unlike, 0.99) < 0.1
    assert adapter.expand(parts[0]) == (parts[0],)
    assert audio().expand(record) == (record,)


def test_what_is_no_sound(tmp_path: Path) -> None:
    flac, mono = wav(tone(2.0), kind="FLAC"), wav(tone(2.0))
    files = {
        "empty.wav": (b"", "empty"),
        "text.wav": (b"this is a text file\n" * 40, "not a sound file"),
        "cut.flac": (flac[: len(flac) // 2], "damaged|cut off|not a sound"),
        "cut.wav": (mono[: len(mono) // 2], "cut off"),
        "header.wav": (mono[:44], "no sound|cut off"),
        "short.wav": (wav(tone(0.01)), "one frame needs 400"),
        "none.wav": (wav(tone(0.0)), "no sound"),
    }
    for name, (content, message) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        for data in (str(path), content):
            with pytest.raises(BadSample, match=message):
                audio().read(Record(data, name))
    with pytest.raises(BadSample, match="no such file"):
        audio().read(Record(str(tmp_path / "gone.wav"), "gone"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_arrays_that_are_no_sound(bad: float) -> None:
    spoilt = tone(0.5)
    spoilt[100] = bad
    with pytest.raises(BadSample, match="NaN or infinite"):
        audio().read(Record((spoilt, RATE), "a"))
    with pytest.raises(BadSample, match="NaN or infinite"):
        audio().read(Record(wav(spoilt, subtype="FLOAT"), "a"))
    for data, message in (
        (tone(0.5), "without a sample rate"),
        ((tone(0.5), -1), "whole number"),
        ((np.zeros((2, 3, 4)), RATE), "expected numbers of shape"),
        ((np.array(["a"]), RATE), "expected numbers of shape"),
        ({"path": None}, "without array, bytes or path"),
    ):
        with pytest.raises(BadSample, match=message):
            audio().read(Record(data, "a"))


def test_unfinished_stream_headers_are_read_to_the_end() -> None:
    content = bytearray(wav(tone(0.5)))
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    assert len(audio().read(Record(bytes(content), "a"))) == 8000


def test_resample_keeps_length_and_needs_little_memory() -> None:
    assert len(resample(np.zeros(44101, dtype=np.float32), 44101, 16000)) == 16000
    same = tone(0.1)
    assert resample(same, RATE, RATE) is same


def test_missing_soundfile_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(UserError, match=r'pip install "maskedmod\[audio\]"'):
        audio().read(Record(b"RIFF", "a"))

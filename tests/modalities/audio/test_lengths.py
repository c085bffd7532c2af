"""Sound files whose header does not know their length, or tells another, and files that can only be read from the start."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from maskedmod.modalities.audio import Audio, mpeg
from maskedmod.modalities.audio.flac import total_samples

from maskedmod.core.modality import BadSample, Record, changes

soundfile = pytest.importorskip("soundfile")


def sound(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Noise under a swell, so that a variable bit rate varies."""
    count = int(seconds * rate)
    noise = np.random.default_rng(seed).normal(size=(count, channels)) * np.linspace(0.001, 0.3, count)[:, None]
    return np.clip(noise + 0.1 * np.sin(np.arange(count) / 9)[:, None], -1, 1)


def file(wave: np.ndarray, rate: int, kind: str, subtype: str | None = None, **more: Any) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format=kind, subtype=subtype, **more)
    return out.getvalue()


def audio(rate: int, fit: str = "crop", frames: int = 64) -> Audio:
    return Audio(sample_rate=rate, mel_bins=32, frames=frames, patch_size=16, mean=-4.0, std=4.0, fit=fit)  # type: ignore[arg-type]


def parts(data: Any, rate: int) -> list[np.ndarray]:
    """The windows of a recording, one after another."""
    modality = audio(rate, "windows")
    return [modality.read(record) for record in modality.expand(Record(data, key="x"))]


def unknown(raw: bytes) -> bytes:
    at = raw.index(b"fLaC") + 8 + 13
    return raw[:at] + bytes([raw[at] & 0xF0]) + bytes(4) + raw[at + 5 :]


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"), [(16000, 1, "PCM_16"), (44100, 2, "PCM_24"), (8000, 1, "PCM_S8"), (22050, 3, "PCM_16")]
)
def test_flac_that_does_not_know_its_length(rate: int, channels: int, subtype: str, tmp_path: Path) -> None:
    raw = file(sound(3.1, rate, channels), rate, "FLAC", subtype)
    blind = unknown(raw)
    assert total_samples(blind) == int(3.1 * rate)
    assert total_samples(blind + b"TAG" + bytes(125)) == int(3.1 * rate)
    (tmp_path / "a.flac").write_bytes(blind)
    for given in (blind, str(tmp_path / "a.flac"), tmp_path / "a.flac"):
        for fit in ("start", "crop"):
            with changes() as heard:
                found = audio(rate, fit).read(Record(given, key="x"))
            np.testing.assert_array_equal(found, audio(rate, fit).read(Record(raw, key="x")))
            assert any("of 3.10 s used" in one for one in heard)
        wanted = parts(raw, rate)
        assert len(wanted) == 5 and all(map(np.array_equal, parts(given, rate), wanted))
    torn = total_samples(blind[:-300])
    assert 0 < torn < int(3.1 * rate) and len(parts(blind[:-300], rate)) in (4, 5)


def test_a_length_that_no_file_holds_is_no_list_of_windows() -> None:
    raw = file(sound(2.0, 16000), 16000, "FLAC")
    at = raw.index(b"fLaC") + 8 + 13
    lying = raw[:at] + bytes([raw[at] | 0x0F]) + b"\xff" * 4 + raw[at + 5 :]
    with pytest.raises(BadSample, match="cut off: the header promises 68719476735 samples, 32000 are there"):
        parts(lying, 16000)
    with pytest.raises(BadSample, match="no whole frame was found"):
        parts(unknown(raw)[: raw.index(b"\xff\xf8") + 400], 16000)
    silence = file(np.zeros(16000 * 60), 16000, "FLAC")
    assert len(parts(silence, 16000)) == len(parts(unknown(silence), 16000)) == 94
    mp3 = variable(3.0, 16000)
    count = mpeg.count_frames(mp3)
    assert count is not None
    told = mp3[:200].replace(count.count.to_bytes(4, "big"), b"\x7f\xff\xff\xff", 1) + mp3[200:]
    with pytest.raises(BadSample, match="the header promises"):
        parts(told, 16000)


def variable(seconds: float, rate: int, seed: int = 0) -> bytes:
    return file(sound(seconds, rate, seed=seed), rate, "MP3", bitrate_mode="VARIABLE", compression_level=0.5)


@pytest.mark.parametrize("rate", [16000, 24000, 44100, 48000])
def test_mp3_without_a_header_frame_or_with_one_that_tells_less(rate: int) -> None:
    raw = variable(6.0, rate)
    frames = mpeg.count_frames(raw)
    assert frames is not None and frames.told == frames.count and frames.first > 0
    bare = raw[frames.first :]
    again = mpeg.count_frames(bare)
    assert again is not None and (again.told, again.count) == (None, frames.count)
    tagged = b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + bare + b"TAG" + bytes(125)
    lying = raw[:200].replace(frames.count.to_bytes(4, "big"), (frames.count // 3).to_bytes(4, "big"), 1) + raw[200:]
    for given in (bare, tagged, lying):
        with changes() as heard:
            audio(rate, "start").read(Record(given, key="x"))
        (said,) = [one for one in heard if "s used" in one]
        assert abs(float(said.split(" of ")[1].split()[0]) - 6.0) < 0.15
        assert len(parts(given, rate)) == len(parts(raw, rate))
    assert any("all are used" in one for one in heard)
    two = raw + variable(3.0, rate, 1)
    joined = parts(two, rate)
    assert abs(sum(map(len, joined)) / rate - 9.0) < 0.5


def test_parts_of_an_mp3_are_parts_of_the_whole() -> None:
    rate = 16000
    raw = variable(8.0, rate)
    frames = mpeg.count_frames(raw)
    assert frames is not None
    with soundfile.SoundFile(io.BytesIO(mpeg.with_count(raw, frames))) as whole:
        samples = whole.read(dtype="float32")
    modality = audio(rate, "windows")
    for record in modality.expand(Record(raw[frames.first :], key="x")):
        first = round(record.extra["start"] * rate)
        found = modality.read(record)
        np.testing.assert_allclose(found, samples[first : first + len(found)], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "GSM610"), ("AIFF", "GSM610"), ("W64", "GSM610"), ("AU", "G721_32"), ("AU", "G723_24"), ("WAV", "NMS_ADPCM_32")],
)
def test_files_that_are_read_from_the_start(kind: str, subtype: str) -> None:
    rate = 8000
    raw = file(sound(5.0, rate), rate, kind, subtype)
    with soundfile.SoundFile(io.BytesIO(raw)) as opened:
        assert not opened.seekable()
        whole = opened.read(opened.frames, dtype="float32")
    windows = parts(raw, rate)
    assert len(windows) == -(-int(5.0 * 100 - 2) // 64)
    modality = audio(rate, "windows")
    for record in modality.expand(Record(raw, key="x")):
        first = round(record.extra["start"] * rate)
        found = modality.read(record)
        np.testing.assert_array_equal(found, whole[first : first + len(found)])
    middle = audio(rate, "crop").read(Record(raw, key="x"))
    np.testing.assert_array_equal(middle, whole[(len(whole) - len(middle)) // 2 :][: len(middle)])


@pytest.mark.parametrize(
    "size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFF0000, 0xFFFFF000, 0x7FFFFFDB]
)
@pytest.mark.parametrize(("subtype", "channels"), [("PCM_16", 1), ("FLOAT", 2), ("ULAW", 1)])
def test_wav_that_was_streamed(size: int, subtype: str, channels: int) -> None:
    raw = file(sound(2.0, 16000, channels), 16000, "WAV", subtype)
    at = raw.index(b"data") + 4
    head = raw[:4] + struct.pack("<I", min(size + at - 4, 0xFFFFFFFF)) + raw[8:at]
    wanted, given = parts(raw, 16000), parts(head + struct.pack("<I", size) + raw[at + 4 :], 16000)
    assert len(given) == len(wanted) == 4 and all(map(np.array_equal, given, wanted))
    promised = struct.pack("<I", 2 * len(raw))
    with pytest.raises(BadSample, match="cut off: the header promises"):
        audio(16000).read(Record(raw[:at] + promised + raw[at + 4 :], key="x"))


def test_au_that_was_streamed_or_cut_off() -> None:
    raw = file(sound(2.0, 16000), 16000, "AU", "PCM_16")
    for size in (0, 0xFFFFFFFF):
        assert len(parts(raw[:8] + struct.pack(">I", size) + raw[12:], 16000)) == 4
    with pytest.raises(BadSample, match="cut off"):
        audio(16000).read(Record(raw[:-5000], key="x"))


def test_joined_ogg_and_opposite_channels_are_told() -> None:
    raw = file(sound(1.0, 16000), 16000, "OGG", "VORBIS")
    with changes() as heard:
        audio(16000).read(Record(raw + raw, key="x"))
    assert "only the first of 2 joined Ogg streams used" in heard
    with changes() as heard:
        audio(16000).read(Record(raw, key="x"))
    assert not any("Ogg" in one for one in heard)
    one = sound(1.0, 16000)
    for given in (file(np.hstack([one, -one]), 16000, "WAV"), (np.hstack([one, -one]).astype(np.float32), 16000)):
        with changes() as heard:
            audio(16000).read(Record(given, key="x"))
        assert any("of the energy cancels out" in line for line in heard)
    with changes() as heard:
        audio(16000).read(Record(file(sound(1.0, 16000, 2), 16000, "WAV"), key="x"))
    assert not any("cancels" in line for line in heard)

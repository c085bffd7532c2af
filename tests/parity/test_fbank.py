"""The filter bank against recorded outputs of published code, and against torchaudio itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.audio import Audio, Filterbank, kaldi_fbank, resample
from maskedmod.modalities.audio.fbank import triangles
from safetensors.torch import load_file
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.modality import Record
from maskedmod.support.compat import require
from tests.conftest import parity_case, shared

BEATS: dict[str, Any] = {
    "window": "povey",
    "scale": 2.0**15,
    "mean": 15.41663,
    "std": 6.55582,
    "subtract_mean": False,
    "fit": "start",
}


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def check(name: str, ours: Tensor, theirs: Tensor, rounding: dict[str, float]) -> None:
    """Close as a whole, and place by place within a few times what float32 costs the published code itself."""
    assert ours.shape == theirs.shape
    apart = (ours - theirs).abs().flatten()
    assert relative(ours, theirs) < 1e-5, name
    assert apart.median() <= 2 * rounding["median"], name
    assert torch.quantile(apart, 0.999) <= 4 * rounding["q99.9"], name
    assert apart.max() <= 8 * rounding["max"], name
    parity_case(f"fbank/{name}")


def prepared(audio: Audio, waves: list[Tensor], rate: int = 16000) -> dict[str, Any]:
    samples = [audio.read(Record((wave.flatten().numpy(), rate), "clip")) for wave in waves]
    return audio.prepare(audio.collate(samples), Context(training=False))


def cases() -> list[Path]:
    return sorted(path.parent for path in shared("parity/fbank").rglob("meta.json"))


def test_recorded_outputs_of_audio_mae_and_beats() -> None:
    for folder in cases():
        meta = json.loads((folder / "meta.json").read_text())
        golden: dict[str, Tensor] = {}
        for file in sorted(folder.glob("*.safetensors")):
            golden.update(load_file(file))
        rounding, settings = meta["float32_vs_float64"], meta["constructor"]
        bins = settings["audiomae"]["num_mel_bins"]
        for i, clip in enumerate(meta["clips"]):
            wave, rate = golden[f"input.wave{i}"], clip["sample_rate"]
            bank = Filterbank(rate, bins)
            check(
                f"audiomae_raw{i}",
                kaldi_fbank(wave - wave.mean(), bank)[0],
                golden[f"output.audiomae_raw{i}"],
                rounding[f"output.audiomae_raw{i}"],
            )
            frames, norm = (
                settings["audiomae"]["target_length"][i],
                (settings["audiomae"]["norm_mean"], settings["audiomae"]["norm_std"]),
            )
            # the published code takes the mean of the whole clip, also of what is cut off afterwards
            mae = Audio(rate, bins, frames, mean=norm[0], std=norm[1], fit="start", subtract_mean=False)
            features = prepared(mae, [wave - wave.mean()])["fbank"][0]
            check(f"audiomae{i}", features, golden[f"output.audiomae{i}"], rounding[f"output.audiomae{i}"])
            check(
                f"beats_raw{i}",
                kaldi_fbank(wave * 2**15, Filterbank(rate, bins, "povey"))[0],
                golden[f"output.beats_raw{i}"],
                rounding[f"output.beats_raw{i}"],
            )
            whole = bank.frames(wave.shape[-1])
            beats = Audio(rate, bins, frames=whole, patch_size=(1, bins), **BEATS)
            check(f"beats{i}", prepared(beats, [wave])["fbank"][0], golden[f"output.beats{i}"], rounding[f"output.beats{i}"])
        torch.testing.assert_close(triangles(Filterbank()), golden["latent.mel_banks_16k"], atol=2e-5, rtol=0)


def real_clip() -> Tensor:
    return load_file(shared("parity/fbank") / "golden.safetensors")["input.wave0"]


@pytest.mark.parametrize("window", ["hanning", "povey", "hamming"])
@pytest.mark.parametrize("rate", [16000, 8000, 22050])
@pytest.mark.parametrize("band", [(20.0, 0.0), (125.0, -400.0), (60.0, 3800.0)])
def test_equals_torchaudio(window: str, rate: int, band: tuple[float, float]) -> None:
    kaldi = require("torchaudio.compliance.kaldi", "audio")
    wave = torch.from_numpy(resample(real_clip().flatten().numpy(), 16000, rate))[None]
    settings = {"window_type": window, "low_freq": band[0], "high_freq": band[1], "num_mel_bins": 40}
    theirs = kaldi.fbank(wave, sample_frequency=rate, dither=0.0, use_energy=False, htk_compat=True, **settings)
    bank = Filterbank(rate, 40, window, low_freq=band[0], high_freq=band[1])  # type: ignore[arg-type]
    ours = kaldi_fbank(wave, bank)[0]
    assert ours.shape == theirs.shape
    assert relative(ours, theirs) < 1e-6
    assert (ours - theirs).abs().max() < 1e-4
    parity_case(f"fbank/torchaudio {window} {rate} {band}")


def test_other_frame_lengths() -> None:
    kaldi = require("torchaudio.compliance.kaldi", "audio")
    wave = real_clip()
    theirs = kaldi.fbank(wave, dither=0.0, window_type="hanning", frame_length=50.0, frame_shift=12.5, num_mel_bins=64)
    ours = kaldi_fbank(wave, Filterbank(mel_bins=64, frame_length_ms=50.0, frame_shift_ms=12.5))[0]
    assert relative(ours, theirs) < 1e-6
    parity_case("fbank/torchaudio 50 ms")


def test_batch_equals_single_clips() -> None:
    """Also over the border of a chunk, and when clips of other lengths stand beside."""
    wave = torch.randn(5, 60000) * 0.1
    bank = Filterbank()
    single = torch.cat([kaldi_fbank(row[None], bank) for row in wave])
    torch.testing.assert_close(kaldi_fbank(wave, bank), single, atol=2e-5, rtol=0)
    long = torch.randn(1, 16000 * 60) * 0.1
    last = kaldi_fbank(long[:, 59 * 16000 :], bank)
    torch.testing.assert_close(kaldi_fbank(long, bank)[:, 5900:], last, atol=2e-5, rtol=0)

    audio = Audio(frames=256, mel_bins=64)
    clips = [real_clip()[:, :n] for n in (24000, 9000, 16001)]
    together = prepared(audio, clips)["fbank"]
    for row, clip in zip(together, clips, strict=True):
        torch.testing.assert_close(row, prepared(audio, [clip])["fbank"][0], atol=2e-5, rtol=0)


def test_needs_no_gradient_and_full_precision() -> None:
    wave = (torch.randn(1, 4000) * 0.1).requires_grad_()
    features = kaldi_fbank(wave, Filterbank())
    assert not features.requires_grad
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(kaldi_fbank(wave, Filterbank()), features)
    assert kaldi_fbank(torch.zeros(2, 399), Filterbank()).shape == (2, 0, 128)
    silence = kaldi_fbank(torch.zeros(1, 400), Filterbank())
    assert torch.allclose(silence, torch.full_like(silence, math.log(torch.finfo(torch.float32).eps)))


@pytest.mark.parametrize(("rate", "target"), [(44100, 16000), (8000, 16000), (48000, 16000), (16000, 8000), (22050, 16000)])
def test_resampling_equals_torchaudio(rate: int, target: int) -> None:
    functional = require("torchaudio.functional", "audio")
    wave = np.random.default_rng(0).standard_normal(rate + 17).astype(np.float32) * 0.1
    theirs = functional.resample(torch.from_numpy(wave), rate, target).numpy()
    ours = resample(wave, rate, target)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 2e-5
    parity_case(f"resample/{rate} {target}")

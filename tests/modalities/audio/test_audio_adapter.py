"""The audio adapter: patches and back, validity, statistics, pictures, sound, augmentation, the built-in clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.audio import Audio
from maskedmod.modalities.audio.augment.roll import Roll

from maskedmod.core.context import Context
from maskedmod.core.modality import Record
from maskedmod.errors import UserError
from maskedmod.testing import check_modality


def clip(samples: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def batch_of(audio: Audio, *lengths: int) -> dict[str, Any]:
    records = [Record((clip(n, i), 16000), str(i)) for i, n in enumerate(lengths)]
    return audio.collate([audio.read(record) for record in records])


def evaluate(audio: Audio, *lengths: int) -> dict[str, Any]:
    return audio.prepare(batch_of(audio, *lengths), Context(training=False))


CONTRACT = [
    {"frames": 192, "mel_bins": 64},
    {"frames": 160, "patch_size": (32, 8), "mask_padding": False},
    {"frames": 128, "stride": 10, "mean": None, "std": None, "pad": "mean"},
    {"frames": 128, "sample_rate": 8000, "fit": "windows", "mel_bins": 32, "patch_size": (4, 32), "window": "povey"},
]


@pytest.mark.parametrize("settings", CONTRACT)
def test_contract(settings: dict[str, Any]) -> None:
    audio = Audio(**settings)
    check_modality(audio, [part for record in audio.demo("train")[:3] for part in audio.expand(record)])


@pytest.mark.parametrize(
    ("patch", "stride", "grid"),
    [(16, None, (8, 4)), ((32, 8), None, (4, 8)), ((2, 64), None, (64, 1)), (16, 8, (15, 7)), ((16, 16), (10, 12), (12, 5))],
)
def test_patches_and_back(patch: Any, stride: Any, grid: tuple[int, int]) -> None:
    audio = Audio(frames=128, mel_bins=64, patch_size=patch, stride=stride)
    batch = {"fbank": torch.randn(2, 128, 64)}
    tokens = audio.tokenize(batch)["main"]
    (pt, pf), (t, f) = audio.lattice.patch, grid
    assert audio.spec.grid == tokens.layout.grid == grid
    assert tokens.values.shape == (2, t * f, pt * pf) == (2, t * f, audio.spec.values)
    st, sf = audio.lattice.stride
    row, column = 2, f - 1
    expected = batch["fbank"][:, row * st : row * st + pt, column * sf : column * sf + pf].flatten(1)
    assert torch.equal(tokens.values[:, row * f + column], expected)
    assert tokens.pos[0, row * f + column].tolist() == [row, column]
    back = audio.untokenize(tokens.values, tokens)[:, 0]
    covered = slice(0, (t - 1) * st + pt), slice(0, (f - 1) * sf + pf)
    torch.testing.assert_close(back[:, *covered], batch["fbank"][:, *covered])


def test_patch_order_is_that_of_a_convolution() -> None:
    audio = Audio(frames=64, mel_bins=32, patch_size=(16, 8))
    tokens = audio.tokenize({"fbank": torch.randn(2, 64, 32)})["main"]
    embed = audio.embedding(24)
    weight, bias = embed.weight.view(24, 1, 16, 8), embed.bias
    image = audio.untokenize(tokens.values, tokens)
    conv = torch.nn.functional.conv2d(image, weight, bias, stride=(16, 8)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embed(tokens.values), conv, atol=1e-5, rtol=1e-5)


def test_only_patches_with_sound_are_valid() -> None:
    audio = Audio(frames=128, mel_bins=64)
    need = audio.part.samples
    prepared = evaluate(audio, need, 400 + 160 * 15, 400 + 160 * 16, 400)
    assert prepared["frames"].tolist() == [128, 16, 17, 1]
    valid = audio.tokenize(prepared)["main"].layout.valid
    assert valid is not None
    assert valid.reshape(4, 8, 4)[..., 0].sum(1).tolist() == [8, 1, 2, 1]
    assert (valid.reshape(4, 8, 4) == valid.reshape(4, 8, 4)[..., :1]).all()

    assert audio.tokenize(evaluate(audio, need, need + 5))["main"].layout.valid is None
    as_published = Audio(frames=128, mel_bins=64, mask_padding=False)
    assert as_published.tokenize(evaluate(as_published, need, 400))["main"].layout.valid is None


def test_padding_values() -> None:
    zero, mean = Audio(frames=128, mel_bins=64), Audio(frames=128, mel_bins=64, pad="mean")
    after = evaluate(zero, 8000)
    assert torch.allclose(after["fbank"][0, 48:], torch.tensor(4.2677393 / (2 * 4.5689974)))
    assert (evaluate(mean, 8000)["fbank"][0, 48:] == 0).all()
    assert torch.equal(evaluate(mean, 8000)["fbank"][0, :48], after["fbank"][0, :48])


def test_int16_and_float_clips_mix() -> None:
    audio = Audio(frames=128, mel_bins=64)
    whole = (clip(9000) * 32767).astype(np.int16)
    same = audio.collate([whole])
    assert same["wave"].dtype == torch.int16
    mixed = audio.collate([whole, clip(9000)])
    assert mixed["wave"].dtype == torch.float32
    context = Context(training=False)
    assert torch.allclose(audio.prepare(mixed, context)["fbank"][0], audio.prepare(same, context)["fbank"][0], atol=1e-5)


def test_statistics_are_measured_over_real_frames() -> None:
    audio = Audio(frames=128, mel_bins=64, mean=None, std=None)
    with pytest.raises(UserError, match=r"modality\.mean"):
        evaluate(audio, 8000)
    samples = [audio.read(Record((clip(n, n) * (1 + n / 9000), 16000), "a")) for n in range(3000, 23000, 1000)]
    found = audio.measure(samples)
    audio.statistics.update(found)
    values = []
    for sample in samples:
        features, frames = audio.features(audio.collate([sample]))
        values.append(features[0, : 128 if frames is None else int(frames)].flatten())
    flat = torch.cat(values)
    assert found["clips"] == 20
    assert found["mean"] == pytest.approx(float(flat.mean()), rel=1e-4)
    assert found["std"] == pytest.approx(float(flat.std()), rel=1e-3)
    normal = audio.prepare(audio.collate([samples[-1]]), Context(training=False))["fbank"]
    assert normal.std() == pytest.approx(0.5, abs=0.2)
    assert Audio(frames=128, mel_bins=64).measure(samples) == {}
    assert Audio(frames=128, mel_bins=64, mean=0.0, std=None).measure(samples)["std"] > 0
    with pytest.raises(UserError, match="no training clip"):
        audio.measure([])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": 100}, "frames=100 is no multiple"),
        ({"mel_bins": 100}, "mel_bins=100 is no multiple"),
        ({"stride": 20}, "would never be seen"),
        ({"patch_size": (16, 256)}, "does not fit"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"fit": "middle"}, "fit is 'middle'"),
        ({"pad": "wrap"}, "pad is 'wrap'"),
        ({"std": 0.0}, "positive"),
        ({"high_freq": 9000.0}, "expected 0 <= low < high <= 8000"),
        ({"window": "flat"}, "window 'flat'"),
        ({"frame_shift_ms": 0.0}, "frames of 400 samples every 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Audio(**settings)


def test_pictures_show_the_clip_and_grey_what_is_hidden() -> None:
    audio = Audio(frames=128, mel_bins=64, stride=8)
    time = np.arange(16000) / 16000
    low_tone = (0.3 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    batch = audio.collate([audio.read(Record((low_tone, 16000), "a")), audio.read(Record((clip(30000), 16000), "b"))])
    tokens = audio.tokenize(audio.prepare(batch, Context(training=False)))["main"]
    first, second = (panel.image for panel in audio.draw(tokens.values, tokens))
    assert first.shape == (256, 98 * 4, 3)
    assert second.shape == (256, 128 * 4, 3)
    assert first.dtype == np.uint8
    rows = first.astype(int).sum((1, 2))
    assert rows.argmax() > 200, "a low tone is drawn at the bottom"
    hidden = torch.zeros(tokens.shape, dtype=torch.bool)
    hidden[:, : 5 * 7] = True  # the first five columns of patches: frames 0 to 40 are seen by no other
    grey = audio.draw(tokens.values, tokens, hidden)[0].image
    assert (grey[:, : 40 * 4] == 128).all()
    assert np.array_equal(grey[:, 40 * 4 :], first[:, 40 * 4 :])
    assert audio.draw(tokens.values, tokens)[0].caption == "0.98 s, to 8 kHz"


def test_sound_has_the_spectrogram_it_was_made_from() -> None:
    audio = Audio(frames=192, mel_bins=64)
    records = [audio.demo("val")[i] for i in (0, 6)]
    batch = audio.collate([audio.read(record) for record in records])
    tokens = audio.tokenize(audio.prepare(batch, Context(training=False)))["main"]
    for i, (wave, rate) in enumerate(audio.audio(tokens.values, tokens)):
        assert rate == 16000
        assert wave.dtype == np.float32
        assert np.abs(wave).max() <= 1.0
        again = audio.features(audio.collate([wave]))[0][0]
        wanted = audio.log_mel(tokens.values)[i]
        size = int(tokens.frames[i]) - 4
        loud = wanted[4:size] > wanted[4:size].max() - 6
        gap = (again - wanted)[4:size][loud]
        assert (gap - gap.median()).abs().median() < 0.5, "loud places are off by more than half a neper"


def test_roll_moves_clips_and_not_their_padding() -> None:
    wave, lengths = torch.zeros(64, 1000), torch.full((64,), 600)
    wave[:, :600] = torch.arange(1.0, 601.0)
    batch = {"wave": wave, "lengths": lengths}

    def rolled(**settings: Any) -> torch.Tensor:
        return Roll(**settings)(batch, Context(generator=torch.Generator().manual_seed(1)))["wave"]

    moved = rolled(gain=0)
    assert (moved[:, 600:] == 0).all()
    assert torch.equal(moved[:, :600].sort(1).values, wave[:, :600])
    assert torch.equal((moved[:, 1:600] - moved[:, :599]).eq(1).sum(1).clamp(max=598), torch.full((64,), 598))
    assert len(set(moved[:, 0].tolist())) > 40
    assert torch.equal(rolled(shift=0.0, gain=0), wave)
    factors = (rolled(shift=0.0) / wave)[:, 0]
    assert factors.mean() == pytest.approx(1.0, abs=0.05)
    assert factors.std() == pytest.approx(0.109, abs=0.03)
    assert torch.equal(rolled(), rolled())
    for wrong in ({"shift": 2.0}, {"gain": -1}):
        with pytest.raises(ValueError, match="roll"):
            Roll(**wrong)


def test_augmentation_only_in_training() -> None:
    audio = Audio(frames=128, mel_bins=64)
    audio.augment = Roll()
    batch = batch_of(audio, 12000)
    still = [audio.prepare(batch, Context(training=False))["fbank"] for _ in range(2)]
    moved = audio.prepare(batch, Context(training=True, generator=torch.Generator().manual_seed(0)))["fbank"]
    assert torch.equal(*still)
    assert not torch.equal(moved, still[0])


def test_built_in_clips() -> None:
    train, val = Audio().demo("train"), Audio().demo("val")
    assert (len(train), len(val)) == (512, 64)
    assert len({record.label for record in train[:10]}) == 10
    first, again, other = (np.asarray(record.data) for record in (train[3], train[3], val[3]))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:1000], other[:1000])
    for record in train[:20]:
        sound = Audio().read(record)
        assert 1.2 * 16000 - 1 <= len(sound) <= 2 * 16000
        assert 0.05 < np.abs(sound).max() < 0.8
    assert train[-1].key == "demo train 511 (rise)"
    with pytest.raises(IndexError):
        train[512]
    with pytest.raises(ValueError, match="expected train or val"):
        Audio().demo("test")


@pytest.mark.parametrize("frequency", [250.0, 1000.0, 4000.0])
def test_ticks_stand_where_a_tone_is_drawn(frequency: float) -> None:
    """The brightest row of a pure tone's picture is that of its frequency on the axis; the time axis ends with the clip."""
    adapter = Audio(mel_bins=128, frames=96, patch_size=16)
    time = np.arange(adapter.part.samples) / 16000
    batch = adapter.collate([(0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)])
    tokens = adapter.tokenize(adapter.prepare(batch, Context(training=False)))["main"]
    (panel,) = adapter.draw(tokens.values, tokens)
    place = {label: at for at, label in panel.upward}[f"{frequency:g} Hz" if frequency < 1000 else f"{frequency / 1000:g} kHz"]
    loud = adapter.log_mel(tokens.values)[0].mean(0).argmax().item()
    assert abs(place - (loud + 0.5) / 128) < 1 / 128
    assert [label for _, label in panel.across] == ["0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s"]
    assert panel.across[-1][0] == pytest.approx(0.8 / 0.96)

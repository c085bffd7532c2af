"""Floats on the scale of integers: training and use give one answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from maskedmod.modalities.audio import Audio

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.batches import read
from maskedmod.data.statistics import measure

soundfile = pytest.importorskip("soundfile")
RATE = 16000


def folder(path: Path, scales: list[float], subtype: str = "FLOAT") -> list[Record]:
    found = []
    for i, scale in enumerate(scales):
        wave = np.clip(np.random.default_rng(i).normal(size=RATE // 2) * 0.2, -1, 1) * scale
        soundfile.write(path / f"{i}.wav", wave, RATE, subtype=subtype)
        found.append(Record(path / f"{i}.wav", key=f"{i}.wav"))
    return found


def audio(measured: bool) -> Audio:
    given = {} if measured else {"mean": -4.0, "std": 4.0}
    return Audio(sample_rate=RATE, mel_bins=32, frames=32, patch_size=16, **({"mean": None, "std": None} | given))  # type: ignore[arg-type]


def taken(modality: Audio, records: list[Record], training: bool) -> list[bool]:
    out = []
    for i, record in enumerate(records):
        try:
            read(modality, record, i if training else None)
            out.append(True)
        except BadSample as error:
            assert "divide by 32768" in str(error)
            out.append(False)
    return out


@pytest.mark.parametrize(
    ("measured", "scales", "expected"),
    [
        (False, [1.0] * 4, [True] * 4),
        (False, [32767.0] * 4, [False] * 4),
        (True, [32767.0] * 5, [True] * 5),
        (True, [1.0, 1.0, 32767.0, 1.0, 0.01], [True, True, False, True, True]),
        (True, [8e6] * 3, [True] * 3),
        (True, [20.0, 25.0, 30.0], [True] * 3),
    ],
)
def test_training_and_use_take_the_same_clips(measured: bool, scales: list[float], expected: list[bool], tmp_path: Path) -> None:
    records, modality = folder(tmp_path, scales), audio(measured)
    modality.statistics.update(measure(records, modality, 16))
    assert taken(modality, records, True) == taken(modality, records, False) == expected
    assert bool(modality.remarks()) == (measured and all(expected) and min(scales) > 100)
    (tmp_path / "other").mkdir()
    (louder,) = folder(tmp_path / "other", [1e9])
    assert taken(modality, [louder], False) == [False]


def test_a_loud_one_among_others_does_not_move_the_statistics(tmp_path: Path) -> None:
    records = folder(tmp_path, [1.0] * 6 + [32767.0])
    alone, mixed = audio(True), audio(True)
    assert measure(records, mixed, 16)["mean"] == pytest.approx(measure(records[:6], alone, 16)["mean"])


def test_statistics_of_earlier_versions_tell_the_scale_by_their_mean(tmp_path: Path) -> None:
    records, modality = folder(tmp_path, [32767.0] * 2), audio(True)
    found = measure(records, modality, 16)
    modality.statistics.update({"mean": found["mean"], "std": found["std"]})
    assert taken(modality, records, True) == [True, True]

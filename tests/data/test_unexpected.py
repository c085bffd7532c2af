"""Exceptions that a reader or a source did not mean: bad samples by name, whatever they are, unless no file can be blamed."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from maskedmod.modalities.image import Image

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.batches import read
from maskedmod.data.loader import Loader
from maskedmod.data.sources import expanded
from maskedmod.errors import UserError
from maskedmod.features.inputs import batches
from maskedmod.features.opened import from_place
from tests.data.test_loader import numbers
from tests.data.toy_modality import Toy

MEANT = [KeyError(0), IndexError("list index out of range"), ZeroDivisionError(), struct.error("short"), MemoryError("7 TiB"),
         AssertionError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), RecursionError(), StopIteration()]  # fmt: skip
OURS = [UserError("a package is missing"), ImportError("no module"), NameError("x")]


class Odd(Toy):
    """Raises what a record holds."""

    def read(self, record: Record) -> Any:
        if isinstance(record.data, BaseException):
            raise record.data
        return super().read(record)

    def expand(self, record: Record) -> Any:
        if isinstance(record.data, BaseException):
            raise record.data
        return (record,)


class Hollow(list[Record]):
    """A source that cannot give its second record."""

    def __getitem__(self, index: Any) -> Any:
        if index == 1:
            raise IndexError("list index out of range")
        return super().__getitem__(index)


@pytest.mark.parametrize("error", MEANT, ids=repr)
def test_any_exception_over_a_record_is_a_bad_sample(error: Exception, tmp_path: Path) -> None:
    records = [*numbers([1]), Record(error, "odd.bin"), *numbers([3])]
    loader = Loader(records, Odd(), 2, shuffle=False, bad="skip", bad_path=tmp_path / "bad.jsonl")
    assert [batch["x"].tolist() for batch in loader.epoch_batches()] == [[1], [3]]
    (line,) = (tmp_path / "bad.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert told["key"] == "odd.bin" and type(error).__name__ in told["reason"] and "test_unexpected.py line" in told["reason"]
    assert "Traceback" in told["traceback"]
    with pytest.raises(UserError, match=r"odd.bin: cannot be read"):
        list(Loader(records, Odd(), 2, shuffle=False).epoch_batches())
    with pytest.raises(UserError, match=r"odd.bin: cannot be read"):
        list(batches(Odd(), records, 3))
    assert expanded(records, Odd()) == records


@pytest.mark.parametrize("error", OURS, ids=repr)
def test_what_no_file_can_be_blamed_for_ends_the_run(error: Exception) -> None:
    with pytest.raises(type(error)):
        list(Loader([Record(error, "odd.bin")], Odd(), 1, bad="skip").epoch_batches())


def test_a_record_that_its_source_cannot_give_is_named(tmp_path: Path) -> None:
    records = Hollow(numbers([1, 2, 3]))
    loader = Loader(records, Toy(), 2, shuffle=False, bad="skip", bad_path=tmp_path / "bad.jsonl")
    assert [batch["x"].tolist() for batch in loader.epoch_batches()] == [[1], [3]]
    assert json.loads((tmp_path / "bad.jsonl").read_text())["key"] == "record 1"
    found = list(from_place(records, 0))
    assert [record.key for record in found] == [records[0].key, "record 1", records[2].key]
    with pytest.raises(BadSample, match="IndexError"):
        read(Toy(), found[1], None)


def test_pictures_on_another_scale_are_bad_in_training_too() -> None:
    image = Image(size=8, patch_size=4)
    bright = Record(np.full((8, 8, 3), 200.0, np.float32), "bright")
    for seed in (None, 3):
        with pytest.raises(BadSample, match="divide by 255"):
            read(image, bright, seed)
    measured = Image(size=8, patch_size=4, mean=None, std=None)
    assert read(measured, bright, 3).shape == (3, 8, 8)

"""HDF5 files of samples."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from maskedmod.modalities.points import Points

from maskedmod.data.sources.hdf5 import Hdf5
from maskedmod.errors import UserError
from tests.conftest import shared

h5py = pytest.importorskip("h5py")
MODALITY = Points(points=32, groups=4, group_size=4)


def write(path: Path, count: int, **arrays: np.ndarray) -> None:
    draw = np.random.default_rng(count)
    with h5py.File(path, "w") as file:
        file["data"] = draw.standard_normal((count, 40, 3)).astype(np.float32)
        for name, array in arrays.items():
            file[name] = array


def test_files_of_a_benchmark(tmp_path: Path) -> None:
    """ModelNet40's way: several files of a split, labels ``[N, 1]``, names of the classes in a file beside."""
    for part, count in (("train0", 6), ("train1", 3), ("test0", 4)):
        write(tmp_path / f"ply_data_{part}.h5", count, label=np.arange(count)[:, None] % 2)
    (tmp_path / "shape_names.txt").write_text("chair\nlamp\n")
    source = Hdf5(str(tmp_path), names="shape_names.txt")
    train, val = source.records("train", MODALITY), source.records("val", MODALITY)
    assert [len(train), len(val), len(source.everything(MODALITY))] == [9, 4, 13]  # type: ignore[arg-type]
    assert source.notes == [f"{tmp_path}: 9 rows to train on, 4 to validate (array data)"]
    record = train[7]  # type: ignore[index]
    assert record.label == "lamp" and record.key == f"{tmp_path}/ply_data_train1.h5 row 1"
    assert MODALITY.read(pickle.loads(pickle.dumps(record))).shape == (32, 3)
    with h5py.File(tmp_path / "ply_data_train1.h5") as file:
        assert np.array_equal(np.asarray(record.data), file["data"][1])


def test_one_file_is_divided_by_its_rows(tmp_path: Path) -> None:
    write(tmp_path / "clouds.h5", 40)
    source = Hdf5(str(tmp_path / "clouds.h5"), val_fraction=0.2)
    train, val = source.records("train", MODALITY), source.records("val", MODALITY)
    keys = [{record.key for record in part} for part in (train, val)]  # type: ignore[union-attr]
    assert len(keys[0]) + len(keys[1]) == 40 and not keys[0] & keys[1] and 2 <= len(keys[1]) <= 16
    assert train[0].label is None  # type: ignore[index]


def test_real_files() -> None:
    source = Hdf5(str(shared("data/pointclouds") / "bimnet10"))
    train, val = source.records("train", MODALITY), source.records("val", MODALITY)
    assert [len(train), len(val)] == [165, 51]  # type: ignore[arg-type]
    assert {record.label for record in train} == set(range(10))  # type: ignore[union-attr]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 4, label=np.arange(3))
    (tmp_path / "b.h5").write_bytes(b"no HDF5 at all")
    with pytest.raises(UserError, match=r"a.h5: array label has the shape \(3,\), array data 4 rows"):
        Hdf5(str(tmp_path / "a.h5")).records("train", MODALITY)
    with pytest.raises(UserError, match=r"a.h5 has no array points of two axes or more; it has data, label"):
        Hdf5(str(tmp_path / "a.h5"), data="points").records("train", MODALITY)
    with pytest.raises(UserError, match=r"b.h5 is not a readable HDF5 file"):
        Hdf5(str(tmp_path / "b.h5")).records("train", MODALITY)
    with pytest.raises(UserError, match="no HDF5 file; expected a file, a glob or a folder with"):
        Hdf5(str(tmp_path / "none")).records("train", MODALITY)
    write(tmp_path / "c.h5", 4, label=np.arange(4))
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"c.h5: label 2 has no name, there are 2"):
        Hdf5(str(tmp_path / "c.h5"), names="names.txt").records("train", MODALITY)

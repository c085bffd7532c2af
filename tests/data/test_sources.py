"""Sources: which files and rows are found, how they are split, and what is said when nothing is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.loader import Loader
from maskedmod.data.sources.demo import Demo
from maskedmod.data.sources.folder import Folder
from maskedmod.data.sources.hf import Hf
from maskedmod.data.sources.parquet import Parquet
from maskedmod.errors import UserError
from tests.conftest import shared
from tests.data.toy_modality import Toy

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def files(root: Path, names: Iterable[str]) -> Path:
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(i))
    return root


def names(source: Any, split: str = "train") -> list[str]:
    return [Path(r.data).name for r in source.records(split, Toy())]


def test_folder_label_order_and_what_is_left_out(tmp_path: Path) -> None:
    files(tmp_path, ["b/2.num", "a/1.NUM", "a/deep/3.num", "0.num", "notes.txt", ".hidden.num", ".git/x.num", "LICENSE"])
    source = Folder(str(tmp_path), val_fraction=0.0)
    records = source.records("train", Toy())
    assert [(r.data.relative_to(tmp_path).as_posix(), r.label) for r in records] == [
        ("0.num", None), ("a/1.NUM", "a"), ("a/deep/3.num", "deep"), ("b/2.num", "b"),
    ]  # fmt: skip
    assert records[0].key == str(tmp_path / "0.num")
    assert len(source.records("val", Toy())) == 0
    assert any("1 .txt" in note and "1 LICENSE" in note for note in source.notes)
    assert any("4 files to train on, 0 to validate" in note for note in source.notes)
    assert Folder(str(tmp_path), val_fraction=0.0, label="none").records("train", Toy())[1].label is None
    by_name = Folder(str(tmp_path), val_fraction=0.0, label=r"^(\d)\.")
    assert [r.label for r in by_name.records("train", Toy())] == ["0", "1", "3", "2"]


def test_folder_split_rules_and_their_order(tmp_path: Path) -> None:
    root = files(tmp_path / "data", [f"{part}/x_{i}.num" for part in ("train", "test", "validation", "extra") for i in range(6)])
    split = Folder(str(root))
    assert [r.data.parent.name for r in split.records("train", Toy())] == ["train"] * 6
    assert [r.data.parent.name for r in split.records("val", Toy())] == ["validation"] * 6
    assert any("folders not used: extra, test" in note for note in split.notes)
    other = files(tmp_path / "other", ["y.num"])
    assert names(Folder(str(root), val_path=str(other)), "val") == ["y.num"]
    assert len(names(Folder(str(root), val_path=str(other)))) == 24
    pattern = Folder(str(root), val_path=str(other), val_pattern="*_[0-1].num")
    assert set(names(pattern, "val")) == {"x_0.num", "x_1.num"} and len(names(pattern, "val")) == 8
    assert set(names(pattern)) == {f"x_{i}.num" for i in range(2, 6)}
    for bad, word in (("*.wav", "no file"), ("*", "every file")):
        with pytest.raises(UserError, match=f"{word} matches val_pattern"):
            Folder(str(root), val_pattern=bad).records("train", Toy())


def test_folder_of_classes_that_have_their_own_parts(tmp_path: Path) -> None:
    files(tmp_path, [f"{kind}/{part}/{i}.num" for kind in ("chair", "sofa") for part in ("train", "test") for i in (1, 2)])
    source = Folder(str(tmp_path))
    for split, part in (("train", "train"), ("val", "test")):
        found = [(r.data.relative_to(tmp_path).as_posix(), r.label) for r in source.records(split, Toy())]
        assert found == [(f"{kind}/{part}/{i}.num", kind) for kind in ("chair", "sofa") for i in (1, 2)]
    assert {r.label for r in source.everything(Toy())} == {"chair", "sofa"}
    files(tmp_path, ["chair/val/1.num"])
    again = Folder(str(tmp_path))
    assert [r.data.parent.name for r in again.records("val", Toy())] == ["val"]
    assert f"{tmp_path}: folders not used: */test" in again.notes
    files(tmp_path, ["lamp/1.num"])  # a file that is in no part: no such layout
    assert len(Folder(str(tmp_path), val_fraction=0.0).records("train", Toy())) == 10


def test_hash_split_is_stable_when_files_come_and_go(tmp_path: Path) -> None:
    files(tmp_path, [f"{i}.num" for i in range(200)])
    before = set(names(Folder(str(tmp_path), val_fraction=0.2), "val"))
    assert 20 <= len(before) <= 60
    for i in range(0, 200, 2):
        (tmp_path / f"{i}.num").unlink()
    files(tmp_path, [f"new/{i}.num" for i in range(100)])
    after = set(names(Folder(str(tmp_path), val_fraction=0.2), "val"))
    assert {n for n in before if int(n.split(".")[0]) % 2} <= after
    few = files(tmp_path / "few", ["a.num", "b.num"])
    assert len(names(Folder(str(few)), "val")) == 1 and len(names(Folder(str(few)))) == 1
    one = files(tmp_path / "one", ["a.num"])
    assert names(Folder(str(one))) == ["a.num"] and names(Folder(str(one)), "val") == []


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "gone", "does not exist"), (tmp_path, "has no file ending in .num; it is empty")):
        with pytest.raises(UserError, match=f"{path} {message}"):
            Folder(str(path)).records("train", Toy())
    files(tmp_path, ["a.txt", "b.txt"])
    with pytest.raises(UserError, match="no file ending in .num; it has 2 .txt"):
        Folder(str(tmp_path)).records("train", Toy())
    files(tmp_path / "tables", ["a.h5"])
    with pytest.raises(UserError, match=r"it has 1 .h5 \(data=hdf5 reads .h5\)"):
        Folder(str(tmp_path / "tables")).records("train", Toy())
    with pytest.raises(UserError, match="is a file; expected a folder"):
        Folder(str(tmp_path / "a.txt")).records("train", Toy())
    for label, message in (("[", "no regular expression"), ("abc", "with a group")):
        with pytest.raises(UserError, match=message):
            Folder(str(tmp_path), label=label)


def table(path: Path, count: int, start: int = 0, kind: str = "plain") -> Path:
    values: list[Any] = list(range(start, start + count))
    if kind == "struct":
        values = [{"bytes": str(v).encode(), "path": f"{v}.num"} for v in values]
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pyarrow.table({"number": values, "label": [i % 3 for i in range(count)], "unused": ["x" * 50] * count})
    parquet.write_table(rows, path, row_group_size=7)
    return path


def test_parquet_rows_keys_and_workers(tmp_path: Path) -> None:
    table(tmp_path / "train-0.parquet", 20)
    table(tmp_path / "train-1.parquet", 10, 20)
    table(tmp_path / "test.parquet", 5, 100)
    table(tmp_path / "more.parquet", 5, 200)
    source = Parquet(str(tmp_path))
    records, val = source.records("train", Toy()), source.records("val", Toy())
    assert [r.data for r in records] == list(range(30)) and [r.data for r in val] == list(range(100, 105))
    assert records[27].key == f"{tmp_path / 'train-1.parquet'} row 7" and records[27].label == 1
    assert any("30 rows to train on, 5 to validate (column number)" in note for note in source.notes)
    assert any("files not used: more.parquet" in note for note in source.notes)
    batches = [[b["x"].tolist() for b in Loader(records, Toy(), 4, shuffle=False, workers=w).epoch_batches()] for w in (0, 2)]
    assert batches[0] == batches[1] and [x for batch in batches[0] for x in batch] == list(range(30))


def test_parquet_cells_and_hash_split(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.parquet", 60, kind="struct")
    source = Parquet(str(path), val_fraction=0.2)
    train, val = (source.records(part, Toy()) for part in ("train", "val"))
    assert sorted(int(r.data) for part in (train, val) for r in part) == list(range(60)) and 4 <= len(val) <= 24
    assert train[0].data == b"0" or val[0].data == b"0"
    lists = tmp_path / "lists.parquet"
    parquet.write_table(pyarrow.table({"v": [[1.0, 2.0], [3.0]], "p": ["a.num", "b/c.num"]}), lists)
    series = Parquet(str(lists), column="v", val_fraction=0.0).records("train", Toy())
    assert np.array_equal(series[0].data, [1.0, 2.0]) and series[0].label is None
    assert Parquet(str(lists), column="p", val_fraction=0.0).records("train", Toy())[1].data == tmp_path / "b/c.num"


def test_parquet_errors(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.parquet", 5)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "b.parquet").write_bytes(path.read_bytes()[:-40])
    empty = tmp_path / "empty"
    empty.mkdir()
    other = tmp_path / "zebra.parquet"
    parquet.write_table(pyarrow.table({"pixels": [1]}), other)
    cases: list[tuple[Any, str]] = [
        (Parquet(str(tmp_path / "gone.parquet")), "gone.parquet does not exist"),
        (Parquet(str(empty)), "has no file ending in .parquet"),
        (Parquet(str(tmp_path / "broken")), "b.parquet is no readable Parquet file"),
        (Parquet(str(other)), "no column called number, image; it has pixels; say which with data.column=NAME"),
        (Parquet(str(path), column="nummer"), "unknown column 'nummer' .*did you mean number"),
        (Parquet(str(path), label_column="klass"), "unknown column 'klass'"),
        (Parquet(f"{tmp_path}/*.parquet"), "zebra.parquet has no column number, which rows.parquet has: pixels"),
    ]
    for source, message in cases:
        with pytest.raises(UserError, match=message):
            source.records("train", Toy())


def test_hf_map_streaming_and_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0, raising=False)  # 5 s at the end of each epoch
    table(tmp_path / "train.parquet", 40)
    table(tmp_path / "held.parquet", 6, 100)
    data_files = {"train": str(tmp_path / "train.parquet"), "test": str(tmp_path / "held.parquet")}
    rows = Hf("parquet", data_files=data_files)
    train = rows.records("train", Toy())
    assert [r.data for r in train] == list(range(40)) and train[5].label == 2 and "[train] row 5" in train[5].key
    assert [r.data for r in rows.records("val", Toy())] == list(range(100, 106))
    with pytest.raises(UserError, match="has no split 'trian'; it has train, test"):
        Hf("parquet", split="trian", data_files=data_files).records("train", Toy())
    part = Hf("parquet", split="train[:50%]", data_files=data_files, val_split="test").records("train", Toy())
    assert len(part) == 20
    stream = Hf("parquet", streaming=True, data_files=data_files, buffer=16, epoch_samples=40)
    loader = Loader(stream.records("train", Toy()), Toy(), 4, seed=1)
    assert loader.steps_per_epoch == 10
    whole = [next(it)["x"].tolist() for it in [loader.batches()] for _ in range(20)]
    first, second = (sorted(x for batch in whole[i : i + 10] for x in batch) for i in (0, 10))
    assert first == second == list(range(40)) and whole[:10] != whole[10:]
    resumed = Loader(stream.records("train", Toy()), Toy(), 4, seed=1, workers=1).batches(13)
    assert [next(resumed)["x"].tolist() for _ in range(7)] == whole[13:]
    val = Loader(stream.records("val", Toy()), Toy(), 4, shuffle=False)
    assert [b["x"].tolist() for b in val.epoch_batches()] == [[100, 101, 102, 103], [104, 105]]
    datasets.Dataset.from_dict({"number": list(range(30))}).save_to_disk(str(tmp_path / "disk"))
    disk = Hf(str(tmp_path / "disk"), val_fraction=0.2)
    assert len(disk.records("train", Toy())) + len(disk.records("val", Toy())) == 30 and len(disk.records("val", Toy())) > 0
    with pytest.raises(UserError, match=r"'.*nothing_here' cannot be loaded"):
        Hf(str(tmp_path / "nothing_here")).records("train", Toy())


def test_demo_and_expansion() -> None:
    assert [r.data for r in Demo().records("val", Toy())] == [10, 11, 12]
    assert [r.data for r in Demo(samples=4).records("train", Toy())] == [0, 1, 2, 3]
    with pytest.raises(UserError, match="must be at least 1"):
        Demo(samples=0)

    class Windows(Toy):
        def expand(self, record: Record) -> list[Record]:
            if record.data == 11:
                raise BadSample("unreadable")
            return [Record(record.data * 10 + i, f"{record.key} part {i}") for i in range(2)]

    assert [r.data for r in Demo().records("val", Windows())] == [100, 101, 11, 120, 121]


def test_real_folders_and_tables() -> None:
    class Pictures(Toy):
        extensions, columns = (".jpg", ".wav"), ("image",)

    clothing = Folder(str(shared("data/images/clothing_small")))
    assert len(clothing.records("train", Pictures())) == 1000 and len(clothing.records("val", Pictures())) == 341
    assert clothing.records("val", Pictures())[0].label == "dress"
    cifar = Parquet(str(shared("data/images/cifar10")))
    train = cifar.records("train", Pictures())
    assert (len(train), len(cifar.records("val", Pictures()))) == (50_000, 5_000)
    assert train[49_999].data[:3] == b"\xff\xd8\xff" and isinstance(train[0].label, int)
    digits = Folder(str(shared("data/audio/fsdd")), val_pattern="*_[0-4].wav", label=r"^(\d)_")
    assert (len(digits.records("train", Pictures())), len(digits.records("val", Pictures()))) == (1200, 300)
    assert digits.records("train", Pictures())[0].label == "0"

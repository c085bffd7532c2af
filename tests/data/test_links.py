"""Folders with links: every file once, wherever links lead, and what was met again is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from maskedmod.data.files import files_at, tree_of
from maskedmod.data.sources.folder import Folder
from maskedmod.data.sources.lines import Lines
from tests.data.test_sources import files
from tests.data.toy_modality import Toy

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


def parts(source: Any) -> tuple[list[str], list[str]]:
    train, val = (source.records(part, Toy()) for part in ("train", "val"))
    return [str(r.data) for r in train], [str(r.data) for r in val]


def real(names: list[str]) -> set[str]:
    return {os.path.realpath(name) for name in names}


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ({"latest": "."}, "1 link (latest) to folders"),
        ({"a/up": ".."}, "1 link (a/up) to folders"),
        ({"a/b/top": "../../..", "z": "a"}, "to folders"),
        ({"z1": "a", "a0": "a", "c": "z1"}, "3 links (a0, c, z1) to folders"),
        ({"one": "two", "two": "one"}, ""),
        ({"copy.num": "a/0.num", "b.num": "copy.num"}, "2 further names (b.num, copy.num) of files"),
        ({"a/self": "../a", "b/again.num": "../a/1.num"}, "to folders"),
    ],
)
def test_every_file_once_and_under_its_own_name(links: dict[str, str], said: str, tmp_path: Path) -> None:
    root = files(tmp_path / "data", [f"{folder}/{i}.num" for folder in ("a", "b", "a/b") for i in range(4)])
    plain = parts(Folder(str(root), val_fraction=0.4))
    for name, target in links.items():
        (root / name).symlink_to(target)
    source = Folder(str(root), val_fraction=0.4)
    assert parts(source) == plain  # the same names, labels and split as without the links
    assert not real(plain[0]) & real(plain[1])
    assert said == "" or sum(said in note for note in source.notes) == 1, source.notes


def test_hard_links_and_folders_elsewhere_are_read_once(tmp_path: Path) -> None:
    root = files(tmp_path / "data", ["a/0.num", "a/1.num"])
    store = files(tmp_path / "store", ["2.num", "3.num"])
    os.link(root / "a/0.num", root / "zero.num")
    (root / "b").symlink_to(store)
    (root / "c").symlink_to(store)
    (root / "one.num").symlink_to(store / "2.num")
    source = Folder(str(root), val_fraction=0.0)
    assert [Path(name).relative_to(root).as_posix() for name in parts(source)[0]] == ["a/0.num", "a/1.num", "b/2.num", "b/3.num"]
    assert any("1 link (c) to folders" in note for note in source.notes)
    assert any("2 further names (zero.num, one.num) of files" in note for note in source.notes)


def test_a_file_that_validates_does_not_train(tmp_path: Path) -> None:
    root = files(tmp_path / "data", [f"train/{i}.num" for i in range(6)])
    (root / "val").mkdir()
    for i in (1, 4):
        (root / f"val/{i}.num").symlink_to(f"../train/{i}.num")
    source = Folder(str(root))
    train, val = parts(source)
    assert len(train) == 4 and len(val) == 2 and not real(train) & real(val)
    assert any("2 files are among those of" in note for note in source.notes)
    inner = Folder(str(root), val_path=str(root / "train"), val_fraction=0.0)
    assert len(inner.records("val", Toy())) == 6
    both = Folder(str(root / "train"), val_path=str(root / "train"))
    assert [len(part) for part in parts(both)] == [6, 6]
    assert any("every file to train on is also one to validate" in note for note in both.notes)


def test_other_sources_and_globs_follow_the_same_rule(tmp_path: Path) -> None:
    root = files(tmp_path / "data", ["a/x.txt", "a/y.txt"])
    (root / "b").symlink_to("a")
    (root / "z.txt").symlink_to("a/x.txt")
    source = Lines(str(root), val_fraction=0.0)
    assert len(source.records("train", Toy())) == 2
    assert len(source.notes) == 3 and "1 link (b)" in source.notes[0] and "1 further name (z.txt)" in source.notes[1]
    said: list[str] = []
    assert len(files_at(f"{root}/**/*.txt", lambda file: True, said.append)) == 2 and "further name" in said[0]


def test_a_link_that_leads_nowhere_stays_a_name(tmp_path: Path) -> None:
    (tmp_path / "gone.num").symlink_to("nowhere.num")
    (tmp_path / "other.num").symlink_to("nowhere.num")
    assert tree_of(tmp_path, lambda name: True).names == ["gone.num", "other.num"]

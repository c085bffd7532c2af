"""Labels of files from a table beside them: empty cells, numbers, byte order marks, other delimiters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskedmod.data.sources.folder import Folder
from maskedmod.errors import UserError
from tests.data.test_sources import files
from tests.data.toy_modality import Toy


def labels(root: Path, table: bytes, name: str = "meta.csv") -> list[Any]:
    files(root, ["0.num", "1.num", "deep/2.num"])
    (root / name).write_bytes(table)
    return [record.label for record in Folder(str(root), label=name, val_fraction=0).records("train", Toy())]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("a", "b", ""), ["a", "b", None]),
        (("1", "2", "2"), [1, 2, 2]),
        (("0.5", "1", "-2e3"), [0.5, 1.0, -2000.0]),
        (("0.5", "NA", " "), [0.5, None, None]),
        (("1", "b", "NA"), ["1", "b", "NA"]),
        (("", "", ""), [None, None, None]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_cells_of_labels(rows: tuple[str, ...], expected: list[Any], end: str, mark: str, sign: str, tmp_path: Path) -> None:
    names = ("0.num", ".\\1.num", "deep/2.num")
    lines = [f"filename{sign}label", *(f"{name}{sign}{row}" for name, row in zip(names, rows, strict=True))]
    assert labels(tmp_path, (mark + end.join(lines) + end).encode()) == expected


def test_what_a_table_cannot_say(tmp_path: Path) -> None:
    assert labels(tmp_path, b"file,class\n2.num,c\n") == [None, None, "c"]
    with pytest.raises(UserError, match=r"meta.csv row 1: 0.num is labelled 'b', above it 'a'"):
        labels(tmp_path, b"file,class\n0.num,a\n0.num,b\n")
    with pytest.raises(UserError, match="expected a column of file names and one of labels; it has picture, label"):
        labels(tmp_path, b"picture,label\n0.num,a\n")
    with pytest.raises(UserError, match="row 0 has 3 cells"):
        labels(tmp_path, b"file,class\n0.num,a,b\n")
    with pytest.raises(UserError, match="is UTF-16"):
        labels(tmp_path, "file,class\n0.num,a\n".encode("utf-16"))

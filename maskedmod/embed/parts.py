"""Finished parts of an embedding on disk, which a later run goes on from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.embed.reading import Row
from maskedmod.errors import UserError


@dataclass
class Part:
    """Rows of one part, and the features of those that were not rejected ``[good, ...]`` float32."""

    rows: list[Row]
    good: np.ndarray[Any, Any]

    def filled(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Features of all rows ``[rows, *shape]``; a rejected row is NaN. UserError where samples differ in shape."""
        out = np.full((len(self.rows), *shape), np.nan, np.float32)
        if len(self.good):
            if self.good.shape[1:] != shape:
                raise UserError(f"features of shape {self.good.shape[1:]} after others of {shape}; pool=mean gives all one shape")
            out[[row.rejected is None for row in self.rows]] = self.good
        return out


class Parts:
    """Folder ``<output>.parts``: ``plan.json`` and, for every finished part, its rows and features. A part counts once its
    features are there; they are written last. UserError when the folder is of another plan."""

    def __init__(self, folder: Path, plan: dict[str, Any], resume: bool) -> None:
        self.folder = folder
        if folder.exists() and not resume:
            shutil.rmtree(folder)
        file = folder / "plan.json"
        if file.is_file():
            _same(json.loads(file.read_text()), plan, folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            put(file, json.dumps(plan, indent=1).encode())

    @property
    def count(self) -> int:
        """Finished parts, without a gap from the first."""
        number = 0
        while self._file(number, "npy").is_file():
            number += 1
        return number

    def write(self, number: int, part: Part) -> None:
        """Store one part for good."""
        lines = "".join(json.dumps(asdict(row)) + "\n" for row in part.rows)
        put(self._file(number, "jsonl"), lines.encode())
        hidden = self.folder / ".features.npy"
        with hidden.open("wb") as file:
            np.save(file, part.good)
            _sync(file)
        hidden.replace(self._file(number, "npy"))

    def rows(self) -> Iterator[Row]:
        """All rows in order, features left alone."""
        for number in range(self.count):
            with self._file(number, "jsonl").open(encoding="utf-8") as file:
                for line in file:
                    yield Row(**json.loads(line))

    @property
    def ragged(self) -> bool:
        """Samples have features of different lengths, those of a part one after another."""
        return any(row.length is not None for row in self.rows())

    def shape(self) -> tuple[int, ...] | None:
        """Shape of one row's features; None when every row was rejected."""
        for number in range(self.count):
            good = np.load(self._file(number, "npy"), mmap_mode="r")
            if len(good):
                return tuple(good.shape[1:])
        return None

    def __iter__(self) -> Iterator[Part]:
        """One part after another, one in memory at a time."""
        for number in range(self.count):
            with self._file(number, "jsonl").open(encoding="utf-8") as file:
                rows = [Row(**json.loads(line)) for line in file]
            yield Part(rows, np.load(self._file(number, "npy")))

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def _file(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:08d}.{ending}"


def put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        _sync(file)
    partial.replace(path)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _same(found: dict[str, Any], plan: dict[str, Any], folder: Path) -> None:
    for key in plan:
        if found.get(key) != plan[key]:
            was = f"{key} was {found.get(key)!r}, now {plan[key]!r}"
            raise UserError(f"{folder} holds parts of another embedding ({was}); resume=never begins anew")

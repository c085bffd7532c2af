"""Files that a path means, and the parts that their names say they are."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from maskedmod.data.sources import VALIDATION, Split


def files_at(path: str, fits: Callable[[Path], bool]) -> list[Path]:
    """The files in a folder that fit, else the file or those of a glob; sorted. Empty where there is none."""
    where = Path(path)
    if where.is_dir():
        return sorted(file for file in where.rglob("*") if fits(file))
    return [where] if where.is_file() else sorted(Path(name) for name in glob.glob(path, recursive=True))


def parts_by_name(
    files: Sequence[Path], says: Callable[[Path, str], bool], path: str, note: Callable[[str], None]
) -> dict[Split, list[Path]] | None:
    """Files whose name says train, and beside them those of the first word for validation that any says; None where one of both
    is missing. ``note`` is told which files of ``path`` are neither."""
    train = [file for file in files if says(file, "train")]
    others = [[file for file in files if says(file, word) and file not in train] for word in VALIDATION] if train else []
    val = next((found for found in others if found), [])
    if not val:
        return None
    if unused := [file.name for file in files if file not in train and file not in val]:
        note(f"{path}: files not used: {', '.join(unused[:8])}")
    return {"train": train, "val": val}


def begins(file: Path, word: str) -> bool:
    """Whether a file's name begins with the word."""
    return file.name.startswith(word)

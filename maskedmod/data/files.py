"""Files that a path means, each once, and the parts that their names say they are."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskedmod.data.sources import VALIDATION, Split

Place = tuple[int, int]
"""Device and inode: what a file is, whatever it is called."""


@dataclass
class Tree:
    """Files under a folder, links followed, every file once, as paths relative to it. ``folders``: links to folders that were
    read already, under their own name or that of another link; ``again``: further names of files, links or hard links. A name
    that is no link comes before one that is, and of equals the first in the order of the alphabet."""

    names: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    def told(self) -> Iterator[str]:
        """What was met more than once, a line each."""
        if self.folders:
            yield f"{_some(self.folders, 'link')} to folders that were read already, left out"
        if self.again:
            yield f"{_some(self.again, 'further name')} of files that were read already, left out"


def tree_of(root: Path, fits: Callable[[str], bool], hidden: bool = False) -> Tree:
    """The files under ``root`` whose name fits, and links that lead nowhere with such a name. ``hidden``: also in files and
    folders whose name begins with a dot."""
    found, seen = Tree(), {_place(root)}
    waiting, links = [""], list[str]()
    plain, linked = list[str](), list[str]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        for entry in _entries(root / folder, hidden):
            name = os.path.join(folder, entry.name)
            if not _is_folder(entry):
                if fits(entry.name):
                    (linked if entry.is_symlink() else plain).append(name)
            elif entry.is_symlink():
                links.append(name)
            elif (place := _place(entry.path)) not in seen:
                seen.add(place)
                waiting.append(name)
        links.sort()
        while not waiting and links and _place(root / links[0]) in seen:
            found.folders.append(links.pop(0))
        if not waiting and links:
            seen.add(_place(root / links[0]))
    found.names, found.again = _once(root, sorted(plain), sorted(linked))
    return found


def _once(root: Path, plain: Sequence[str], linked: Sequence[str]) -> tuple[list[str], list[str]]:
    kept, again, seen = list[str](), list[str](), set[Place]()
    for name in (*plain, *linked):
        place = _place(root / name)
        (again if place in seen else kept).append(name)
        if place != NOWHERE:
            seen.add(place)
    return sorted(kept), again


NOWHERE = (0, 0)


def _place(path: str | Path) -> Place:
    try:
        found = os.stat(path)
    except OSError:  # a link that leads nowhere, or to itself: reading it will say so
        return NOWHERE
    return found.st_dev, found.st_ino


def _entries(folder: Path, hidden: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted((one for one in found if hidden or not one.name.startswith(".")), key=lambda one: one.name)
    except OSError:  # a folder that may not be looked into is passed over, as by os.walk
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _some(names: Sequence[str], what: str) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''} ({', '.join(names[:3])}{more})"


def places_of(files: Iterable[Path]) -> list[Place]:
    """What each file is."""
    return [_place(file) for file in files]


def files_at(path: str, fits: Callable[[Path], bool], note: Callable[[str], None] | None = None) -> list[Path]:
    """The files in a folder that fit, each once, else the file or those of a glob; sorted. Empty where there is none. ``note`` is
    told what was met more than once."""
    where = Path(path)
    if where.is_dir():
        found = tree_of(where, lambda name: fits(Path(name)), hidden=True)
        for line in found.told() if note else ():
            note(f"{path}: {line}")  # type: ignore[misc]
        return sorted(file for name in found.names if (file := where / name).is_file())
    if where.is_file():
        return [where]
    kept, again = _once(Path(), sorted(glob.glob(path, recursive=True)), ())
    if again and note:
        note(f"{path}: {_some(again, 'further name')} of files that were read already, left out")
    return [Path(name) for name in kept]


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

"""From a name to files on this machine: of the catalogue, of the Hugging Face Hub, or a path."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from maskedmod.errors import UserError
from maskedmod.zoo.checkpoints import WEIGHT_FILES, Checkpoint, entries
from maskedmod.zoo.fetch import cache, https, hub

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_name(given: str | Path) -> bool:
    """Whether this is the name of a checkpoint and not a path: nothing lies there, and it is in the catalogue or of the form
    ORG/NAME, with or without @REVISION."""
    if isinstance(given, Path) or Path(given).exists():
        return False
    name, _, _ = given.partition("@")
    if name in entries():
        return True
    parent, ending = Path(name).parts[:1], Path(name).suffix
    known = ending in (".pth", ".pt", ".bin", ".safetensors", ".json", ".yaml", ".ckpt")
    return bool(HUB_NAME.fullmatch(name)) and not known and not Path(*parent).exists()


def located(name: str, say: https.Say | None = None) -> Path:
    """The file or folder of a checkpoint, fetched if it is not here. Files that were put into ``cache.place(name)`` by hand come
    first. UserError in one line, which says offline what to put where."""
    say = say if say is not None else _say
    name, _, revision = name.partition("@")
    entry = entries().get(name) or Checkpoint(name, "", "", "", hub=name)
    by_hand = cache.place(name)
    wanted = entry.files[:1] or WEIGHT_FILES
    here = next((by_hand / file for file in wanted if (by_hand / file).is_file()), None)
    if here is not None and not revision and not entry.url:
        return here if entry.files else by_hand
    try:
        if entry.hub:
            folder = hub.fetch(entry.hub, revision or None, entry.files, entry.sha256, say)
            return folder / entry.files[0] if entry.files else folder
        if revision:
            raise UserError(f"{name}@{revision}: {name} is a file at {entry.place} and has no revisions")
        return _by_https(entry, say)
    except https.UnreachableError as error:
        what = " and ".join((entry.url, *entry.also)) if entry.url else f"{wanted[0]} and what is beside it from {entry.place}"
        raise UserError(f"{name} is not here: {error}. Fetch {what} elsewhere and put it into {by_hand}") from None


def _by_https(entry: Checkpoint, say: https.Say) -> Path:
    place = cache.place(entry.name)
    lacking = [file for file in entry.files if not (place / file).is_file()]
    if entry.page and lacking:
        raise UserError(f"{entry.name} is published on {entry.page} alone: fetch it there and put it at {place / lacking[0]}")
    if lacking and cache.offline():
        raise https.UnreachableError("the network is off (HF_HUB_OFFLINE)")
    pinned = cache.pins().get(entry.name, {})
    facts = dict(pinned)
    for file, url in zip(entry.files, (entry.url, *entry.also)):

        def check(path: Path, file: str = file) -> None:
            facts[file] = cache.sha256(path)
            cache.check(entry.name, file, facts[file], entry.sha256.get(file, ""), pinned.get(file, ""))

        https.fetch(url, place / file, check, say)
    if facts != pinned:
        cache.pin(entry.name, facts)
    return place / entry.files[0]


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201

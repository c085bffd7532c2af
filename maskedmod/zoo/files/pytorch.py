"""Files of ``torch.save``, old and new, read as plain data and views of the mapped file; ``torch.load`` is not called.

New (since torch 1.6): a zip of stored entries, ``NAME/data.pkl`` and ``NAME/data/KEY``. Old: a few pickles one after the other,
then the storages. Everything that is declared is checked against the file before a tensor is made.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskedmod.errors import UserError, one_line
from maskedmod.support.sizes import amount
from maskedmod.zoo.files import plain_pickle
from maskedmod.zoo.files.contents import DEEP, MAIN
from maskedmod.zoo.files.mapped import Mapped, strided
from maskedmod.zoo.files.plain_pickle import Declared, Storage

MAGIC = 0x1950A86A20F9469CFC6C
ENTRIES = 500_000
"""Most entries of a zip; the largest published checkpoints have some ten thousand."""
PICKLE = 500_000_000
"""Most bytes of the pickle in a zip, which holds names and sizes and no numbers."""
DAMAGED = "cut off or damaged, not a whole PyTorch file"

Flat = Callable[[Storage, str], Tensor]


def read(path: Path) -> tuple[dict[str, Any], Mapped]:
    """The dict in a file, with its tensors, and whatever else it holds as plain data. UserError when it holds more."""
    mapped = Mapped(path)
    head = mapped.read(0, 512)
    if head[:4] == b"PK\x03\x04":
        content, flat = _zipped(mapped)
    elif head[:1] == b"\x80":
        content, flat = _old(mapped)
    else:
        raise UserError(f"{path}: {_what(head)}")
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__.lower()}; expected a dict of tensors")
    return {str(key): _with_tensors(path, key, value, flat) for key, value in content.items()}, mapped


def _what(head: bytes) -> str:
    """What a file is that is no checkpoint."""
    if head[257:262] == b"ustar":
        return "a tar of torch before 0.2, which is not read; load it with that torch and save it again"
    if head.startswith(b"version https://git-lfs"):
        return "the pointer of git-lfs and not the file it stands for; fetch it with git lfs pull"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not weights; the download went wrong"
    text = head.decode("utf-8", errors="replace")
    if all(letter.isprintable() or letter.isspace() for letter in text):
        return f"text, not weights (it begins with {one_line(text, 40)!r})"
    return f"{DAMAGED} (it begins with {head[:4].hex()})"


def _with_tensors(path: Path, name: Any, value: Any, flat: Flat, depth: int = 0) -> Any:
    """A tensor, or a dict that has some, with those of dicts in it where it is the dict of the weights; everything else stays as
    declared, and takes no memory."""
    if isinstance(value, Declared):
        return _tensor(path, str(name), value, flat)
    if not isinstance(value, Mapping) or depth >= DEEP:
        return value
    if (depth or name in MAIN) or any(isinstance(x, Declared) for x in value.values()):
        return {str(key): _with_tensors(path, key, x, flat, depth + 1) for key, x in value.items()}
    return value


def _tensor(path: Path, name: str, declared: Declared, flat: Flat) -> Tensor:
    try:
        return strided(flat(declared.storage, name).view(declared.dtype), declared.offset, declared.size, declared.stride, name)
    except UserError:
        raise
    except (ValueError, RuntimeError, OverflowError) as error:
        raise UserError(f"{path}: {one_line(str(error), 300)}; cut off or damaged") from None


def _zipped(mapped: Mapped) -> tuple[Any, Flat]:
    places = _entries(mapped)
    pickles = [name for name in places if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise UserError(f"{mapped.path}: a zip, but none of torch.save (it has {len(pickles)} files NAME/data.pkl)")
    top = pickles[0].removesuffix("data.pkl")
    order = places.get(f"{top}byteorder")
    if order is not None and mapped.read(*order) != b"little":
        raise UserError(f"{mapped.path}: written on a machine with the other byte order")
    start, stop = places[pickles[0]]
    if stop - start > PICKLE:
        raise UserError(f"{mapped.path}: its pickle has {amount(stop - start)}, at most {amount(PICKLE)} are read")
    content = plain_pickle.load(io.BytesIO(mapped.read(start, stop)), mapped.path)

    def flat(storage: Storage, name: str) -> Tensor:
        first, last = places.get(f"{top}data/{storage.key}", (0, -1))
        if last < first:
            raise UserError(f"{mapped.path}: {name} refers to data/{storage.key}, which is not in the zip; cut off or damaged")
        dtype = storage.dtype or torch.uint8
        if storage.count * dtype.itemsize > last - first:
            raise UserError(
                f"{mapped.path}: {name} is declared with {amount(storage.count * dtype.itemsize)}, "
                f"its entry has {amount(last - first)}; cut off or damaged"
            )
        return mapped.storage(first, storage.count, dtype, name)

    return content, flat


def _entries(mapped: Mapped) -> dict[str, tuple[int, int]]:
    """First and last byte of every entry. UserError when one is packed, leaves its folder, overlaps another or is there twice."""
    path = mapped.path
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: {DAMAGED} ({one_line(str(error), 100)})") from None
    if len(listed) > ENTRIES:
        raise UserError(f"{path}: a zip of {len(listed)} entries, at most {ENTRIES} are read")
    places: dict[str, tuple[int, int]] = {}
    for entry in listed:
        name = entry.filename
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name or "\0" in name:
            raise UserError(f"{path}: its entry {name!r} leads out of the folder; torch.save writes no such name")
        if "/code/" in name:
            raise UserError(f"{path}: a TorchScript program, which is code; only plain data is read")
        if name in places:
            raise UserError(f"{path}: its entry {name!r} is there twice")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
            raise UserError(
                f"{path}: its entry {name!r} is packed ({amount(entry.compress_size)} for {amount(entry.file_size)}); "
                "torch.save writes entries as they are"
            )
        places[name] = _place(mapped, entry)
    end = 0
    for name, (start, stop) in sorted(places.items(), key=lambda item: item[1]):
        if start < end:
            raise UserError(f"{path}: its entry {name!r} overlaps another; {DAMAGED}")
        end = max(end, stop)
    return places


def _place(mapped: Mapped, entry: zipfile.ZipInfo) -> tuple[int, int]:
    head = mapped.read(entry.header_offset, entry.header_offset + 30)
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        raise UserError(f"{mapped.path}: {DAMAGED} (its entry {entry.filename!r} is not where it should be)")
    start = entry.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    if start + entry.file_size > mapped.size:
        raise UserError(f"{mapped.path}: {DAMAGED} (its entry {entry.filename!r} goes beyond the end)")
    return start, start + entry.file_size


def _old(mapped: Mapped) -> tuple[Any, Flat]:
    stream, path = mapped.stream(), mapped.path
    if plain_pickle.load(stream, path) != MAGIC:
        raise UserError(f"{path}: a pickle, but none of torch.save; expected a dict of tensors saved by torch")
    plain_pickle.load(stream, path)  # version of the format
    about = plain_pickle.load(stream, path)
    if isinstance(about, Mapping) and about.get("little_endian") is False:
        raise UserError(f"{path}: written on a machine with the other byte order")
    noted: dict[str, Storage] = {}
    content = plain_pickle.load(stream, path, noted)
    keys = plain_pickle.load(stream, path)
    if not isinstance(keys, list):
        raise UserError(f"{path}: {DAMAGED} (no list of storages)")
    places: dict[str, tuple[int, int]] = {}
    at = stream.tell()
    for key in map(str, keys):
        if key not in noted or noted[key].dtype is None:
            raise UserError(f"{path}: {DAMAGED} (a storage {key[:40]!r} that no tensor has)")
        count = int.from_bytes(mapped.read(at, at + 8), "little", signed=True)
        places[key] = (at + 8, count)
        at += 8 + max(count, 0) * noted[key].dtype.itemsize  # type: ignore[union-attr]
        if count < 0 or at > mapped.size:
            raise UserError(f"{path}: {DAMAGED} (a storage of {count} numbers goes beyond the end)")

    def flat(storage: Storage, name: str) -> Tensor:
        if storage.key not in places:
            raise UserError(f"{path}: {name} refers to a storage that is not in the file; cut off or damaged")
        start, count = places[storage.key]
        if storage.dtype is None or storage.dtype != noted[storage.key].dtype or storage.first + storage.count > count:
            raise UserError(
                f"{path}: {name} is declared with {storage.count} numbers, its storage has {count}; cut off or damaged"
            )
        return mapped.storage(start + storage.first * storage.dtype.itemsize, storage.count, storage.dtype, name)

    return content, flat

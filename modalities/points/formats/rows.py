"""Binary rows with lists among their numbers, as PLY has them: rows of unequal length."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from maskedmod.core.modality import BadSample

from . import Array

Table = tuple[dict[str, Array], list[Array], int]
"""Columns of numbers by name, lists of corners by their number, and where the next element begins."""
Properties = Sequence[tuple[str, str, str | None]]
"""Name, type of the values, and for a list that of its length."""


def read_rows(properties: Properties, count: int, body: bytes, at: int, order: str, corners: str | None, what: str) -> Table:
    """``count`` rows from byte ``at`` on: single numbers by name, and the lists called ``corners``. All rows at once where every
    list is as long as the first row's, else one after another. BadSample names ``what`` where the bytes end early."""
    lengths, _ = _walk(properties, 1, body, at, order, what)
    kind = _row(properties, lengths[0].tolist(), order)
    end = at + kind.itemsize * count
    names = [f"n{i}" for i, (_, _, length) in enumerate(properties) if length is not None]
    if end <= len(body):
        table = np.frombuffer(body, kind, count, at)
        if all((table[name] == n).all() for name, n in zip(names, lengths[0], strict=True)):
            columns = {name: table[f"v{i}"] for i, (name, _, length) in enumerate(properties) if length is None}
            lists = [table[f"v{i}"] for i, (name, _, length) in enumerate(properties) if length is not None and name == corners]
            return columns, lists, end
    lengths, starts = _walk(properties, count, body, at, order, what)
    singles, polygons, place = {}, list[Array](), 0
    for i, (name, number, length) in enumerate(properties):
        if length is None:
            singles[name] = _gather(body, starts[:, i], 1, order + number)[:, 0]
            continue
        if name == corners:
            for n in np.unique(lengths[:, place]).tolist():
                polygons.append(_gather(body, starts[lengths[:, place] == n, i], n, order + number))
        place += 1
    return singles, polygons, int(starts[-1, -1])


def _walk(properties: Properties, count: int, body: bytes, at: int, order: str, what: str) -> tuple[Array, Array]:
    """Lengths of the lists ``[count, lists]``; where the values of every property begin, and the row ends, ``[count, P + 1]``."""
    steps = [
        (np.dtype(number).itemsize, None if length is None else struct.Struct(order + _CODES[length]))
        for _, number, length in properties
    ]
    lengths, starts = [], []
    try:
        for _ in range(count):
            row, counts = [], []
            for size, length in steps:
                if length is None:
                    row.append(at)
                    at += size
                    continue
                (n,) = length.unpack_from(body, at)
                if n < 0:
                    raise BadSample(f"a list of {what} has the length {n}")
                at += length.size
                row.append(at)
                counts.append(int(n))
                at += size * int(n)
            lengths.append(counts)
            starts.append([*row, at])
            if at > len(body):
                raise BadSample(f"cut off within {what}")
    except struct.error:
        raise BadSample(f"cut off within {what}") from None
    return np.array(lengths, np.int64).reshape(count, -1), np.array(starts, np.int64)


_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f", "f8": "d"}
"""Letters of ``struct`` for the types of numpy."""


def _gather(body: bytes, starts: Array, n: int, kind: str) -> Array:
    """``n`` numbers from each of the places, ``[len(starts), n]``."""
    size = np.dtype(kind).itemsize * n
    found = np.frombuffer(body, np.uint8)[starts[:, None] + np.arange(size)]
    return found.reshape(len(starts), size).view(kind) if size else np.empty((len(starts), 0), kind)


def _row(properties: Properties, lengths: list[int], order: str) -> np.dtype[np.void]:
    fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
    left = iter(lengths)
    for i, (_, number, length) in enumerate(properties):
        if length is None:
            fields.append((f"v{i}", order + number))
        else:
            fields += [(f"n{i}", order + length), (f"v{i}", order + number, (next(left),))]
    return np.dtype(fields)  # type: ignore[return-value]

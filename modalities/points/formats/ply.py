"""PLY: ASCII and binary, of either byte order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from maskedmod.core.modality import BadSample

from . import Array, Shape, decoded, numbers, triangles

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
CORNERS = ("vertex_indices", "vertex_index")


@dataclass
class Element:
    """A table of the file. ``properties``: name, type of its values, and for a list that of its length."""

    name: str
    count: int
    properties: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def lists(self) -> list[int]:
        """Places of the properties that are lists."""
        return [i for i, (_, _, length) in enumerate(self.properties) if length is not None]


def read_ply(raw: bytes) -> Shape:
    """Vertices ``x y z``, and faces where there are any. BadSample for what is no PLY file, damaged or cut off."""
    elements, order, body = _header(raw)
    if order == "":
        lines = [line for line in decoded(body, "ASCII PLY").splitlines() if line.strip()]
        return _shape(elements, lambda element, at: _from_lines(element, lines, at))
    return _shape(elements, lambda element, at: _from_bytes(element, body, at, order))


def _header(raw: bytes) -> tuple[list[Element], str, bytes]:
    if raw[:3] != b"ply" or raw[3:4] not in (b"\n", b"\r"):
        raise BadSample(f"is no PLY file: it begins with {raw[:8]!r}")
    end = raw.find(b"end_header")
    stop = raw.find(b"\n", end)
    if end < 0 or stop < 0:
        raise BadSample("cut off: the PLY header has no end")
    order, elements = None, list[Element]()
    for line in decoded(raw[:end], "PLY").splitlines()[1:]:
        match line.split():
            case ["format", kind, *_] if kind in ORDERS:
                order = ORDERS[kind]
            case ["element", name, count] if count.isdecimal():
                elements.append(Element(name, int(count)))
            case ["property", "list", length, kind, name] if elements and length in TYPES and kind in TYPES:
                elements[-1].properties.append((name, TYPES[kind], TYPES[length]))
            case ["property", kind, name] if elements and kind in TYPES:
                elements[-1].properties.append((name, TYPES[kind], None))
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise BadSample(f"broken PLY header: line {line[:60]!r}")
    if order is None:
        raise BadSample("broken PLY header: it names no format")
    for element in elements:
        if len({name for name, _, _ in element.properties}) < len(element.properties):
            raise BadSample(f"broken PLY header: a property of element {element.name} is named twice")
    return elements, order, raw[stop + 1 :]


Table = tuple[dict[str, Array], list[Array], int]
"""Columns of numbers by name, lists of corners by their number, and where the next element begins."""


def _shape(elements: list[Element], read: Callable[[Element, int], Table]) -> Shape:
    """Read the elements one after another; only vertices and faces are used."""
    points, polygons, at = None, list[Array](), 0
    for element in elements:
        columns, found, at = read(element, at)
        if element.name == "vertex":
            if missing := [axis for axis in "xyz" if axis not in columns]:
                raise BadSample(f"PLY vertices have no {', '.join(missing)}; they have {', '.join(columns) or 'nothing'}")
            points = np.stack([columns[axis].astype(np.float64) for axis in "xyz"], axis=1)
        elif element.name == "face":
            polygons = found
    if points is None:
        raise BadSample("a PLY file without vertices")
    return Shape(points, triangles(polygons, len(points)))


def _from_lines(element: Element, lines: list[str], at: int) -> Table:
    part = lines[at : at + element.count]
    if len(part) < element.count:
        raise BadSample(f"cut off: {len(part)} of {element.count} lines of element {element.name} are there")
    if element.lists:
        if element.name != "face":
            return {}, [], at + element.count
        if element.lists[0] or element.properties[0][0] not in CORNERS:
            raise BadSample(f"ASCII faces begin with {element.properties[0][0]}, expected {CORNERS[0]}")
        by_corners: dict[str, list[str]] = {}
        for line in part:
            by_corners.setdefault(line.split(maxsplit=1)[0], []).append(line)
        if bad := [word for word in by_corners if not word.isdecimal()]:
            raise BadSample(f"a face begins with {bad[0][:20]!r}, expected its number of corners")
        found = [numbers(rows, int(n) + 1, f"faces of {n} corners")[:, 1:] for n, rows in by_corners.items()]
        return {}, found, at + element.count
    values = numbers(part, len(element.properties), f"element {element.name}")
    return {name: values[:, i] for i, (name, _, _) in enumerate(element.properties)}, [], at + element.count


def _from_bytes(element: Element, body: bytes, at: int, order: str) -> Table:
    if element.lists:
        return {}, *_lists(element, body, at, order)
    kind = np.dtype([(name, order + number) for name, number, _ in element.properties])
    end = at + kind.itemsize * element.count
    if end > len(body):
        there = (len(body) - at) // max(1, kind.itemsize)
        raise BadSample(f"cut off: {there} of {element.count} rows of element {element.name} are there")
    table = np.frombuffer(body, kind, element.count, at)
    return {name: table[name] for name, _, _ in element.properties}, [], end


def _lists(element: Element, body: bytes, at: int, order: str) -> tuple[list[Array], int]:
    """Rows with lists: all of them at once where every list is as long as the first row's, else row by row."""
    lengths = _lengths(element, body, at, order) if element.count else {}
    kind = _row(element, lengths, order)
    end = at + kind.itemsize * element.count
    counts = [f"n{i}" for i in element.lists]
    if end <= len(body):
        table = np.frombuffer(body, kind, element.count, at)
        if all((table[count] == lengths[i]).all() for i, count in zip(element.lists, counts, strict=True)):
            return [table[name] for name, _, length in element.properties if name in CORNERS and length], end
    found: dict[int, list[Array]] = {}
    for _ in range(element.count):
        kind = _row(element, _lengths(element, body, at, order), order)
        if at + kind.itemsize > len(body):
            raise BadSample(f"cut off within element {element.name}")
        row = np.frombuffer(body, kind, 1, at)[0]
        at += kind.itemsize
        for name, _, length in element.properties:
            if name in CORNERS and length:
                found.setdefault(len(row[name]), []).append(row[name])
    return [np.stack(rows) for rows in found.values()], at


def _lengths(element: Element, body: bytes, at: int, order: str) -> dict[int, int]:
    """Lengths of the lists in the row that begins at byte ``at``, by place of the property."""
    found: dict[int, int] = {}
    for i, (_, number, length) in enumerate(element.properties):
        if length is not None:
            size = np.dtype(length).itemsize
            if at + size > len(body):
                raise BadSample(f"cut off within element {element.name}")
            found[i] = int(np.frombuffer(body, order + length, 1, at)[0])
            if found[i] < 0:
                raise BadSample(f"a list of element {element.name} has the length {found[i]}")
            at += size
        at += np.dtype(number).itemsize * found.get(i, 1)
    return found


def _row(element: Element, lengths: dict[int, int], order: str) -> np.dtype[np.void]:
    fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
    for i, (name, number, length) in enumerate(element.properties):
        if length is None:
            fields.append((name, order + number))
        else:
            fields += [(f"n{i}", order + length), (name, order + number, (lengths.get(i, 0),))]
    return np.dtype(fields)  # type: ignore[return-value]

"""PLY: ASCII and binary, of either byte order."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from maskedmod.core.modality import BadSample, altered

from . import Array, Shape, decoded, numbers, triangles
from .rows import Table, read_rows

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "int64": "i8", "uint64": "u8", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
CORNERS = ("vertex_indices", "vertex_index")
STRIPS = ("tristrips", "triStrips")


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
    lines, body = _header_lines(raw)
    order, elements = None, list[Element]()
    for line in lines:
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
    return elements, order, body


def _header_lines(raw: bytes) -> tuple[list[str], bytes]:
    """Lines between the first one and ``end_header``, and what follows it. They end with LF, CR LF or, as the first one shows, CR
    alone, after which a LF is a byte of the data. Comments may be in any encoding."""
    first = re.match(rb"ply[ \t]*(\r\n|\r|\n)", raw)
    if first is None:
        raise BadSample(f"is no PLY file: it begins with {raw[:8]!r}")
    found = re.search(rb"[\r\n][ \t]*end_header[ \t]*" + (rb"\r" if first[1] == b"\r" else rb"\r?\n"), raw)
    if found is None:
        raise BadSample("cut off: the PLY header has no end")
    return re.split(r"\r\n|\r|\n", raw[: found.start()].decode("latin-1"))[1:], raw[found.end() :]


def _shape(elements: list[Element], read: Callable[[Element, int], Table]) -> Shape:
    """Read the elements one after another; only vertices and faces are used."""
    points, polygons, at = None, list[Array](), 0
    last = max((i for i, element in enumerate(elements) if element.name in ("vertex", "face")), default=-1)
    for i, element in enumerate(elements):
        if element.name in STRIPS and element.count:
            altered(f"{element.count} triangle strips not read: of the mesh only its vertices")
        if i > last:
            continue
        _corners(element)  # faces without corners are an error, whatever else they have
        columns, found, at = read(element, at)
        if element.name == "vertex":
            names = {name.lower(): name for name in reversed(columns)}
            if missing := [axis for axis in "xyz" if axis not in names]:
                has = ", ".join(name for name, _, _ in element.properties) or "nothing"
                raise BadSample(f"PLY vertices have no {', '.join(missing)}; they have {has}")
            points = np.stack([columns[names[axis]].astype(np.float64) for axis in "xyz"], axis=1)
        elif element.name == "face":
            polygons = found
    if points is None:
        raise BadSample("a PLY file without vertices")
    return Shape(points, triangles(polygons, len(points)))


def _corners(element: Element) -> str | None:
    """The list that holds the corners of a face: of a usual name, else the only list of whole numbers."""
    whole = [name for name, kind, length in element.properties if length is not None and kind[0] in "iu"]
    named = [name for name in whole if name in CORNERS]
    if element.name != "face" or not element.count:
        return None
    if not named and len(whole) != 1:
        raise BadSample(f"PLY faces have no {CORNERS[0]}; they have {', '.join(name for name, _, _ in element.properties)}")
    return (named or whole)[0]


def _from_lines(element: Element, lines: list[str], at: int) -> Table:
    part = lines[at : at + element.count]
    if len(part) < element.count:
        raise BadSample(f"cut off: {len(part)} of {element.count} lines of element {element.name} are there")
    if not element.lists:
        values = numbers(part, len(element.properties), f"element {element.name}")
        return {name: values[:, i] for i, (name, _, _) in enumerate(element.properties)}, [], at + element.count
    corners = _corners(element)
    if corners is not None and corners == element.properties[0][0]:
        by_corners: dict[str, list[str]] = {}
        for line in part:
            by_corners.setdefault(line.split(maxsplit=1)[0], []).append(line)
        if bad := [word for word in by_corners if not word.isdecimal()]:
            raise BadSample(f"a face begins with {bad[0][:20]!r}, expected its number of corners")
        found = [numbers(rows, int(n) + 1, f"faces of {n} corners")[:, 1:] for n, rows in by_corners.items()]
        return {}, found, at + element.count
    return *_words(element, part, corners), at + element.count


def _words(element: Element, part: list[str], corners: str | None) -> tuple[dict[str, Array], list[Array]]:
    """Rows of words with lists among them: single numbers by name, and the lists called ``corners`` by their length."""
    singles: dict[str, list[float]] = {name: [] for name, _, length in element.properties if length is None}
    found: dict[int, list[list[float]]] = {}
    for line in part:
        words, place = line.split(), 0
        try:
            for name, _, length in element.properties:
                count = 1 if length is None else int(words[place])
                place += length is not None
                values = [float(word) for word in words[place : place + count]]
                if len(values) < count:
                    raise IndexError
                if length is None:
                    singles[name].append(values[0])
                elif name == corners:
                    found.setdefault(count, []).append(values)
                place += count
        except (ValueError, IndexError):
            raise BadSample(f"element {element.name}: line {line[:60]!r} does not hold its properties") from None
    return {name: np.array(values) for name, values in singles.items()}, [np.array(rows) for rows in found.values()]


def _from_bytes(element: Element, body: bytes, at: int, order: str) -> Table:
    if element.lists and element.count:
        return read_rows(element.properties, element.count, body, at, order, _corners(element), f"element {element.name}")
    kind = np.dtype([(name, order + number) for name, number, length in element.properties if length is None])
    end = at + kind.itemsize * element.count
    if end > len(body):
        there = (len(body) - at) // max(1, kind.itemsize)
        raise BadSample(f"cut off: {there} of {element.count} rows of element {element.name} are there")
    table = np.frombuffer(body, kind, element.count, at) if element.count else np.empty(0, kind)
    return {name: table[name] for name in kind.names or ()}, [], end

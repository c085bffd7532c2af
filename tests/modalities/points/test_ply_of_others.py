"""PLY files as other programs write them: lists in any element, any line end of the header, elements without rows."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from maskedmod.modalities.points.formats.ply import read_ply

from maskedmod.core.modality import BadSample, changes

XYZ = np.random.default_rng(3).random((40, 3)).astype(np.float32)
KINDS = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}
CODES = {"uchar": "B", "char": "b", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}


def ply(order: str, elements: list[tuple[str, list[str], list[list[Any]]]], end: str = "\n", above: bytes = b"") -> bytes:
    """``elements``: name, properties as in the header, rows of numbers and lists."""
    head = [b"ply", f"format {KINDS[order]} 1.0".encode(), *([above] if above else [])]
    body = b""
    for name, properties, rows in elements:
        head += [f"element {name} {len(rows)}".encode(), *(f"property {one}".encode() for one in properties)]
        for row in rows:
            if not order:
                words = [w for value in row for w in ([len(value), *value] if isinstance(value, list) else [value])]
                body += (" ".join(map(repr, words)) + end).encode()
                continue
            for value, one in zip(row, properties, strict=True):
                kind = one.split()
                if kind[0] == "list":
                    body += struct.pack(order + CODES[kind[1]], len(value))
                    body += struct.pack(f"{order}{len(value)}{CODES[kind[2]]}", *value)
                else:
                    body += struct.pack(order + CODES[kind[0]], value)
    return end.encode().join([*head, b"end_header"]) + end.encode() + body


POINT = ["float x", "float y", "float z"]
ROWS: list[list[Any]] = [[float(v) for v in row] for row in XYZ]
SEEN: list[list[Any]] = [[*row, [i % 7] * (i % 4), [0.5] * (i % 4)] for i, row in enumerate(ROWS)]
FACES: list[list[Any]] = [[[0, 1, 2]], [[3, 4, 5, 6]], [[7, 8, 9]]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("order", list(KINDS))
def test_lists_of_vertices_and_every_line_end(order: str, end: str) -> None:
    many = [*POINT, "list uchar uint view_indices", "list uchar float view_weights"]
    shape = read_ply(ply(order, [("vertex", many, SEEN)], end))
    np.testing.assert_array_equal(shape.points.astype(np.float32), XYZ)
    assert shape.faces is None
    between = ["list ushort double w", "uchar red", "double x", "float y", "int n", "float z"]
    rows: list[list[Any]] = [[[1.0] * (i % 3), 7, x, y, -i, z] for i, (x, y, z) in enumerate(ROWS)]
    shape = read_ply(ply(order, [("vertex", between, rows), ("face", ["list uchar int vertex_indices"], FACES)], end))
    np.testing.assert_array_equal(shape.points.astype(np.float32), XYZ)
    assert shape.faces is not None and sorted(map(tuple, shape.faces.tolist())) == [(0, 1, 2), (3, 4, 5), (3, 5, 6), (7, 8, 9)]


@pytest.mark.parametrize("order", list(KINDS))
def test_elements_without_rows_and_others_between(order: str) -> None:
    shape = read_ply(ply(order, [("vertex", POINT, ROWS), ("face", ["list uchar int vertex_indices"], [])]))
    assert len(shape.points) == 40 and shape.faces is None
    camera = ("camera", ["float fx", "list uchar float k"], [[1.0, [1.0, 2.0]], [2.0, []]])
    late = ("material", ["int id", "list int uchar name"], [[1, [65, 66]]])
    shape = read_ply(ply(order, [camera, ("vertex", POINT, ROWS), ("face", ["list uchar uint vertices"], FACES), late]))
    np.testing.assert_array_equal(shape.points.astype(np.float32), XYZ)
    assert shape.faces is not None and len(shape.faces) == 4
    textured = [[0.5, face[0], [0.0] * 6] for face in FACES]
    kinds = ["float quality", "list uchar int vertex_index", "list uchar float texcoord"]
    shape = read_ply(ply(order, [("vertex", POINT, ROWS), ("face", kinds, textured)]))
    assert shape.faces is not None and len(shape.faces) == 4


def test_capital_names_comments_in_any_encoding_and_a_line_feed_that_is_data() -> None:
    rows: list[list[Any]] = [[10, *row] for row in ROWS]  # the first byte of the data is 0x0a
    raw = ply(
        "<", [("vertex", ["uchar c", "float X", "float Y", "float Z"], rows)], "\r", above="comment \u00e9tude".encode("latin-1")
    )
    np.testing.assert_array_equal(read_ply(raw).points.astype(np.float32), XYZ)
    raw = ply("<", [("vertex", POINT, ROWS)], above=b"comment no end_header yet")
    assert len(read_ply(raw).points) == 40


def test_what_is_missing_is_named() -> None:
    with pytest.raises(BadSample, match="have no z; they have x, y, seen"):
        read_ply(ply("<", [("vertex", ["float x", "float y", "list uchar int seen"], [[1.0, 2.0, []]])]))
    with pytest.raises(BadSample, match="cut off within element vertex"):
        read_ply(ply("<", [("vertex", [*POINT, "list uchar int seen"], SEEN_INT)])[:-9])
    with pytest.raises(BadSample, match="PLY faces have no vertex_indices; they have area"):
        read_ply(ply("<", [("vertex", POINT, ROWS), ("face", ["float area"], [[1.0]])]))
    with changes() as heard:
        strips = ("tristrips", ["list int int vertex_indices"], [[[0, 1, 2, -1, 3, 4, 5]]])
        assert len(read_ply(ply(">", [("vertex", POINT, ROWS), strips])).points) == 40
    assert heard == ["1 triangle strips not read: of the mesh only its vertices"]


SEEN_INT: list[list[Any]] = [[*row, [i]] for i, row in enumerate(ROWS)]

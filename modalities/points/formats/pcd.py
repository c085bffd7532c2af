"""PCD: the format of the Point Cloud Library, as text, binary, and compressed."""

from __future__ import annotations

import re
import struct

import numpy as np

from maskedmod.core.modality import BadSample

from . import Array, Shape, decoded, numbers

KINDS = {"F": ("2", "4", "8"), "I": ("1", "2", "4", "8"), "U": ("1", "2", "4", "8")}
"""Sizes in bytes of the numbers of each type."""
LINE_END = re.compile(rb"\r\n|\r|\n")
PADDING = "_"
"""Name of fields that only fill up a row: there may be several."""


def read_pcd(raw: bytes) -> Shape:
    """Fields ``x y z`` of every point. BadSample for what is no PCD file, damaged or cut off."""
    head, kind, body = _header(raw)
    fields, points, counts = head["FIELDS"], int(head["POINTS"][0]), [int(count) for count in head["COUNT"]]
    if missing := [axis for axis in "xyz" if axis not in fields]:
        raise BadSample(f"PCD points have no {', '.join(missing)}; they have {', '.join(fields)}")
    starts = dict(zip(fields, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
    if kind == "ascii":
        lines = [line for line in decoded(body, "ASCII PCD").splitlines() if line.strip()]
        if len(lines) < points:
            raise BadSample(f"cut off: {len(lines)} of {points} points are there")
        values = numbers(lines[:points], sum(counts), "points")
        return Shape(np.stack([values[:, starts[axis]] for axis in "xyz"], axis=1))
    types = [f"<{t.lower()}{size}" for t, size in zip(head["TYPE"], head["SIZE"], strict=True)]
    if kind == "binary_compressed":
        return Shape(_columns(_unpacked(body), fields, types, counts, points))
    row = np.dtype([(f"{i}", t, (n,)) for i, (t, n) in enumerate(zip(types, counts, strict=True))])
    if len(body) < row.itemsize * points:
        raise BadSample(f"cut off: {len(body) // row.itemsize} of {points} points are there")
    table = np.frombuffer(body, row, points)
    return Shape(np.stack([table[f"{fields.index(axis)}"][:, 0].astype(np.float64) for axis in "xyz"], axis=1))


def _header(raw: bytes) -> tuple[dict[str, list[str]], str, bytes]:
    """Words of the header by key, the kind of data, and the data."""
    head: dict[str, list[str]] = {}
    at = 0
    while "DATA" not in head:
        found = LINE_END.search(raw, at)
        if found is None or len(head) > 20:
            raise BadSample("is no PCD file: its header has no DATA line")
        end = found.start()
        key, *words = decoded(raw[at:end], "PCD").split() or [""]
        if key and not key.startswith("#"):
            head[key] = words
        at = found.end()
    _check(head)
    kind = head["DATA"][0] if head["DATA"] else ""
    if kind not in ("ascii", "binary", "binary_compressed"):
        raise BadSample(f"PCD data of kind {kind!r}; expected ascii, binary or binary_compressed")
    return head, kind, raw[at:]


def _check(head: dict[str, list[str]]) -> None:
    """BadSample for fields that cannot be read; ``COUNT`` is 1 where it is not given."""
    head.setdefault("COUNT", ["1"] * len(head.get("FIELDS", [])))
    for key in ("FIELDS", "SIZE", "TYPE", "COUNT", "POINTS"):
        if not head.get(key) or (key != "POINTS" and len(head[key]) != len(head["FIELDS"])):
            raise BadSample(f"broken PCD header: {key} is missing or has another number of words than FIELDS")
    for key in ("COUNT", "POINTS"):
        if not all(word.isdecimal() and int(word) > 0 for word in head[key]):
            raise BadSample(f"broken PCD header: {key} {' '.join(head[key])}, expected whole numbers above 0")
    if len(set(head["FIELDS"]) - {PADDING}) != len([name for name in head["FIELDS"] if name != PADDING]):
        raise BadSample(f"broken PCD header: FIELDS {' '.join(head['FIELDS'])} names one twice")
    for kind, size in zip(head["TYPE"], head["SIZE"], strict=True):
        if size not in KINDS.get(kind, ()):
            raise BadSample(f"broken PCD header: TYPE {kind} of SIZE {size} is no number")


def _columns(body: bytes, fields: list[str], types: list[str], counts: list[int], points: int) -> Array:
    """Compressed files hold field after field."""
    found, at = {}, 0
    for name, kind, count in zip(fields, types, counts, strict=True):
        size = np.dtype(kind).itemsize * count * points
        if at + size > len(body):
            raise BadSample(f"cut off: the data ends within field {name}")
        found[name] = np.frombuffer(body, kind, count * points, at).reshape(points, count)[:, 0].astype(np.float64)
        at += size
    return np.stack([found[axis] for axis in "xyz"], axis=1)


def _unpacked(body: bytes) -> bytes:
    """LZF (Marc Lehmann's format): a control byte below 32 announces that many bytes and one more; above, a copy of what was
    written ``distance`` bytes ago."""
    if len(body) < 8:
        raise BadSample("cut off: no compressed data")
    packed, whole = struct.unpack("<II", body[:8])
    data, out, at = body[8 : 8 + packed], bytearray(), 0
    if len(data) < packed:
        raise BadSample(f"cut off: {len(data)} of {packed} compressed bytes are there")
    try:
        while at < packed:
            control = data[at]
            at += 1
            if control < 32:
                out += data[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[at]
                at += 1
            start = len(out) - ((control & 31) << 8) - data[at] - 1
            at += 1
            if start < 0:
                raise IndexError
            for i in range(length + 2):  # byte by byte: a copy may reach into itself
                out.append(out[start + i])
    except IndexError:
        raise BadSample("the compressed data is damaged") from None
    if len(out) != whole:
        raise BadSample(f"the compressed data is damaged: {len(out)} of {whole} bytes came out")
    return bytes(out)

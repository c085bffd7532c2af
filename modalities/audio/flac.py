"""Samples of a FLAC whose stream information says none: the blocks of its frames added up, nothing decoded (RFC 9639, 9.1)."""

from __future__ import annotations

import re
from functools import cache

SYNC = re.compile(rb"\xff[\xf8\xf9]", re.DOTALL)


def total_samples(raw: bytes) -> int:
    """Of frames that follow one another from the first on; the last one only where it is whole."""
    at, samples, frames, last = _past_metadata(raw), 0, 0, (0, 0)
    while (found := SYNC.search(raw, at)) is not None:
        head = _header(raw, found.start())
        at = found.start() + 1
        if head is None:
            continue
        block, number = head
        if number == (samples if raw[found.start() + 1] & 1 else frames):
            last = (found.start(), block)
            samples, frames = samples + block, frames + 1
    end = len(raw) - 128 if raw[-128:-125] == b"TAG" else len(raw)
    return samples if frames and _sum(raw[last[0] : end], 16, 0x8005) == 0 else samples - last[1]


def _past_metadata(raw: bytes) -> int:
    at = raw.index(b"fLaC") + 4
    while at + 4 <= len(raw):
        closing, at = raw[at] & 0x80, at + 4 + int.from_bytes(raw[at + 1 : at + 4], "big")
        if closing:
            break
    return at


def _header(raw: bytes, at: int) -> tuple[int, int] | None:
    """Samples of the frame and its number (of frames, or of samples before it); None where no header stands, or a damaged one."""
    head = raw[at : at + 16].ljust(16, b"\0")
    block, rate = head[2] >> 4, head[2] & 15
    if block == 0 or rate == 15 or head[3] & 1:
        return None
    more = next((i for i in range(7) if not head[4] & 0x80 >> i), 7)  # ones at the left: as many bytes, as in UTF-8
    number, place = head[4] & (0x7F >> more), 5
    for _ in range(more - 1):
        number, place = number << 6 | head[place] & 0x3F, place + 1
    if block in (6, 7):
        size, place = int.from_bytes(head[place : place + block - 5], "big") + 1, place + block - 5
    else:
        size = 192 if block == 1 else 144 << block if block < 6 else 1 << block
    place += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    return (size, number) if _sum(head[: place + 1], 8, 0x07) == 0 else None


def _sum(part: bytes, bits: int, polynomial: int) -> int:
    """Cyclic redundancy check; 0 of bytes that end with their own."""
    table, found, mask = _table(bits, polynomial), 0, (1 << bits) - 1
    for byte in part:
        found = (found << 8 & mask) ^ table[(found >> bits - 8) ^ byte]
    return found


@cache
def _table(bits: int, polynomial: int) -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> bits - 1 & 1 else 0)) & (1 << bits) - 1
        rows.append(value)
    return tuple(rows)

"""Frames of an mp3 counted one by one, for files whose header says nothing of their length, or less than there is."""

from __future__ import annotations

from dataclasses import dataclass

BITRATES = {
    (3, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by (version, layer) as their bits are written; layer II of MPEG-2 has those of layer III (ISO 11172-3, 13818-3)."""
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Hz by version: MPEG-1, MPEG-2, MPEG-2.5."""


@dataclass(frozen=True)
class Frames:
    """``first``: byte of the first frame that is sound; ``count`` of frames of ``samples`` each; ``told``: how many the header
    frame before them says, None without one."""

    first: int
    count: int
    samples: int
    told: int | None


def count_frames(raw: bytes) -> Frames | None:
    """Count them; None where there is no frame, or one of free format. What lies between frames (tags, torn ones) is passed
    over."""
    at, kind = _synced(raw, _after_tag(raw), None), None
    if at < 0:
        return None
    kind = _kind(raw, at)
    told = _told(raw, at)
    start = at if told is None else at + _length(raw, at)
    count, at, samples = 0, start, _samples(kind)
    while at >= 0 and at + 4 <= len(raw):
        length = _length(raw, at) if _kind(raw, at) == kind else 0
        if length == 0:
            at = _synced(raw, at + 1, kind)
            continue
        if at + length <= len(raw):
            count += 1
        at += length
    return Frames(start, count, samples, told)


def with_count(raw: bytes, frames: Frames) -> bytes:
    """The same sound behind a header frame that says the number of its frames, as Xing's encoder writes it."""
    head = bytearray(raw[frames.first : frames.first + 4])
    head[1] |= 1  # no checksum
    for step in range(1, 15):
        head[2] = (head[2] & 0x0D) | step << 4
        length = _length(bytes(head), 0)
        if length >= 64:
            break
    body = bytearray(length)
    body[:4] = head
    side = _side(bytes(head), 0)
    body[side : side + 12] = b"Xing" + (1).to_bytes(4, "big") + frames.count.to_bytes(4, "big")
    return bytes(body) + raw[frames.first :]


def _after_tag(raw: bytes) -> int:
    """Past an ID3v2 tag, whose size is in four times seven bits."""
    if raw[:3] != b"ID3" or len(raw) < 10:
        return 0
    size = raw[6] << 21 | raw[7] << 14 | raw[8] << 7 | raw[9]
    return 10 + size + (10 if raw[5] & 0x10 else 0)


def _synced(raw: bytes, at: int, kind: tuple[int, int, int] | None) -> int:
    """The next place where a frame of the kind stands, with another one behind it or the end; -1 where there is none."""
    while (at := raw.find(b"\xff", at)) >= 0:
        found = _kind(raw, at)
        if found is not None and kind in (None, found) and (length := _length(raw, at)):
            follows = at + length
            if follows >= len(raw) - 3 or _kind(raw, follows) == found or raw[follows : follows + 3] in (b"TAG", b"ID3", b"APE"):
                return at
        at += 1
    return -1


def _kind(raw: bytes, at: int) -> tuple[int, int, int] | None:
    """Version, layer and rate as their bits are written; None where no frame begins."""
    if at + 4 > len(raw) or raw[at] != 0xFF or raw[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer, rate = raw[at + 1] >> 3 & 3, raw[at + 1] >> 1 & 3, raw[at + 2] >> 2 & 3
    return None if version == 1 or layer == 0 or rate == 3 else (version, layer, rate)


def _length(raw: bytes, at: int) -> int:
    """Bytes of the frame; 0 for one of free format."""
    version, layer, rate = _kind(raw, at) or (3, 1, 0)
    table = BITRATES[3 if version == 3 else 2, layer if version == 3 or layer == 3 else 1]
    index, padding = raw[at + 2] >> 4, raw[at + 2] >> 1 & 1
    bits = table[index] * 1000 if index < 15 else 0
    if bits == 0:
        return 0
    hertz = RATES[version][rate]
    if layer == 3:
        return (12 * bits // hertz + padding) * 4
    return (144 if version == 3 or layer == 2 else 72) * bits // hertz + padding


def _samples(kind: tuple[int, int, int] | None) -> int:
    version, layer, _ = kind or (3, 1, 0)
    return 384 if layer == 3 else 1152 if version == 3 or layer == 2 else 576


def _side(raw: bytes, at: int) -> int:
    """Where a header frame has its word: behind the side information of layer III."""
    mono = raw[at + 3] >> 6 == 3
    return at + 4 + ((17 if mono else 32) if raw[at + 1] >> 3 & 3 == 3 else (9 if mono else 17))


def _told(raw: bytes, at: int) -> int | None:
    """Frames that a header frame (Xing, Info, VBRI) says; 0 where it says nothing; None where the frame is none."""
    side = _side(raw, at)
    if raw[side : side + 4] in (b"Xing", b"Info"):
        return int.from_bytes(raw[side + 8 : side + 12], "big") if raw[side + 7] & 1 else 0
    return int.from_bytes(raw[at + 50 : at + 54], "big") if raw[at + 36 : at + 40] == b"VBRI" else None

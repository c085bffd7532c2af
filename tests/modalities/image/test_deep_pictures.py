"""Pictures of more than 8 bits: PGM and PPM of any maximum, TIFF however it is stored, and what they become."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.image import Image
from PIL import Image as Pillow

from maskedmod.core.modality import BadSample, Record, changes

tifffile = pytest.importorskip("tifffile")
H, W = 21, 18


def read(data: Any, channels: int = 1, **arguments: Any) -> torch.Tensor:
    measured = {} if channels == 3 else {"mean": None, "std": None}
    return Image(size=16, patch_size=4, channels=channels, **measured, **arguments).read(Record(data, key="x"))


def values(most: int, samples: int = 1, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).integers(0, most + 1, (H, W, samples))
    found.flat[:2] = 0, most
    return found


def pnm(found: np.ndarray, most: int, text: bool) -> bytes:
    kind = {(1, True): 2, (1, False): 5, (3, True): 3, (3, False): 6}[found.shape[2], text]
    head = f"P{kind}\n# made by a camera\n{W} {H} # size\n{most}\n".encode()
    if text:
        return head + b"\n".join(b" ".join(b"%d" % v for v in row.flat) for row in found)
    return head + found.astype(">u2" if most > 255 else "u1").tobytes()


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("most", [1, 15, 100, 254, 255, 256, 1000, 1023, 4095, 16383, 65534, 65535])
def test_pgm_and_ppm_count_to_their_maximum(most: int, text: bool) -> None:
    for samples in (1, 3):
        found = values(most, samples, seed=most)
        got = read(pnm(found, most, text), samples)
        assert got.dtype == (torch.uint8 if 255 % most == 0 else torch.float32)
        one = got.float() / (255 if got.dtype == torch.uint8 else 1)
        torch.testing.assert_close(one, torch.from_numpy(found / most).permute(2, 0, 1).float(), rtol=0, atol=1e-6)
    grey = values(most, 1)
    assert torch.equal(read(pnm(grey, most, text), 3)[1], read(pnm(grey, most, text))[0])


def test_pgm_that_is_wrong_says_so() -> None:
    raw = pnm(values(4095), 4095, False)
    with pytest.raises(BadSample, match="cut off: 368 of 378 values are there"):
        read(raw[:-20])
    with pytest.raises(BadSample, match="expected 1 to 65535"):
        read(raw.replace(b"\n4095\n", b"\n70000\n"))
    with pytest.raises(BadSample, match="cut off: 377 of 378"):
        read(pnm(values(999), 999, True).rsplit(b" ", 1)[0])
    with changes() as heard:
        assert float(read(pnm(values(4095), 1000, False)).max()) == 1.0
    assert "values above the maximum 1000 cut to it" in heard[0]
    with changes() as heard:
        read(raw + raw)
    assert heard == ["only the first of its pictures used"]
    with Pillow.open(io.BytesIO(raw)) as picture:  # a picture that somebody opened is on the same scale
        torch.testing.assert_close(read(picture), read(raw), rtol=0, atol=1e-5)


def written(found: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, found, **how)
    return file.getvalue()


def lzw(raw: bytes) -> bytes:
    """Bytes as LZW of TIFF that never uses its table: a clear code before every run of 250."""
    bits, codes = "", [code for i in range(0, len(raw), 250) for code in (256, *raw[i : i + 250])] + [257]
    bits = "".join(f"{code:09b}" for code in codes)
    return bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8))


def tiff(
    found: np.ndarray, kind: str, order: str, predictor: int, photometric: int, planar: bool, packer: Any, code: int
) -> bytes:
    """A TIFF by hand, in strips of 8 rows."""
    samples = found.shape[2]
    strips = []
    for part in [found[:, :, i : i + 1] for i in range(samples)] if planar else [found]:
        for row in range(0, H, 8):
            block = part[row : row + 8].astype(f"{order}{kind}")
            if predictor == 2:
                whole = np.zeros_like(block)
                whole[:, 1:] = block[:, :-1]
                size = block.dtype.itemsize
                block = (block.view(f"{order}u{size}") - whole.view(f"{order}u{size}")).astype(f"{order}u{size}")
            elif predictor == 3:
                planes = np.stack([np.frombuffer(line.astype(f">{kind}").tobytes(), np.uint8) for line in block])
                planes = planes.reshape(len(block), -1, block.dtype.itemsize).transpose(0, 2, 1).reshape(len(block), -1)
                step = block.shape[2]
                moved = np.zeros_like(planes)
                moved[:, step:] = planes[:, :-step]
                block = planes - moved
            strips.append(packer(block.tobytes()))
    bits, sign = int(kind[1]) * 8, {"u": 1, "i": 2, "f": 3}[kind[0]]
    lists: dict[int, list[int]] = {
        256: [W], 257: [H], 258: [bits] * samples, 259: [code], 262: [photometric], 273: [], 277: [samples], 278: [8],
        279: [len(strip) for strip in strips], 284: [2 if planar else 1], 317: [predictor], 339: [sign] * samples,
    }  # fmt: skip
    at = 8
    for strip in strips:
        lists[273].append(at)
        at += len(strip)
    body, more, entries = b"".join(strips), b"", b""
    at += at % 2
    start = at + 2 + 12 * len(lists) + 4
    for tag, found_ in sorted(lists.items()):
        entries += struct.pack(f"{order}HHI", tag, 4, len(found_))
        packed = struct.pack(f"{order}{len(found_)}I", *found_)
        entries += packed if len(found_) == 1 else struct.pack(f"{order}I", start + len(more))
        more += b"" if len(found_) == 1 else packed
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(f"{order}2sHI", mark, 42, at)
    return head + body + bytes((8 + len(body)) % 2) + struct.pack(f"{order}H", len(lists)) + entries + bytes(4) + more


PACKERS = {"none": (bytes, 1), "lzw": (lzw, 5), "zlib": (zlib.compress, 8), "old zlib": (zlib.compress, 32946)}


@pytest.mark.parametrize("packing", list(PACKERS))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "predictor"), [("u2", 1), ("u2", 2), ("f4", 1), ("f4", 3), ("i2", 2), ("u4", 1)])
def test_tiff_of_any_kind_order_compression_and_predictor(kind: str, predictor: int, order: str, packing: str) -> None:
    packer, code = PACKERS[packing]
    predictor = 1 if packing == "none" else predictor  # the standard has predictors with compression alone
    scale = {"u2": 65535.0}.get(kind, 1.0)
    for samples, planar in ((1, False), (3, False), (3, True)):
        found = values(60000, samples).astype(kind) if kind != "f4" else np.random.default_rng(1).normal(size=(H, W, samples))
        if kind == "i2":
            found = (values(60000, samples) - 30000).astype(kind)
        raw = tiff(found, kind, order, predictor, 2 if samples == 3 else 1, planar, packer, code)
        wanted = torch.from_numpy(found.astype(np.float32) / np.float32(scale)).permute(2, 0, 1)
        torch.testing.assert_close(read(raw, samples), wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("packing", list(PACKERS))
def test_white_that_is_zero_is_turned_round(packing: str) -> None:
    found = values(65535)
    packer, code = PACKERS[packing]
    got = read(tiff(found, "u2", "<", 1, 0, False, packer, code))
    torch.testing.assert_close(got[0], torch.from_numpy(1 - found[..., 0] / 65535).float(), rtol=0, atol=1e-6)
    with Pillow.open(io.BytesIO(tiff(found, "u2", "<", 1, 0, False, packer, code))) as picture:
        torch.testing.assert_close(read(picture), got, rtol=0, atol=1e-6)
    with changes() as heard:
        read(tiff(np.ones((H, W, 1)), "f4", "<", 1, 0, False, packer, code))
    assert "white is stored as the least value" in heard[0]


def test_colours_become_what_is_asked_for(tmp_path: Path) -> None:
    grey, colour = values(65535)[..., 0].astype(np.uint16), values(65535, 4).astype(np.uint16)
    with changes() as heard:
        three = read(written(grey, photometric="minisblack"), 3)
    assert torch.equal(three[0], three[2]) and heard == []
    rgba = written(colour, photometric="rgb", extrasamples=["unassalpha"])
    with changes() as heard:
        got = read(rgba, 3)
    torch.testing.assert_close(got, torch.from_numpy(colour[..., :3] / 65535).permute(2, 0, 1).float(), rtol=0, atol=1e-6)
    assert heard == ["RGBA converted to RGB, transparency dropped"]
    assert read(rgba, 4).shape == (4, H, W)
    luma = torch.from_numpy(colour[..., :3] / 65535 @ [0.299, 0.587, 0.114]).float()
    torch.testing.assert_close(read(rgba, 1)[0], luma, rtol=0, atol=1e-6)
    with pytest.raises(BadSample, match=r"TIFF of 1 channels, expected 3; convert=true"):
        read(written(grey), 3, convert=False)
    with pytest.raises(BadSample, match=r"TIFF of 1 channels, expected 5; modality.channels"):
        read(written(grey), 5)
    near = written(colour, photometric="rgb", extrasamples=["unspecified"])
    with changes() as heard:
        read(near, 3)
    assert heard == ["RGB converted to RGB, 1 further bands left out"]
    cmyk = written(colour, photometric="separated")
    c = colour / 65535
    wanted = torch.from_numpy((1 - c[..., :3]) * (1 - c[..., 3:])).permute(2, 0, 1).float()
    torch.testing.assert_close(read(cmyk, 3), wanted, rtol=0, atol=1e-6)


def test_pages_tiles_and_orientation() -> None:
    stack = values(65535, 3).astype(np.uint16).transpose(2, 0, 1)
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages) as out:
        for one in stack:
            out.write(one, photometric="minisblack", metadata=None, contiguous=False)
    with changes() as heard:
        got = read(pages.getvalue(), 3)
    assert torch.equal(got[0], got[1]) and "only the first of its pictures used" in heard
    assert torch.equal(read(written(stack, photometric="minisblack"), 3), torch.from_numpy(stack / np.float32(65535)))
    big = np.random.default_rng(2).integers(0, 65536, (70, 50, 3)).astype(np.uint16)
    tiled = read(written(big, photometric="rgb", tile=(32, 16), compression="zlib", predictor=True), 3)
    torch.testing.assert_close(tiled, torch.from_numpy(big / np.float32(65535)).permute(2, 0, 1))
    for way in range(1, 9):
        tag = [(274, "H", 1, way, True)]
        eight = values(255)[..., 0].astype(np.uint8)
        deep = read(written(eight.astype(np.uint16) * 257, extratags=tag))
        torch.testing.assert_close(deep, read(written(eight, extratags=tag)).float() / 255)


def test_twelve_bits_in_three_bytes_and_a_space_that_is_refused() -> None:
    found = values(4095)[..., 0]
    bits = np.unpackbits(found.astype(">u2").view(np.uint8).reshape(H, W, 2), axis=2)[:, :, 4:].reshape(H, -1)
    strip = np.packbits(bits, axis=1).tobytes()
    tags = [(256, W), (257, H), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, H), (279, len(strip))]
    body = strip + bytes(len(strip) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    raw = struct.pack("<2sHI", b"II", 42, 8 + len(body)) + body + struct.pack("<H", len(tags)) + entries + bytes(4)
    torch.testing.assert_close(read(raw)[0], torch.from_numpy(found / 4095).float(), rtol=0, atol=1e-6)
    with pytest.raises(BadSample, match="colour space CIELab with 16 bits; expected grey, RGB or CMYK"):
        read(tiff(values(60000, 3), "u2", "<", 1, 8, False, bytes, 1), 3)
    with pytest.raises(BadSample, match="needs imagecodecs; pip install imagecodecs"):
        read(tiff(values(60000), "u2", "<", 1, 1, False, bytes, 34712))

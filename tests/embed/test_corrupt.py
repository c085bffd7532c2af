"""A thousand pictures with broken ones among them: a row for each, the broken ones named with reasons."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from maskedmod.api.loaded import Loaded
from maskedmod.embed import embed
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.report import Report

SMALL = ["encoder.depth=1", "encoder.width=16", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
COUNT = 1000


def picture(number: int) -> Pillow.Image:
    return Pillow.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8))


def raw(image: Pillow.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def spoilt(good: bytes) -> dict[int, tuple[bytes, str]]:
    """Number of a file -> its bytes, and what must be said of it."""
    middle = len(good) // 2
    turned = bytearray(good)
    turned[middle] ^= 0xFF
    return {
        0: (b"", "empty (0 bytes)"),
        13: (b"just some text\n", "not an image file"),
        99: (good[:middle], "damaged or cut off"),
        100: (good[:8], "damaged or cut off|not an image file"),
        256: (bytes(turned), "damaged or cut off"),
        500: (b"\0" * len(good), "not an image file"),
        501: (b"<html>404 Not Found</html>", "not an image file"),
        777: (raw(picture(0), "JPEG")[:200], "damaged or cut off"),
        998: (b"\x93NUMPY\x01\x00", "not a readable array file"),
        999: (b"%PDF-1.4", "not an image file"),
    }


def test_a_thousand_with_broken_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = resolve(["recipe=mae", "modality={image: {size: 8, patch_size: 4}}", *SMALL])
    model = Loaded(build_model(tree).eval(), Report("fresh"), "fresh", tree)
    monkeypatch.setattr("maskedmod.embed.run.load", lambda path: model)
    photos = tmp_path / "photos"
    photos.mkdir()
    bad = spoilt(raw(picture(0)))
    deep = Pillow.fromarray((np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8))
    usable = {40: raw(deep), 41: raw(picture(41).convert("RGBA")), 42: raw(picture(42).convert("P"))}
    for number in range(COUNT):
        content = bad[number][0] if number in bad else usable.get(number) or raw(picture(number))
        (photos / f"{number:04d}.png").write_bytes(content)
    done = embed("fresh", photos, tmp_path / "features.npy", batch_size=128)
    assert (done.rows, done.rejected, done.altered) == (COUNT, len(bad), 2)
    features = np.load(tmp_path / "features.npy")
    assert features.shape == (COUNT, 16)
    assert set(np.flatnonzero(np.isnan(features).any(1)).tolist()) == set(bad)
    assert np.isnan(features[sorted(bad)]).all()
    lines = [json.loads(line) for line in done.listed.read_text().splitlines()]
    reasons = {line["row"]: line["reason"] for line in lines if line["what"] == "rejected"}
    assert set(reasons) == set(bad)
    for number, (_, accepted) in bad.items():
        assert any(each in reasons[number] for each in accepted.split("|")), (number, reasons[number])
        assert "\n" not in reasons[number]
    altered = {line["row"]: line["reason"] for line in lines if line["what"] == "altered"}
    assert altered == {41: "RGBA converted to RGB, transparency dropped", 42: "P converted to RGB"}
    names = [json.loads(line)["key"] for line in Path(f"{done.output}.rows.jsonl").read_text().splitlines()]
    assert [Path(name).stem for name in names] == [f"{number:04d}" for number in range(COUNT)]
    some = [1, 40, 640]
    np.testing.assert_allclose(features[some], model.embed([photos / f"{n:04d}.png" for n in some]).numpy(), atol=1e-5)

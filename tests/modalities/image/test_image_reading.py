"""Reading images: every accepted kind, and one clear reason for everything else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.image import Image
from PIL import Image as Pillow

from maskedmod.core.modality import BadSample, Record
from maskedmod.data.loader import Loader
from maskedmod.data.sources.folder import Folder
from maskedmod.errors import UserError


def pixels(h: int = 20, w: int = 30, c: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (h, w, c) if c > 1 else (h, w), dtype=np.uint8)


def saved(array: Any, kind: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    file, picture = io.BytesIO(), Pillow.fromarray(array)
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()


def read(data: Any, **arguments: Any) -> torch.Tensor:
    arguments = {"size": 16, "patch_size": 8, "resize": 0, **arguments}
    return Image(**arguments).read(Record(data, "x"))


GREY = {"channels": 1, "mean": None, "std": None}


def test_files_bytes_arrays_tensors_and_pictures_agree(tmp_path: Path) -> None:
    array = pixels()
    wanted = torch.from_numpy(array).permute(2, 0, 1)
    (tmp_path / "a.png").write_bytes(saved(array))
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array)
    torch.save(wanted, tmp_path / "a.pt")
    npy = (tmp_path / "a.npy").read_bytes()
    files = [tmp_path / name for name in ("a.png", "a.npy", "a.npz", "a.pt")]
    for data in (
        *files,
        str(files[0]),
        saved(array),
        npy,
        saved(array, "TIFF"),
        array,
        wanted,
        wanted.numpy(),
        Pillow.fromarray(array),
    ):
        got = read(data)
        assert got.dtype == torch.uint8 and got.is_contiguous() and torch.equal(got, wanted)


def test_conversion_of_modes_is_a_setting() -> None:
    array = pixels()
    for mode in ("L", "P", "RGBA", "LA", "1"):
        data = saved(array, mode=mode)
        assert read(data).shape == (3, 20, 30)
        with pytest.raises(BadSample, match=rf"image mode {mode} has \d channels, expected 3"):
            read(data, convert=False)
    assert read(saved(array, "JPEG", "CMYK")).shape == (3, 20, 30)
    assert torch.equal(read(saved(pixels(c=1)))[0], read(saved(pixels(c=1)))[2])
    assert read(saved(array), **GREY).shape == (1, 20, 30)
    with pytest.raises(BadSample, match="image mode RGB has 3 channels, expected 1"):
        read(saved(array), convert=False, **GREY)
    assert read(saved(array, mode="RGBA"), channels=4, mean=None, std=None).shape == (4, 20, 30)
    with pytest.raises(BadSample, match="image mode RGB has 3 channels, expected 4"):
        read(saved(array), channels=4, mean=None, std=None)


def test_sixteen_bits_and_floats_keep_their_precision(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 20 * 30).astype(np.uint16).reshape(20, 30)
    got = read(saved(deep), **GREY)
    assert got.dtype == torch.float32 and torch.equal(got[0], torch.from_numpy(deep.astype(np.float32) / 65535))
    assert torch.equal(read(deep, **GREY), got)
    real = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    assert torch.equal(read(saved(real, "TIFF"), **GREY)[0], torch.from_numpy(real))
    tifffile = pytest.importorskip("tifffile")
    bands = np.random.default_rng(0).integers(0, 10_000, (20, 30, 13), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "bands.tif", bands, photometric="minisblack")
    tifffile.imwrite(tmp_path / "rgb16.tif", bands[..., :3], photometric="rgb")
    many = read(tmp_path / "bands.tif", channels=13, mean=None, std=None)
    assert many.shape == (13, 20, 30)
    assert torch.equal(many, torch.from_numpy(bands.transpose(2, 0, 1).astype(np.float32) / 65535))
    assert torch.equal(read(tmp_path / "rgb16.tif"), many[:3])


def test_array_axes() -> None:
    wide = pixels(3, 30, 3)
    assert torch.equal(read(wide), torch.from_numpy(wide).permute(2, 0, 1))
    assert torch.equal(read(torch.from_numpy(wide)), torch.from_numpy(wide))
    assert read(pixels(c=1), **GREY).shape == (1, 20, 30)


CASES: list[tuple[Any, dict[str, Any], str]] = [
    (pixels(c=4), {}, r"array of shape \(20, 30, 4\) has 4 channels, expected 3"),
    (pixels(c=3), {"channels": 13, "mean": None, "std": None}, r"has 3 channels, expected 13"),
    (pixels(c=1), {}, r"array of shape \(20, 30\) has 1 channels, expected 3"),
    (np.zeros((2, 3, 4, 5), np.uint8), {}, "is no image"),
    (np.zeros((0, 5, 3), np.uint8), {}, "is empty"),
    (np.zeros((5, 5, 3), np.int64), {}, "array of int64: expected uint8, uint16 or floats"),
    (np.where(np.arange(75).reshape(5, 5, 3) == 7, np.nan, 1.0), {}, "1 of 75 values are NaN or infinite"),
    (np.full((5, 5, 3), np.inf, np.float32), {}, "75 of 75 values"),
    (saved(pixels(60, 60))[:2000], {}, "damaged or cut off"),
    (saved(pixels(60, 60), "JPEG")[:900], {}, "damaged or cut off"),
    (saved(pixels(60, 60), "TIFF")[:900], {}, "damaged or cut off|not a readable TIFF"),
    (b"", {}, r"the file is empty \(0 bytes\)"),
    (b"hello, this is text", {}, "not an image file"),
    (b"\x93NUMPY\x01\x00v", {}, "not a readable array file"),
    (42, {}, "int is no image: expected a path"),
]


@pytest.mark.parametrize(("data", "arguments", "message"), CASES, ids=[message for *_, message in CASES])
def test_bad_samples_say_what_is_wrong(data: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSample, match=message):
        read(data, **arguments)


def test_more_bad_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=pixels(), b=pixels())
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    torch.save({"x": torch.ones(2)}, tmp_path / "dict.pt")
    (tmp_path / "text.pt").write_text("no")
    for name, message in (
        ("two.npz", "2 arrays"),
        ("objects.npy", "not a readable array"),
        ("dict.pt", "holds a dict"),
        ("text.pt", "not a readable tensor"),
    ):
        with pytest.raises(BadSample, match=message):
            read(tmp_path / name)


def test_a_truncated_file_in_a_folder_stops_or_is_skipped(tmp_path: Path) -> None:
    for i in range(6):
        data = saved(pixels(40, 40, seed=i))
        (tmp_path / f"{i}.png").write_bytes(data[:1500] if i == 4 else data)
    modality = Image(size=16, patch_size=8)
    records = Folder(str(tmp_path), val_fraction=0).records("train", modality)
    with pytest.raises(UserError, match=r"4\.png: the image file is damaged or cut off.*train.bad_samples=skip"):
        list(Loader(records, modality, 2, shuffle=False).epoch_batches())
    loader = Loader(records, modality, 2, shuffle=False, bad="skip")
    assert sum(len(b["image"]) for b in loader.epoch_batches()) == 5 and loader.bad.count == 1


def test_large_files_are_reduced_when_read_and_small_ones_left_alone() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 1200).astype(np.uint8)[None, :, None], (900, 1200, 3))
    for kind in ("PNG", "JPEG"):
        got = read(saved(np.ascontiguousarray(ramp), kind), size=64, resize=2.0)
        assert got.shape == (3, 128, 171)
        assert np.abs(got[0, 5, 5:-5].numpy().astype(float) - np.linspace(0, 255, 171)[5:-5]).max() < 3
    assert read(saved(pixels(100, 900)), size=64, resize=2.0).shape == (3, 100, 900)
    assert read(saved(pixels(300, 200)), size=(32, 64), patch_size=8, resize=2.0).shape == (3, 192, 128)
    checks = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (300, 300))
    assert read(saved(checks), size=64, resize=2.0, **GREY).float().std() < 12

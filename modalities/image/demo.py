"""The built-in sample: parts of the photographs that come with scikit-image and scikit-learn. No download."""

from __future__ import annotations

import random
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image as Pillow

from maskedmod.core.modality import Record
from maskedmod.errors import UserError

FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
"""Package -> folder of photographs inside it."""

PHOTOGRAPHS = {
    "astronaut.png": (0.27, 0.0, 0.67, 0.40),
    "brick.png": (0.60, 0.60, 1.0, 1.0),
    "camera.png": (0.30, 0.10, 0.66, 0.55),
    "chelsea.png": (0.22, 0.20, 0.62, 0.65),
    "china.jpg": (0.10, 0.05, 0.55, 0.50),
    "coffee.png": (0.30, 0.0, 0.70, 0.55),
    "coins.png": (0.50, 0.50, 1.0, 1.0),
    "flower.jpg": (0.50, 0.10, 0.80, 0.90),
    "motorcycle_left.png": (0.58, 0.25, 0.95, 0.85),
    "retina.jpg": (0.0, 0.30, 0.40, 0.70),
    "rocket.jpg": (0.35, 0.30, 0.65, 1.0),
}
"""Photograph -> region (left, top, right, bottom as shares) that validation records alone are cut from."""

COUNTS = {"train": 1024, "val": 64}
ZOOM = 5.0
"""Largest side of a window, in sizes of a record."""

Box = tuple[int, int, int, int]


def records(split: str, size: tuple[int, int], channels: int) -> list[Record]:
    """1024 training or 64 validation records of ``size`` pixels (or fewer, where a photograph has no more), the same ones every
    time; the label is the photograph's name. Validation records come from one region of every photograph, training records
    from windows that do not touch it: no pixel is in both. UserError for other splits and channels, and when no photograph is
    installed."""
    if split not in COUNTS:
        raise UserError(f"the built-in images have the splits train and val, not {split!r}")
    if channels not in (1, 3):
        raise UserError(
            f"the built-in images have 1 or 3 channels, the recipe wants {channels}; name data of your own with data="
        )
    names = sorted(_files())
    if not names:
        raise UserError('the built-in images are not installed; pip install "maskedmod[image]" brings them')
    rng = random.Random(f"maskedmod image {split}")
    return [_cut(names[i % len(names)], split, i, size, channels, rng) for i in range(COUNTS[split])]


def _cut(name: str, split: str, number: int, size: tuple[int, int], channels: int, rng: random.Random) -> Record:
    """A random window, scaled down to the size where it is larger."""
    picture = _photograph(name, "RGB" if channels == 3 else "L")
    held_out = region(name)
    box = _window(held_out, size, 0.7, rng) if split == "val" else _beside(held_out, picture.size, size, rng)
    x, y, right, bottom = box
    cut = picture.crop(box)
    if cut.width > size[1] or cut.height > size[0]:
        cut = cut.resize((size[1], size[0]), Pillow.Resampling.LANCZOS)
    label = Path(name).stem
    return Record(cut, f"built-in {split} {number}: {label} at ({x}, {y}), {right - x} x {bottom - y}", label)


def region(name: str) -> Box:
    """The held-out region of a photograph in pixels."""
    width, height = _photograph(name, "RGB").size
    left, top, right, bottom = PHOTOGRAPHS[name]
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


def _window(area: Box, size: tuple[int, int], least: float, rng: random.Random) -> Box:
    """A window with the shape of ``size`` inside an area, from ``least`` of the largest possible one on, not below ``size``."""
    left, top, right, bottom = area
    largest = min(ZOOM, (right - left) / size[1], (bottom - top) / size[0])
    zoom = rng.uniform(max(least * largest, min(1.0, largest)), largest)
    w, h = max(1, int(size[1] * zoom)), max(1, int(size[0] * zoom))
    x, y = rng.randint(left, right - w), rng.randint(top, bottom - h)
    return x, y, x + w, y + h


def _beside(held_out: Box, whole: tuple[int, int], size: tuple[int, int], rng: random.Random, tries: int = 50) -> Box:
    """A window of the photograph that does not touch the held-out region. Large ones find no place and are drawn again, in the
    end inside the largest of the four strips around the region."""
    for _ in range(tries):
        x, y, right, bottom = box = _window((0, 0, *whole), size, 0.2, rng)
        if right <= held_out[0] or x >= held_out[2] or bottom <= held_out[1] or y >= held_out[3]:
            return box
    (left, top, right, bottom), (width, height) = held_out, whole
    strips = [(0, 0, left, height), (right, 0, width, height), (0, 0, width, top), (0, bottom, width, height)]
    largest = max(strips, key=lambda s: min((s[2] - s[0]) / size[1], (s[3] - s[1]) / size[0]))
    return _window(largest, size, 0.7, rng)


@cache
def _files() -> dict[str, Path]:
    found = {}
    for package, folder in FOLDERS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).parent / folder
            found.update({name: root / name for name in PHOTOGRAPHS if (root / name).is_file()})
    return found


@cache
def _photograph(name: str, mode: str) -> Pillow.Image:
    with Pillow.open(_files()[name]) as picture:
        return picture.convert(mode)

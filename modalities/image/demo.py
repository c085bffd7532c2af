"""The built-in sample: parts of the photographs that come with scikit-image and scikit-learn. No download."""

from __future__ import annotations

import random
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image as Pillow

from maskedmod.errors import UserError
from maskedmod.modality import Record

PHOTOGRAPHS = {
    "skimage": ("data", ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "retina.jpg",
                         "ihc.png", "hubble_deep_field.jpg", "brick.png", "grass.png", "gravel.png", "camera.png", "coins.png")),
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
}  # fmt: skip
"""Package -> folder inside it and files."""

COUNTS = {"train": 1024, "val": 64}
HELD_OUT = 0.25
"""Share of the width, at the right edge of every photograph, from which validation records alone are cut."""


def records(split: str, size: tuple[int, int], channels: int) -> list[Record]:
    """1024 training or 64 validation records, ``size`` pixels each (or what the photograph has, if that is less), the same ones
    every time; the label is the photograph's name. Training records come from the left three quarters of a photograph,
    validation records from the rest, so that no pixel is in both. UserError for other splits and channels, and when no
    photograph is installed."""
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
    """A random window of one to three times the size, scaled down to the size."""
    picture = _photograph(name, "RGB" if channels == 3 else "L")
    border = round(picture.width * (1 - HELD_OUT))
    left, right = (0, border) if split == "train" else (border, picture.width)
    largest = min(3.0, (right - left) / size[1], picture.height / size[0])
    zoom = rng.uniform(min(1.0, largest), largest)
    w, h = max(1, int(size[1] * zoom)), max(1, int(size[0] * zoom))
    x, y = rng.randint(left, right - w), rng.randint(0, picture.height - h)
    window = picture.crop((x, y, x + w, y + h))
    if zoom > 1:
        window = window.resize((size[1], size[0]), Pillow.Resampling.LANCZOS)
    label = Path(name).stem
    return Record(window, f"built-in {split} {number}: {label} at ({x}, {y}), {w} x {h}", label)


@cache
def _files() -> dict[str, Path]:
    found = {}
    for package, (folder, names) in PHOTOGRAPHS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).parent / folder
            found.update({name: root / name for name in names if (root / name).is_file()})
    return found


@cache
def _photograph(name: str, mode: str) -> Pillow.Image:
    with Pillow.open(_files()[name]) as picture:
        return picture.convert(mode)

"""The image adapter: tokens, crops, statistics, pictures, the built-in sample, real folders and tables."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from maskedmod.modalities.image import Image
from maskedmod.modalities.image.augment.crop import Crop
from maskedmod.modalities.image.demo import PHOTOGRAPHS, region
from maskedmod.modalities.image.resampling import centre_box, resample
from torch import nn
from torch.nn import functional as F

from maskedmod.core.context import Context
from maskedmod.core.modality import Record
from maskedmod.data.loader import Loader
from maskedmod.data.sources.demo import Demo
from maskedmod.data.sources.folder import Folder
from maskedmod.data.sources.parquet import Parquet
from maskedmod.data.statistics import measure
from maskedmod.errors import UserError
from maskedmod.testing.contract import CHECKS, check_modality, prepare_sample
from tests.conftest import shared


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def ctx(seed: int = 0, training: bool = True) -> Context:
    return Context(training=training, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 32, "patch_size": 8},
        {"size": (16, 48), "patch_size": (8, 4), "mean": None, "std": None},
        {"size": 28, "patch_size": 7, "channels": 1, "mean": [0.5], "std": [0.25]},
    ],
)
def test_contract(arguments: dict[str, Any]) -> None:
    modality = Image(**arguments)
    modality.augment = Crop()
    check_modality(modality)


def test_bands_pass_the_contract_too() -> None:
    modality = Image(size=16, patch_size=4, channels=13, mean=None, std=None)
    rng = np.random.default_rng(0)
    records = [Record(rng.normal(size=(20 + i, 24, 13)).astype(np.float32) * 900 + 1500, f"scene {i}") for i in range(4)]
    sample = prepare_sample(modality, records)
    for check in CHECKS:
        if check.__name__ != "check_demo":  # there are no built-in images of 13 bands
            check(sample)
    panels = modality.draw(*_tokens(modality, records))
    assert panels[0].caption == "channels 1-3 of 13" and panels[0].image.shape == (128, 128, 3) and panels[0].image.std() > 20


def _tokens(modality: Image, records: list[Record]) -> Any:
    batch = modality.prepare(modality.collate([modality.read(r) for r in records]), ctx(training=False))
    tokens = modality.tokenize(batch)["main"]
    return tokens.values, tokens


def test_patch_order_is_row_column_channel_and_the_embedding_is_the_convolution() -> None:
    modality = Image(size=(6, 8), patch_size=(3, 2))
    pixels = torch.randn(2, 3, 6, 8)
    tokens = modality.tokenize({"pixels": pixels})["main"]
    assert tokens.layout.grid == (2, 4) == modality.spec.grid and tokens.shape == (2, 8)
    assert torch.equal(tokens.values[1, 5].reshape(3, 2, 3), pixels[1, :, 3:6, 2:4].permute(1, 2, 0))
    assert tokens.pos[1, 5].tolist() == [1, 1]
    assert torch.equal(modality.untokenize(tokens.values, tokens), pixels)
    linear = modality.embedding(5)
    assert isinstance(linear, nn.Linear)
    kernel = linear.weight.reshape(5, 3, 2, 3).permute(0, 3, 1, 2)
    convolved = F.conv2d(pixels, kernel, linear.bias, stride=(3, 2)).flatten(2).mT
    torch.testing.assert_close(linear(tokens.values), convolved, rtol=1e-5, atol=1e-6)
    larger = modality.tokenize({"pixels": torch.randn(1, 3, 9, 8)})["main"]
    assert larger.layout.grid == (3, 4)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("out", [(9, 12), (31, 17), (64, 80)])
def test_resampling_equals_torch_on_every_box(interpolation: Any, out: tuple[int, int]) -> None:
    image = noise(4, 3, 40, 50)
    box = torch.tensor([[0, 0, 40, 50], [3, 5, 20, 11], [10, 20, 30, 30], [39, 0, 1, 50]])
    flip = torch.tensor([False, True, False, True])
    got = resample(image, box, out, flip, interpolation)
    for i, (t, left, h, w) in enumerate(box.tolist()):
        part = image[i : i + 1, :, t : t + h, left : left + w].float()
        wanted = F.interpolate(part, out, mode=interpolation, antialias=True, align_corners=False).clamp(0, 255)
        torch.testing.assert_close(got[i], (wanted.flip(-1) if flip[i] else wanted)[0], rtol=1e-4, atol=2e-3)


def test_whole_image_without_flip_is_the_identity_and_padding_is_never_seen() -> None:
    image = noise(3, 3, 24, 24)
    crop = Crop(scale=(1, 1), ratio=(1, 1), flip=False)
    size = torch.tensor([[24, 24]] * 3)
    assert torch.equal(crop(image, size, (24, 24), ctx()), image.float())
    ragged = torch.full((3, 3, 40, 50), 255, dtype=torch.uint8)
    ragged[:, :, :24, :24] = image
    assert torch.equal(crop(ragged, size, (24, 24), ctx()), image.float())
    many = Crop()(ragged * 0 + ragged, size, (16, 16), ctx(1))
    alone = Crop()(image, size, (16, 16), ctx(1))
    torch.testing.assert_close(many, alone, rtol=1e-5, atol=1e-3)


def test_boxes_are_inside_and_follow_scale_and_ratio() -> None:
    size = torch.tensor([[100, 100], [60, 240], [300, 20], [1, 1]]).repeat(500, 1)
    crop = Crop(scale=(0.2, 1.0))
    box = crop.boxes(size, (32, 32), ctx())
    top, left, h, w = box.unbind(-1)
    assert bool((top >= 0).all() & (left >= 0).all() & (h >= 1).all() & (w >= 1).all())
    assert bool((top + h <= size[:, 0]).all() & (left + w <= size[:, 1]).all())
    assert torch.equal(box, box.round())
    square = box[::4]
    share, shape = square[:, 2] * square[:, 3] / 1e4, square[:, 3] / square[:, 2]
    assert 0.19 < share.min() < 0.25 and 0.9 < share.max() <= 1.0 and 0.45 < share.mean() < 0.62
    assert 0.7 < shape.min() < 0.8 and 1.25 < shape.max() < 1.4
    strip = box[2::4]
    assert bool((strip[:, 3] == 20).any() & (strip[:, 2] <= 27).all())
    assert len({tuple(b) for b in square.tolist()}) > 400


def test_crop_depends_on_the_generator_alone() -> None:
    modality = Image(size=16, patch_size=8)
    modality.augment = Crop()
    batch = {"image": noise(8, 3, 30, 40), "size": torch.tensor([[30, 40]] * 8)}
    first = modality.prepare(batch, ctx(5))["pixels"]
    torch.manual_seed(123)
    assert torch.equal(modality.prepare(batch, ctx(5))["pixels"], first)
    assert not torch.equal(modality.prepare(batch, ctx(6))["pixels"], first)
    plain = modality.prepare(batch, ctx(5, training=False))["pixels"]
    assert torch.equal(plain, modality.prepare(batch, ctx(6, training=False))["pixels"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(modality.prepare(batch, ctx(5))["pixels"], first)


def test_mirroring_half_of_the_images() -> None:
    image = torch.arange(8, dtype=torch.uint8).expand(400, 1, 8, 8).contiguous()
    out = Crop(scale=(1, 1), ratio=(1, 1))(image, torch.tensor([[8, 8]] * 400), (8, 8), ctx())
    mirrored = out[:, 0, 0, 0] == 7
    assert 140 < int(mirrored.sum()) < 260 and torch.equal(out[~mirrored], image[~mirrored].float())


def test_ragged_batches_and_evaluation_take_the_centre() -> None:
    modality = Image(size=8, patch_size=4, mean=[0.0] * 3, std=[1.0] * 3)
    a, b = noise(3, 8, 20, seed=1), noise(3, 30, 8, seed=2)
    batch = modality.collate([a, b])
    assert batch["image"].shape == (2, 3, 30, 20) and batch["image"].dtype == torch.uint8
    assert batch["size"].tolist() == [[8, 20], [30, 8]] and not batch["image"][0, :, 8:].any()
    pixels = modality.prepare(batch, ctx(training=False))["pixels"] * 255
    torch.testing.assert_close(pixels[0], a[:, :, 6:14].float())
    torch.testing.assert_close(pixels[1], b[:, 11:19].float())
    assert centre_box(torch.tensor([[10, 30]]), (8, 16)).tolist() == [[0, 5, 10, 20]]
    mixed = modality.collate([a, torch.rand(3, 8, 20)])
    assert mixed["image"].dtype == torch.float32
    torch.testing.assert_close(mixed["image"][0], a.float() / 255)


def test_statistics_given_measured_or_refused() -> None:
    modality = Image(size=8, patch_size=4, mean=None, std=None)
    with pytest.raises(UserError, match="not measured"):
        modality.prepare({"image": noise(1, 3, 8, 8), "size": torch.tensor([[8, 8]])}, ctx())
    samples = [noise(3, 8, 9, seed=i) for i in range(5)]
    found = modality.measure(samples)
    every = torch.cat([s.flatten(1) for s in samples], 1).float() / 255
    assert found["mean"] == pytest.approx(every.mean(1).tolist()) and found["std"] == pytest.approx(
        every.std(1).tolist(), rel=1e-2
    )
    modality.statistics.update(measure([Record(s.permute(1, 2, 0).numpy(), str(i)) for i, s in enumerate(samples)], modality))
    assert modality.statistics["mean"] == pytest.approx(found["mean"])
    pixels = modality.prepare(modality.collate([samples[0][:, :8, :8]]), ctx(training=False))["pixels"]
    assert abs(float(pixels.mean())) < 0.3
    assert Image(size=8, patch_size=4).measure(samples) == {}
    assert modality.measure([torch.zeros(3, 4, 4, dtype=torch.uint8)])["std"] == [1.0] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 30, "patch_size": 16}, "size 30 x 30 is no multiple of patch_size 16 x 16"),
        ({"channels": 13}, "mean has 3 values, channels is 13; give 13 values, or mean: null"),
        ({"mean": None}, "mean and std are measured together"),
        ({"std": [1.0, 0.0, 1.0]}, "expected values above 0"),
        ({"channels": 0}, "channels is 0"),
        ({"resize": 0.5}, "resize is 0.5"),
        ({"size": (16, 16, 16)}, "expected a positive number or"),
        ({"patch_size": 0}, "expected a positive number or"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Image(**arguments)
    for crop in ({"scale": (0.0, 1.0)}, {"scale": (0.5, 0.2)}, {"scale": (0.5, 1.5)}, {"ratio": (2.0, 1.0)}):
        with pytest.raises(ValueError, match="expected 0 < smallest"):
            Crop(**crop)  # type: ignore[arg-type]


def test_pictures_show_the_true_colours_and_grey_hidden_patches() -> None:
    modality = Image(size=32, patch_size=16)
    image = noise(1, 3, 32, 32)
    batch = modality.prepare({"image": image, "size": torch.tensor([[32, 32]])}, ctx(training=False))
    tokens = modality.tokenize(batch)["main"]
    panel = modality.draw(tokens.values, tokens)[0]
    assert panel.image.shape == (128, 128, 3) and panel.caption == ""
    assert np.abs(panel.image[::4, ::4].astype(int) - image[0].permute(1, 2, 0).numpy()).max() <= 1
    hidden = torch.tensor([[False, True, False, False]])
    grey = modality.draw(tokens.values, tokens, hidden)[0].image
    assert (grey[:64, 64:] == 127).all() and np.array_equal(grey[64:], panel.image[64:])
    one = Image(size=32, patch_size=16, channels=1, mean=[0.5], std=[0.5])
    tokens = one.tokenize({"pixels": torch.zeros(1, 1, 32, 32)})["main"]
    assert (one.draw(tokens.values, tokens)[0].image == 128).all()


def test_demo_is_real_deterministic_and_validated_on_unseen_regions() -> None:
    modality = Image(size=64, patch_size=8)
    train, val = modality.demo("train"), modality.demo("val")
    assert (len(train), len(val)) == (1024, 64) and {r.label for r in train} == {r.label for r in val}
    assert {r.label for r in train} == {name.partition(".")[0] for name in PHOTOGRAPHS}
    again = Image(size=64, patch_size=8).demo("train")
    assert all(torch.equal(modality.read(a), modality.read(b)) for a, b in zip(train[:40], again[:40], strict=True))
    held_out = {name.partition(".")[0]: region(name) for name in PHOTOGRAPHS}
    for split, records in (("train", train), ("val", val)):
        for record in records:
            x, y, w, h = (int(n) for n in re.findall(r"\d+", record.key)[-4:])
            left, top, right, bottom = held_out[str(record.label)]
            outside = x + w <= left or x >= right or y + h <= top or y >= bottom
            inside = left <= x and x + w <= right and top <= y and y + h <= bottom
            assert outside if split == "train" else inside, record.key
    assert all(modality.read(r).shape == (3, 64, 64) for r in (*train, *val))
    assert all(float(modality.read(r).float().std()) > 8 for r in val)


def test_demo_for_other_sizes_and_channels() -> None:
    large = Image(size=224, patch_size=16)
    batch = large.collate([large.read(r) for r in large.demo("val")[:11]])
    assert large.prepare(batch, ctx(training=False))["pixels"].shape == (11, 3, 224, 224)
    grey = Image(size=(32, 64), patch_size=8, channels=1, mean=None, std=None)
    assert grey.read(grey.demo("train")[0]).shape == (1, 32, 64)
    with pytest.raises(UserError, match="1 or 3 channels, the recipe wants 4"):
        Image(size=64, patch_size=8, channels=4, mean=None, std=None).demo("train")
    assert len(Demo(samples=100).records("train", grey)) == 100


@pytest.mark.parametrize("workers", [0, 2])
def test_cifar_table_trains(workers: int) -> None:
    modality = Image(size=32, patch_size=4, mean=None, std=None)
    modality.augment = Crop()
    records = Parquet(str(shared("data/images/cifar10"))).records("train", modality)
    modality.statistics.update(measure(records, modality, samples=200))
    assert modality.statistics["mean"] == pytest.approx([0.491, 0.482, 0.447], abs=0.03)
    batch = next(Loader(records, modality, 64, workers=workers).batches(700))
    assert batch["image"].shape == (64, 3, 32, 32) and batch["image"].is_contiguous()
    pixels = modality.prepare(batch, ctx())["pixels"]
    assert pixels.shape == (64, 3, 32, 32) and abs(float(pixels.mean())) < 0.3 and 0.7 < float(pixels.std()) < 1.3


def test_photographs_of_different_shapes_train() -> None:
    modality = Image(size=64, patch_size=8)
    modality.augment = Crop()
    source = Folder(str(shared("data/images/clothing_small")))
    loader = Loader(source.records("train", modality), modality, 16)
    batch = next(loader.batches())
    assert len({tuple(s) for s in batch["size"].tolist()}) >= 3 and int(batch["size"].min()) == 128
    assert modality.prepare(batch, ctx())["pixels"].shape == (16, 3, 64, 64)
    val = Loader(source.records("val", modality), modality, 64, shuffle=False)
    assert next(val.epoch_batches())["image"].shape[:2] == (64, 3)

"""The object that ``maskedmod.load`` gives: every kind of input, pooling, layers, masks, the plain encoder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.core.modality import Record
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.report import Report

SMALL = ["encoder.depth=2", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
IMAGE = ["recipe=mae", "modality={image: {size: 32, patch_size: 8}}", *SMALL]
AUDIO = ["recipe=audio_mae", "modality={audio: {mel_bins: 32, frames: 64, patch_size: 8}}", *SMALL, "head.window=null"]


def loaded(words: list[str]) -> Loaded:
    tree = resolve(words)
    torch.manual_seed(0)
    return Loaded(build_model(tree).eval(), Report("fresh"), "fresh", tree)


@pytest.fixture(scope="module")
def image() -> Loaded:
    return loaded(IMAGE)


@pytest.fixture(scope="module")
def audio() -> Loaded:
    return loaded(AUDIO)


@pytest.fixture
def photo() -> Pillow.Image:
    return Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))


def test_every_form_of_an_image_gives_the_same_row(image: Loaded, photo: Pillow.Image, tmp_path: Path) -> None:
    file, raw = tmp_path / "photo.png", io.BytesIO()
    photo.save(file)
    photo.save(raw, format="PNG")
    array = np.asarray(photo)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    forms: list[Any] = [photo, file, str(file), raw.getvalue(), array, tensor, tensor.float() / 255, Record(file, "a")]
    forms.append({"bytes": raw.getvalue(), "path": None})
    expected = image.embed(photo)
    assert expected.shape == (1, 24) and expected.dtype == torch.float32 and bool(expected.isfinite().all())
    for form in forms:
        near = 2e-3 if isinstance(form, torch.Tensor) and form.is_floating_point() else 1e-5  # bicubic overshoots 8 bits
        torch.testing.assert_close(image.embed(form), expected, rtol=0, atol=near)
        torch.testing.assert_close(image.embed([form, form]), expected.expand(2, -1), rtol=0, atol=near)
    for batch in (tensor[None].expand(3, -1, -1, -1), np.stack([array] * 3), (form for form in forms[:3])):
        assert image.embed(batch, batch_size=2).shape == (3, 24)


def test_every_form_of_a_clip(audio: Loaded, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    wave = (np.random.default_rng(0).standard_normal(8000) * 0.1).astype(np.float32)
    file = tmp_path / "clip.wav"
    soundfile.write(file, wave, 16000, subtype="FLOAT")
    expected = audio.embed((wave, 16000))
    forms = [(torch.from_numpy(wave), 16000), file, str(file), file.read_bytes(), {"array": wave, "sampling_rate": 16000}]
    for form in (*forms, Record(wave, "a", extra={"rate": 16000})):
        torch.testing.assert_close(audio.embed(form), expected)
    assert audio.embed([(wave, 16000), file]).shape == (2, 24)
    assert audio.embed(audio.modality.demo("val")[:3]).shape == (3, 24)
    with pytest.raises(UserError, match="item 0: array without a sample rate"):
        audio.embed(wave)


def test_pooling(image: Loaded, photo: Pillow.Image) -> None:
    tokens = image.embed([photo, photo], pool="none")
    assert tokens.shape == (2, 16, 24)
    torch.testing.assert_close(image.embed(photo), tokens[:1].mean(1))
    assert not torch.allclose(image.embed(photo, pool="cls"), image.embed(photo))
    headless = loaded([*IMAGE, "encoder.classes=0"])
    with pytest.raises(UserError, match="pool=cls: this encoder has no class token"):
        headless.embed(photo, pool="cls")
    with pytest.raises(UserError, match="pool='median': accepted are mean, "):
        image.embed(photo, pool="median")  # type: ignore[arg-type]


def test_layers_are_the_outputs_of_the_blocks(image: Loaded, photo: Pillow.Image) -> None:
    encoder: Any = image.model.encoder
    whole = torch.cat([image.embed(photo, "cls", layer=-1)[:, None], image.embed(photo, "none", layer=-1)], dim=1)
    normed = encoder.norm(whole).detach()
    torch.testing.assert_close(normed[:, 0], image.embed(photo, "cls"))
    torch.testing.assert_close(normed[:, 1:], image.embed(photo, "none"))
    torch.testing.assert_close(image.embed(photo, layer=1), image.embed(photo, layer=-1))
    assert not torch.allclose(image.embed(photo, layer=0), image.embed(photo, layer=1))
    with pytest.raises(UserError, match="layer=2: this encoder has blocks 0 to 1"):
        image.embed(photo, layer=2)


def test_padding_counts_for_nothing(audio: Loaded) -> None:
    short = (np.random.default_rng(0).standard_normal(4000) * 0.1).astype(np.float32)
    long = (np.random.default_rng(1).standard_normal(12000) * 0.1).astype(np.float32)
    tokens = audio.embed([(short, 16000), (long, 16000)], pool="none")
    assert bool(tokens[0].isnan().any()) and not bool(tokens[1].isnan().any())
    real = ~tokens[0].isnan().any(-1)
    torch.testing.assert_close(audio.embed([(short, 16000), (long, 16000)])[0], tokens[0][real].mean(0))


def test_what_cannot_be_used_is_named(image: Loaded, photo: Pillow.Image, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"broken\.png: not an image file"):
        image.embed([photo, broken])
    with pytest.raises(UserError, match="item 1: array of shape"):
        image.embed([photo, np.zeros((5, 5, 7), np.uint8)])
    with pytest.raises(UserError, match="is a folder"):
        image.embed(tmp_path)
    with pytest.raises(UserError, match="nothing was given"):
        image.embed([])
    with pytest.raises(UserError, match="item 0: int is no image"):
        image.embed(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["image", "audio"])
def test_reconstruct(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    model: Loaded = request.getfixturevalue(name)
    samples = list(model.modality.demo("val")[:2])
    found = model.reconstruct(samples, seed=1)
    assert found.error.shape == (2,) and found._repr_png_()[:4] == b"\x89PNG"
    assert torch.equal(found.hidden, model.reconstruct(samples, seed=1).hidden)
    assert not torch.equal(found.hidden, model.reconstruct(samples, seed=2).hidden)
    half = model.reconstruct(samples[:1], ratio=0.5).hidden
    few = model.reconstruct(samples[:1], mask="mask.ratio=0.2").hidden
    assert few.sum() < half.sum() < found.hidden[:1].sum()
    files = found.save(tmp_path / "a.png", wav=True)
    assert len([file for file in files if file.suffix == ".wav"]) == (8 if name == "audio" else 0)
    assert found.picture().width > 100


def test_masks_by_hand(image: Loaded, photo: Pillow.Image) -> None:
    grid = torch.zeros(4, 4, dtype=torch.bool)
    grid[1, :3] = True
    own = image.model.mask
    for mask in (grid, grid.flatten(), grid.numpy(), grid[None].expand(2, -1, -1)):
        found = image.predict_masked([photo, photo], mask=mask)
        assert torch.equal(found.masked, grid.flatten().expand(2, -1)) and found.values.shape == (2, 16, 192)
        assert torch.equal(found.values.isnan().any(-1), ~found.masked)
    wrong = (found.values - found.target)[found.masked].pow(2).reshape(2, -1).mean(1)
    torch.testing.assert_close(found.error, wrong)
    torch.testing.assert_close(found.error, image.reconstruct([photo, photo], mask=grid).error)
    assert image.model.mask is own
    with pytest.raises(UserError, match=r"mask has the shape \(5,\); expected \[16\], \[4, 4\]"):
        image.predict_masked(photo, mask=torch.zeros(5, dtype=torch.bool))
    with pytest.raises(UserError, match="expected bool"):
        image.predict_masked(photo, mask=torch.zeros(16))
    with pytest.raises(UserError, match="only the mask can be changed"):
        image.reconstruct(photo, mask="encoder.depth=3")


def test_tokenize(image: Loaded, photo: Pillow.Image) -> None:
    tokens = image.tokenize([photo] * 3)
    assert tokens.values.shape == (3, 16, 192) and tokens.layout.grid == (4, 4)


def test_the_encoder_is_a_plain_module_that_trains(image: Loaded, audio: Loaded, photo: Pillow.Image) -> None:
    model = loaded(IMAGE)
    backbone = model.encoder
    assert backbone is model.encoder and isinstance(backbone, torch.nn.Module)
    pixels = model.modality.untokenize(model.tokenize(photo).values, model.tokenize(photo))
    torch.testing.assert_close(backbone(pixels), model.embed(photo))
    head = torch.nn.Sequential(backbone, torch.nn.Linear(backbone.width, 5))
    head(pixels).sum().backward()
    assert all(p.grad is not None for name, p in backbone.named_parameters() if "mask_token" not in name and p.requires_grad)
    batch = model.modality.collate([model.modality.read(Record(photo, "a"))])
    torch.testing.assert_close(backbone(batch), model.embed(photo))
    assert set(map(id, backbone.parameters())) == set(map(id, model.model.encoder.parameters()))
    assert audio.encoder(torch.randn(2, 64, 32)).shape == (2, 24)


def test_types_are_there_for_editors() -> None:
    import typing

    hints = typing.get_type_hints(Loaded.tokenize)
    assert hints["return"].__name__ == "Tokens"
    assert maskedmod.load.__annotations__["return"] == "Loaded"


def test_models_by_name() -> None:
    from maskedmod.modalities import audio, image

    fresh = image.model("mae", *SMALL, "modality.mean=imagenet", "modality.std=imagenet", preset="tiny")
    assert "mae" in image.models() and audio.models() == ["audio_mae", "mask_spec"]
    assert fresh.embed(list(fresh.modality.demo("val"))[:1]).shape == (1, 24)
    same = maskedmod.create("mae", *SMALL, preset="tiny").model.encoder.state_dict()
    assert all(torch.equal(same[key], value) for key, value in fresh.model.encoder.state_dict().items())
    assert image.Crop().forward and audio.Roll and image.decode and audio.read_clip
    with pytest.raises(UserError, match="did you mean mae"):
        maskedmod.create("mea")


def test_rows_of_data_sets_open_files_and_arrays_of_names(
    image: Loaded, audio: Loaded, photo: Pillow.Image, tmp_path: Path
) -> None:
    file, raw = tmp_path / "photo.png", io.BytesIO()
    photo.save(file)
    photo.save(raw, format="PNG")
    raw.seek(0)
    expected = image.embed(photo)
    for form in ({"image": photo, "label": 3}, {"image": [photo]}, raw, np.array([str(file)])):
        torch.testing.assert_close(image.embed(form), expected)
    with file.open("rb") as opened:
        torch.testing.assert_close(image.embed([photo, opened]), expected.expand(2, -1))
    halves = torch.rand(3, 40, 40).bfloat16()
    torch.testing.assert_close(image.embed(halves), image.embed(halves.float()))
    wave = (np.random.default_rng(0).standard_normal(8000) * 0.1).astype(np.float32)
    row = {"audio": {"array": wave, "sampling_rate": 16000}, "label": 1}
    torch.testing.assert_close(audio.embed([row, row]), audio.embed([(wave, 16000)] * 2))
    with pytest.raises(UserError, match="a dict with the keys x: none of them is image"):
        image.embed({"x": photo})


def test_another_scale_is_refused(image: Loaded, audio: Loaded) -> None:
    """Values that a model was not trained on would give features without any sign of it."""
    pixels = np.random.default_rng(0).random((40, 40, 3), dtype=np.float32)
    with pytest.raises(UserError, match="item 0: floats up to .* give them as uint8, or divide by 255"):
        image.embed(pixels * 255)
    with pytest.raises(UserError, match="item 1: floats from .* normalised already"):
        image.embed([pixels, (pixels - 0.5) / 0.25])
    assert image.embed(pixels * 1.3 - 0.1).shape == (1, 24)  # too bright, but pixels
    with pytest.raises(UserError, match="item 0: samples reach .* give integers as int16"):
        audio.embed((pixels.reshape(-1) * 32767, 16000))
    assert audio.embed(((pixels.reshape(-1) * 32767).astype(np.int16), 16000)).shape == (1, 24)


def test_what_reading_changes_is_said_once(image: Loaded, audio: Loaded, photo: Pillow.Image) -> None:
    with pytest.warns(UserWarning, match="2 of 3 samples were changed in reading, first item 1: RGBA converted") as heard:
        image.embed([photo, photo.convert("RGBA"), photo.convert("L")], batch_size=1)
    assert len(heard) == 1 and heard[0].filename == __file__
    with pytest.warns(UserWarning, match="4 channels averaged") as heard:
        audio.reconstruct((np.random.default_rng(0).random((4, 8000)).astype(np.float32), 16000))
    assert heard[0].filename == __file__


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m.embed(x, batch_size="8"), "batch_size='8': expected an integer"),
        (lambda m, x: m.reconstruct(x, seed="one"), "seed='one': expected an integer"),
        (lambda m, x: m.reconstruct(x, mask="blok"), "unknown mask block 'blok'"),
        (lambda m, x: m.reconstruct(x, ratio=2), "mask.ratio must lie between 0 and 1"),
        (lambda m, x: m.encoder(torch.rand(2, 1, 32, 32)), "another number of channels"),
        (lambda m, x: m.encoder(torch.rand(3, 32, 32)), "does not fit Image"),
        (lambda m, x: m.encoder(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)), "expected normalised floats"),
        (lambda m, x: m.encoder(x), "is no normalised signal"),
        (lambda m, x: m.to("gpu"), "device 'gpu' cannot be used"),
        (lambda m, x: maskedmod.load(None), "expected the path of a run folder"),
        (lambda m, x: maskedmod.load("no/such/folder"), "no such file or folder"),
        (lambda m, x: maskedmod.load("mae"), "maskedmod.create\\('mae'\\)"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(call: Any, message: str, image: Loaded, photo: Pillow.Image) -> None:
    with pytest.raises(UserError, match=message) as raised:
        call(image, photo)
    assert "\n" not in str(raised.value)


def test_what_a_notebook_shows(image: Loaded, audio: Loaded, photo: Pillow.Image) -> None:
    import base64
    import re
    import wave

    assert repr(image).startswith("Loaded(mae: Image, Transformer of width 24, ") and len(repr(image)) < 120
    drawn = image.reconstruct([photo, photo])
    assert repr(drawn).startswith("Reconstruction(2 samples, main: error ") and "<audio" not in drawn._repr_html_()
    page = audio.reconstruct(audio.modality.demo("val")[:3])._repr_html_()
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert Pillow.open(io.BytesIO(base64.b64decode(picture))).width > 300
    found = re.findall(r'data:audio/wav;base64,([^"]+)"', page)
    assert len(found) == 2 * 4
    for text in found:
        with wave.open(io.BytesIO(base64.b64decode(text))) as sound:
            assert sound.getframerate() == 16000 and sound.getnframes() > 8000


def test_hidden_places_are_silent(audio: Loaded) -> None:
    """Of a noise whose second half is hidden, the second half of the masked sound is far below the first."""
    from maskedmod.reconstruct.grid import heard

    noise = (np.random.default_rng(0).standard_normal(audio.modality.part.samples) * 0.1).astype(np.float32)  # type: ignore[attr-defined]
    hidden = torch.zeros(audio.modality.spec.grid, dtype=torch.bool)
    hidden[hidden.shape[0] // 2 :] = True
    sounds = heard(audio.reconstruct((noise, 16000), mask=hidden))
    first, second = (float(np.square(part).mean()) for part in np.array_split(sounds["masked"][0][0], 2))
    whole = [float(np.square(part).mean()) for part in np.array_split(sounds["original"][0][0], 2)]
    assert second < 0.05 * first and whole[1] > 0.5 * whole[0]

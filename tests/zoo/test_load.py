"""``maskedmod.load``: what it accounts for, what it refuses and how it says so. Numbers are compared in tests/parity."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

import maskedmod
from maskedmod.errors import UserError
from maskedmod.layers.positions import lattice, sincos
from maskedmod.zoo import step_folder
from maskedmod.zoo.layouts.known import LAYOUTS
from maskedmod.zoo.mapping import Rule, convert, patch_rows, unshuffle
from tests.conftest import ROOT

WIDTH, PATCH, GRID = 32, 4, (4, 4)


def blocks(at: str, width: int, depth: int) -> dict[str, Tensor]:
    shapes = {"norm1": (width,), "attn.qkv": (3 * width, width), "attn.proj": (width, width), "norm2": (width,)}
    shapes |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    out = {}
    for i in range(depth):
        for name, shape in shapes.items():
            out[f"{at}.{i}.{name}.weight"] = torch.randn(shape) * 0.1
            out[f"{at}.{i}.{name}.bias"] = torch.randn(shape[0]) * 0.1
    return out


def table(width: int, grid: tuple[int, int] = GRID) -> Tensor:
    return torch.cat([torch.zeros(1, 1, width), sincos(lattice(grid), width)[None].float()], dim=1)


def fair_encoder() -> dict[str, Tensor]:
    """An encoder as facebookresearch/mae saves it."""
    return {
        "cls_token": torch.randn(1, 1, WIDTH),
        "pos_embed": table(WIDTH),
        "patch_embed.proj.weight": torch.randn(WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": torch.randn(WIDTH),
        **blocks("blocks", WIDTH, 2),
        "norm.weight": torch.randn(WIDTH),
        "norm.bias": torch.randn(WIDTH),
    }


def fair_whole() -> dict[str, Tensor]:
    width = 16
    return {
        **fair_encoder(),
        "mask_token": torch.randn(1, 1, width),
        "decoder_pos_embed": table(width),
        "decoder_embed.weight": torch.randn(width, WIDTH),
        "decoder_embed.bias": torch.randn(width),
        **blocks("decoder_blocks", width, 1),
        "decoder_norm.weight": torch.randn(width),
        "decoder_norm.bias": torch.randn(width),
        "decoder_pred.weight": torch.randn(3 * PATCH**2, width),
        "decoder_pred.bias": torch.randn(3 * PATCH**2),
    }


SETTINGS: dict[str, Any] = {"heads": 2, "decoder_heads": 2}


def saved(folder: Path, content: Any, name: str = "weights.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def refused(path: Path, *words: str, **options: Any) -> None:
    """One line that has all the words."""
    with pytest.raises(UserError) as caught:
        maskedmod.load(path, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    for word in words:
        assert word in message, message


def test_every_key_is_accounted_for(tmp_path: Path) -> None:
    content = {"model": fair_whole(), "optimizer": {"state": {}}, "epoch": 7, "args": argparse.Namespace(mask_ratio=0.6)}
    loaded = maskedmod.load(saved(tmp_path, content), settings=SETTINGS)
    report = loaded.report
    assert set(report.used) | set(report.unneeded) == {*fair_whole(), "optimizer", "epoch"}
    assert set(report.unneeded) == {"pos_embed", "decoder_pos_embed", "optimizer", "epoch"}
    assert not report.untrained and report.settings["mask_ratio"] == 0.6 and report.settings["heads"] == 2
    assert loaded.tree["mask"] == {"random": {"ratio": 0.6}} and not loaded.model.training
    assert "fair_mae" in str(report) and "sine-cosine" in str(report)


def test_flat_files_and_wrapped_keys(tmp_path: Path) -> None:
    weights = fair_whole()
    save_file(weights, tmp_path / "a.safetensors")
    wrapped = {f"module.{key}": value for key, value in weights.items()}
    files = [tmp_path / "a.safetensors", saved(tmp_path, weights, "b.bin"), saved(tmp_path, {"state_dict": wrapped}, "c.pt")]
    states = [maskedmod.load(file, settings=SETTINGS).model.state_dict() for file in files]
    for state in states[1:]:
        assert all(torch.equal(state[key], value) for key, value in states[0].items())


def test_encoder_alone_says_that_the_decoder_is_not_trained(tmp_path: Path) -> None:
    loaded = maskedmod.load(saved(tmp_path, {"model": fair_encoder()}), settings=SETTINGS)
    assert loaded.report.untrained and all(key.startswith("objectives.main.head.") for key in loaded.report.untrained)
    assert "not trained" in str(loaded.report)


def test_table_of_its_own_is_kept_and_class_position_is_folded(tmp_path: Path) -> None:
    weights = fair_whole()
    weights["pos_embed"] = torch.randn(1, 17, WIDTH)
    loaded = maskedmod.load(saved(tmp_path, weights), settings=SETTINGS)
    state = loaded.model.state_dict()
    assert loaded.tree["encoder"]["transformer"]["positions"] == "frozen"
    assert torch.equal(state["encoder.positions.table"], weights["pos_embed"][0, 1:])
    assert torch.equal(state["encoder.prefix_tokens"], weights["cls_token"] + weights["pos_embed"][:, :1])


def test_rectangles(tmp_path: Path) -> None:
    weights = fair_whole()
    weights["pos_embed"], weights["decoder_pos_embed"] = table(WIDTH, (2, 8)), table(16, (2, 8))
    loaded = maskedmod.load(saved(tmp_path, weights), settings={**SETTINGS, "image_size": [8, 32]})
    assert loaded.model.modality.spec.grid == (2, 8)
    assert loaded.tree["encoder"]["transformer"]["positions"] == "sincos"
    refused(tmp_path / "weights.pth", "image_size", "16 positions", settings={"image_size": [8, 8]})
    weights["pos_embed"] = table(WIDTH, (3, 5))
    refused(saved(tmp_path, weights), "image_size", "no square", settings=SETTINGS)


def test_unexpected_and_missing_keys_are_listed(tmp_path: Path) -> None:
    weights = fair_whole()
    weights["head.weight"] = torch.randn(10, WIDTH)
    weights["blocks.1.mlp.gate"] = torch.randn(3)
    del weights["blocks.0.norm2.bias"], weights["decoder_pred.bias"]
    file = saved(tmp_path, {"model": weights})
    missing = ("encoder.blocks.0.norm2.bias", "objectives.main.head.pred.bias")
    refused(file, "weights.pth", "head.weight", "blocks.1.mlp.gate", *missing, settings=SETTINGS)
    loaded = maskedmod.load(file, settings=SETTINGS, strict=False)
    assert loaded.report.unexpected == ["head.weight", "blocks.1.mlp.gate"] and set(loaded.report.missing) == set(missing)


def test_wrong_shape_names_the_tensor(tmp_path: Path) -> None:
    weights = fair_whole()
    weights["norm.weight"] = torch.randn(WIDTH + 1)
    refused(saved(tmp_path, weights), "encoder.norm.weight", "[33]", "[32]", settings=SETTINGS)


def test_settings_are_checked(tmp_path: Path) -> None:
    file = saved(tmp_path, fair_whole())
    refused(file, "'head'", "did you mean heads?", settings={"head": 2})
    refused(file, "heads 5", settings={**SETTINGS, "heads": 5})
    refused(file, "width 32 is no published one", "{'heads': ...}")
    refused(file, "width 16 is no published one", "{'decoder_heads': ...}", settings={"heads": SETTINGS["heads"]})
    refused(file, "'fair_mea'", "did you mean fair_mae?", layout="fair_mea")


def test_unknown_keys_name_the_known_layouts(tmp_path: Path) -> None:
    refused(saved(tmp_path, {"conv1.weight": torch.zeros(3)}), "conv1.weight", "fair_mae", "i_jepa")
    refused(saved(tmp_path, {"model": fair_whole()}), "weights.pth", "encoder.pos_embed", layout="i_jepa")
    whole = fair_whole()
    del whole["decoder_pos_embed"]
    refused(saved(tmp_path, whole), "weights.pth", "'decoder_pos_embed'", settings=SETTINGS)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_file_that_is_cut_off(name: str, share: float, tmp_path: Path) -> None:
    file = tmp_path / name
    if name.endswith("pth"):
        torch.save({"model": fair_whole()}, file)
    else:
        save_file(fair_whole(), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    refused(file, str(file), "cut off or damaged")


def test_old_format_that_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "old.pth"
    torch.save({"model": fair_whole()}, file, _use_new_zipfile_serialization=False)
    assert maskedmod.load(file, settings=SETTINGS).layout == "fair_mae"
    file.write_bytes(file.read_bytes()[:-500])
    refused(file, "cut off or damaged")


class Harmful:
    """Would make a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    file = saved(tmp_path, {"model": fair_whole(), "args": Harmful(tmp_path / "ran")})
    refused(file, "could run code")
    assert not (tmp_path / "ran").exists()


def test_other_content(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.pth", "no such file")
    refused(tmp_path, "no weights in this folder")
    refused(saved(tmp_path, [1, 2]), "expected a dict of tensors")
    refused(saved(tmp_path, {"epoch": 3}), "no tensors", "epoch")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    refused(tmp_path / "text.pth", "text, not weights")


def test_damaged_config_is_named(tmp_path: Path) -> None:
    save_file(fair_whole(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{")
    refused(tmp_path, "config.json", "not JSON")


def test_mean_and_deviation_come_from_the_preprocessor(tmp_path: Path) -> None:
    transformers_keys = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings"}
    weights = {transformers_keys.get(key, key): value for key, value in fair_encoder().items()}
    rename = {"patch_embed.proj": "embeddings.patch_embeddings.projection", "norm.": "layernorm."}
    out = {}
    for key, value in weights.items():
        if key.startswith("blocks."):
            continue
        for old, new in rename.items():
            key = key.replace(old, new)
        out[key] = value
    for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
        out[f"layers.0.attention.{part}.weight"], out[f"layers.0.attention.{part}.bias"] = (
            torch.randn(WIDTH, WIDTH),
            torch.randn(WIDTH),
        )
    for part, wide, deep in (("mlp.fc1", 64, WIDTH), ("mlp.fc2", WIDTH, 64)):
        out[f"layers.0.{part}.weight"], out[f"layers.0.{part}.bias"] = torch.randn(wide, deep), torch.randn(wide)
    for part in ("layernorm_before", "layernorm_after"):
        out[f"layers.0.{part}.weight"], out[f"layers.0.{part}.bias"] = torch.randn(WIDTH), torch.randn(WIDTH)
    save_file(out, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4, "layer_norm_eps": 1e-5, "image_size": 16}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    loaded = maskedmod.load(tmp_path)
    assert loaded.layout == "hf_vit_mae"
    assert loaded.tree["modality"]["image"]["mean"] == [0.5] * 3 and loaded.tree["modality"]["image"]["std"] == [0.25] * 3
    assert loaded.tree["encoder"]["transformer"]["heads"] == 4 and loaded.tree["encoder"]["transformer"]["mlp_ratio"] == 2.0


def test_run_folder(tmp_path: Path) -> None:
    """A loaded model saved as a run, and loaded again from the run, the checkpoint folder and the file in it."""
    first = maskedmod.load(saved(tmp_path, fair_whole()), settings=SETTINGS)
    run = tmp_path / "run"
    step = step_folder.save(run / "checkpoints", first.model.state_dict(), {}, {"step": 5}, keep=1)
    (run / "recipe.yaml").write_text(yaml.safe_dump(first.tree))
    for path in (run, step, step / "model.safetensors"):
        again = maskedmod.load(path)
        assert again.layout == "run" and again.tree == first.tree
        for key, value in again.model.state_dict().items():
            assert torch.equal(value, first.model.state_dict()[key])


def test_convert_takes_the_first_rule_and_joins_parts() -> None:
    a, b = torch.ones(2, 3), torch.zeros(2, 3)
    rules = [
        Rule("skip", unneeded="why"),
        Rule(r"(\w)\.k", r"\1.qk", part=1),
        Rule(r"(\w)\.q", r"\1.qk", part=0),
        Rule("x", ("y", "z")),
    ]
    out = convert({"m.k": a, "m.q": b, "skip": a, "x": b, "odd": a}, rules)
    assert torch.equal(out.state["m.qk"], torch.cat([b, a])) and out.state["y"] is out.state["z"]
    assert out.unneeded == {"skip": "why"} and out.unexpected == ["odd"] and out.used == ["m.k", "m.q", "x"]


def test_orders_of_patch_values() -> None:
    """A patch convolution equals the linear map on (row, column, channel); a pixel shuffle fills the same patches."""
    image, (h, w) = torch.randn(1, 3, 4, 6), (2, 3)
    patches = image.unflatten(2, (2, h)).unflatten(4, (2, w)).permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    kernel = torch.randn(5, 3, h, w)
    conv = torch.nn.functional.conv2d(image, kernel, stride=(h, w)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(patches @ patch_rows(kernel).T, conv)
    square, features = 2, torch.randn(1, 7, 4, 4)
    out = torch.randn(3 * square**2, 7, 1, 1)
    shuffled = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(features, out), square)
    ours = features.flatten(2).transpose(1, 2) @ unshuffle(3, (square, square))(out).T
    theirs = shuffled.unflatten(2, (4, square)).unflatten(4, (4, square)).permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    torch.testing.assert_close(ours, theirs)


def test_documentation_names_every_layout_and_setting() -> None:
    page = (ROOT / "docs" / "loading.md").read_text()
    for layout in LAYOUTS:
        for name in (layout.NAME, *layout.SETTINGS):
            assert f"`{name}`" in page, name

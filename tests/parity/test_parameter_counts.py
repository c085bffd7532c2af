"""Parameter counts of the published configurations, built on the meta device, equal those of the originals.

Trained parameters only: fixed sine-cosine tables, which some originals keep as parameters without gradient, are not counted.
"""

from __future__ import annotations

import argparse
from typing import Any

import pytest
import torch

from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from tests.conftest import parity_case

repair_torchvision()
repair_torchaudio()
transformers = pytest.importorskip("transformers")

PUBLISHED = ["data=folder", "data.path=samples"]
BASE: dict[str, Any] = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE: dict[str, Any] = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
HUGE: dict[str, Any] = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120}


def trained(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def ours(*arguments: str) -> int:
    """A recipe's published configuration; counted as a parity case."""
    parity_case(f"parameter count {' '.join(arguments)}")
    with torch.device("meta"):
        return trained(build_model(resolve([f"recipe={arguments[0]}", *arguments[1:], *PUBLISHED])))


def theirs(kind: str, **config: Any) -> int:
    """A model of transformers."""
    prefix = kind.partition("For")[0].removesuffix("Model")
    with torch.device("meta"):
        return trained(getattr(transformers, kind)(getattr(transformers, f"{prefix}Config")(**config)))


@pytest.mark.parametrize(
    ("preset", "shape", "published"),
    [
        ("8m", (6, 320, 20), 7_512_474),
        ("35m", (12, 480, 20), 33_501_394),
        ("150m", (30, 640, 20), 148_140_154),
        ("650m", (33, 1280, 20), 651_043_254),
        ("3b", (36, 2560, 40), 2_839_005_634),
        ("15b", (48, 5120, 40), 15_129_100_194),
    ],
)
def test_esm2(preset: str, shape: tuple[int, int, int], published: int) -> None:
    """The published code counts the regression of contacts too, which is no part of the model here: a weight per map, a bias."""
    esm = pytest.importorskip("esm")
    layers, _, heads = shape
    with torch.device("meta"):
        assert trained(esm.ESM2(*shape)) == published
    assert ours("esm2", f"preset={preset}") + layers * heads + 1 == published


def test_esm1b() -> None:
    esm = pytest.importorskip("esm")
    shape = {"layers": 33, "embed_dim": 1280, "ffn_embed_dim": 5120, "attention_heads": 20, "max_positions": 1024}
    settings = argparse.Namespace(arch="roberta_large", emb_layer_norm_before=True, token_dropout=True, **shape)
    with torch.device("meta"):
        count = trained(esm.ProteinBertModel(settings, esm.Alphabet.from_architecture("roberta_large")))
    assert ours("esm1b") + 33 * 20 + 1 == count
    assert ours("esm1b", "preset=1v") == ours("esm1b") - 2 * 1280


def test_bert_and_roberta() -> None:
    """transformers counts a second segment's vector and the first one's, which are added to the positions here."""
    bert: dict[str, Any] = {**BASE, "vocab_size": 30522}
    assert ours("bert") == theirs("BertForMaskedLM", **bert) - 2 * 768
    roberta: dict[str, Any] = {**BASE, "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
    assert ours("roberta") == theirs("RobertaForMaskedLM", **roberta) - 768


def linear(wide: int, out: int) -> int:
    return wide * out + out


def norm(width: int) -> int:
    return 2 * width


def block(width: int) -> int:
    mlp = linear(width, 4 * width) + linear(4 * width, width)
    return 2 * norm(width) + linear(width, 3 * width) + linear(width, width) + mlp


def encoder(width: int, depth: int, values: int, classes: int = 1) -> int:
    return linear(values, width) + classes * width + depth * block(width) + norm(width)


def decoder(context: int, width: int, blocks: int, values: int) -> int:
    """Embedding, mask token, ``blocks`` (their parameters in all), norm and prediction."""
    return linear(context, width) + width + blocks + norm(width) + linear(width, values)


@pytest.mark.parametrize(
    ("preset", "config"),
    [([], BASE), (["preset=large"], LARGE), (["preset=huge"], {**HUGE, "patch_size": 14})],
    ids=["base", "large", "huge"],
)
def test_mae(preset: list[str], config: dict[str, Any]) -> None:
    assert ours("mae", *preset) == theirs("ViTMAEForPreTraining", **config)


def test_mae_base_with_its_tables_is_the_published_number() -> None:
    """facebook/vit-mae-base holds 111 907 840 numbers, 197 rows of two fixed tables among them."""
    assert ours("mae") + 197 * (768 + 512) == 111_907_840


def test_mask_spec() -> None:
    """MAE on grey patches."""
    assert ours("mask_spec") == theirs("ViTMAEForPreTraining", **BASE, num_channels=1)


def test_audio_mae() -> None:
    """Sixteen window blocks: cosine attention with a temperature per head and a two-layer network for the position bias."""
    window = block(512) + 16 + linear(2, 384) + linear(384, 16)
    assert ours("audio_mae") == encoder(768, 12, 256) + decoder(768, 512, 16 * window, 256)
    assert ours("audio_mae", "preset=global") == theirs("ViTMAEForPreTraining", **BASE, num_channels=1)


def test_simmim_and_data2vec() -> None:
    """Both are BEiT's pre-training model with another width of the last map: pixels of a patch, width of the teacher."""
    beit: dict[str, Any] = {**BASE, "use_mask_token": True, "use_shared_relative_position_bias": True, "vocab_size": 768}
    count = theirs("BeitForMaskedImageModeling", **beit, layer_scale_init_value=0.1)
    assert ours("simmim") == count
    assert ours("data2vec_vision") == count


def test_i_jepa() -> None:
    """ViT-H/14 and the predictor of 12 blocks; the encoder's number is transformers' less its position table."""
    assert theirs("IJepaModel", **HUGE, patch_size=14) - 256 * 1280 == encoder(1280, 32, 14 * 14 * 3, classes=0)
    predictor = decoder(1280, 384, 12 * block(384), 1280)
    assert ours("i_jepa") == encoder(1280, 32, 14 * 14 * 3, classes=0) + predictor
    base = encoder(768, 12, 768, classes=0) + decoder(768, 384, 6 * block(384), 768)
    assert ours("i_jepa", "preset=base") == base


@pytest.mark.parametrize(("preset", "config"), [([], BASE), (["preset=large"], LARGE)], ids=["base", "large"])
def test_maskfeat(preset: list[str], config: dict[str, Any]) -> None:
    """A ViT with learned positions, a mask token and one map to 108 values. Originals give the class token a position of its
    own, which only adds a constant to another constant; it is one vector here."""
    width = config["hidden_size"]
    mim = theirs("ViTForMaskedImageModeling", **config, encoder_stride=16)
    assert ours("maskfeat", *preset) == mim - width - linear(width, 768) + linear(width, 108)


def test_beit() -> None:
    config = {**BASE, "use_mask_token": True, "use_shared_relative_position_bias": True, "vocab_size": 8192}
    assert ours("beit") == theirs("BeitForMaskedImageModeling", **config)
    large = {**config, **LARGE}
    assert ours("beit", "preset=large") == theirs("BeitForMaskedImageModeling", **large)


def test_eva() -> None:
    """Ours has a mask token, theirs a position of the class token: as many numbers."""
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        reference = trained(timm.create_model("eva_giant_patch14_224", num_classes=0))
    assert ours("eva") - (1408 * 1024 + 1024) == reference

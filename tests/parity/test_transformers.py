"""Models of transformers, saved by it and read through ``maskedmod.load``, against our own numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import maskedmod
from maskedmod.core.masking import from_masked, from_noise
from maskedmod.layers.positions import lattice, sincos
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from tests.conftest import parity_case
from tests.parity.golden import agree, encode, one_step

repair_torchvision()
repair_torchaudio()
transformers = pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "image_size": [32, 48],
    "patch_size": 8,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
}
DECODER: dict[str, Any] = {
    "decoder_hidden_size": 32,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 4,
    "decoder_intermediate_size": 80,
}
GRID = (4, 6)
SQUARE: dict[str, Any] = {**SIZES, **DECODER, "image_size": 32}
"""ViTMAE's decoder in transformers takes square images only."""


def stirred(model: Any) -> Any:
    """Every parameter with noise, so that no zero or one hides a mistake; position tables with their true values."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, parameter in model.named_parameters():
            if name.endswith(("position_embeddings", "decoder_pos_embed")) and not parameter.requires_grad:
                # its initialisation zeroes these frozen tables
                parameter.zero_()
                grid = (4, 4) if parameter.shape[1] == 17 else GRID
                parameter[0, 1:] = sincos(lattice(grid), parameter.shape[-1]).float()
    return model.eval()


def older(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys as version 4 named them."""
    changes = (
        (r"^((?:vit|beit)\.|)layers\.", r"\1encoder.layer."),
        (r"attention\.q_proj\.", "attention.attention.query."),
        (r"attention\.k_proj\.", "attention.attention.key."),
        (r"attention\.v_proj\.", "attention.attention.value."),
        (r"attention\.o_proj\.", "attention.output.dense."),
        (r"(layers?\.\d+\.)mlp\.fc1\.", r"\1intermediate.dense."),
        (r"(layers?\.\d+\.)mlp\.fc2\.", r"\1output.dense."),
        (r"shared_position_bias\.", "encoder.relative_position_bias."),
        (r"(layer\.\d+\.)relative_position_bias\.", r"\1attention.attention.relative_position_bias."),
    )
    out = {}
    for key, value in weights.items():
        for pattern, to in changes:
            key = re.sub(pattern, to, key)
        out[key] = value
    return out


def newer(model: Any) -> dict[str, Tensor]:
    """Keys as they are in memory in version 5."""
    return {key: value.contiguous().clone() for key, value in model.state_dict().items()}


def save(model: Any, folder: Path, keys: str) -> Path:
    """A folder as ``save_pretrained`` writes it, with the keys of one version of the library."""
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    if keys == "v5":
        save_file(newer(model), file)
    elif keys == "v4":
        save_file(older(newer(model)), file)
    return folder


KEYS = pytest.mark.parametrize("keys", ["saved", "v4", "v5"])


@KEYS
@pytest.mark.parametrize("norm_pix_loss", [True, False])
def test_vit_mae(keys: str, norm_pix_loss: bool, tmp_path: Path) -> None:
    config = transformers.ViTMAEConfig(**SQUARE, norm_pix_loss=norm_pix_loss, mask_ratio=0.6, layer_norm_eps=1e-5)
    theirs = stirred(transformers.ViTMAEForPreTraining(config))
    loaded = maskedmod.load(save(theirs, tmp_path, keys))
    parity_case(f"transformers ViTMAE {keys} {norm_pix_loss}")
    assert loaded.layout == "hf_vit_mae" and loaded.report.settings["eps"] == 1e-5
    assert loaded.tree["encoder"]["transformer"]["positions"] == "sincos"
    image, noise = torch.randn(2, 3, 32, 32), torch.rand(2, 16)
    reference = theirs(image, noise=noise)
    reference.loss.backward()
    mask = from_noise(noise, config.mask_ratio)
    assert torch.equal(mask.hidden.float(), reference.mask)
    step, losses = one_step(loaded, {"pixels": image}, mask)
    head = loaded.model.objectives["main"].head
    agree("prediction", head(step.views["main"], mask.where("all"))[:, 0], reference.logits)
    agree("loss", losses["loss"], reference.loss)
    losses["loss"].backward()
    ours = loaded.model.encoder.get_submodule("blocks.0.mlp.fc1").weight.grad
    assert ours is not None
    agree("gradient", ours, theirs.vit.layers[0].mlp.fc1.weight.grad, 1e-4)


@KEYS
def test_vit_for_masked_image_modeling(keys: str, tmp_path: Path) -> None:
    config = transformers.ViTConfig(**{**SIZES, "image_size": 32}, encoder_stride=8)
    theirs = stirred(transformers.ViTForMaskedImageModeling(config))
    loaded = maskedmod.load(save(theirs, tmp_path, keys))
    parity_case(f"transformers ViTForMaskedImageModeling {keys}")
    assert loaded.layout == "hf_vit_mim"
    image, masked = torch.randn(2, 3, 32, 32), torch.rand(2, 16) < 0.6
    masked[1] = masked[0].flip(0)
    reference = theirs(image, bool_masked_pos=masked)
    step, losses = one_step(loaded, {"pixels": image}, from_masked(masked))
    view = step.views["main"]
    predicted = loaded.model.objectives["main"].head(view, view.mask.where("all"))[:, 0]
    agree("prediction", loaded.model.modality.untokenize(predicted, view.tokens), reference.reconstruction)
    agree("loss", losses["loss"], reference.loss)


BEIT: dict[str, Any] = {**SIZES, "image_size": 32, "use_shared_relative_position_bias": True, "layer_scale_init_value": 0.1}


PLACED: dict[str, dict[str, Any]] = {
    "shared": {},
    "block": {"use_shared_relative_position_bias": False, "use_relative_position_bias": True},
    "absolute": {"use_shared_relative_position_bias": False, "use_absolute_position_embeddings": True},
    "absolute and shared": {"use_absolute_position_embeddings": True},
    "nowhere": {"use_shared_relative_position_bias": False, "layer_scale_init_value": 0.0},
}
"""Options of BEiT's positions, with and without layer scale."""


@KEYS
@pytest.mark.parametrize("places", PLACED)
def test_beit_for_masked_image_modeling(places: str, keys: str, tmp_path: Path) -> None:
    more = {**BEIT, **PLACED[places]}
    config = transformers.BeitConfig(**more, use_mask_token=True, vocab_size=40, layer_norm_eps=1e-6)
    theirs = stirred(transformers.BeitForMaskedImageModeling(config))
    loaded = maskedmod.load(save(theirs, tmp_path, keys))
    parity_case(f"transformers BeitForMaskedImageModeling {places} {keys}")
    assert loaded.layout == "hf_beit" and not loaded.report.untrained
    image, masked = torch.randn(2, 3, 32, 32), torch.rand(2, 16) < 0.4
    labels = torch.randint(40, (2, 16))
    reference = theirs(image, bool_masked_pos=masked)
    step, losses = one_step(loaded, {"pixels": image, "labels": labels}, from_masked(masked))
    view = step.views["main"]
    agree("prediction", loaded.model.objectives["main"].head(view, view.mask.where("all"))[:, 0], reference.logits)
    agree("loss", losses["loss"], torch.nn.functional.cross_entropy(reference.logits[masked], labels[masked]))


@pytest.mark.parametrize("name", ["Beit", "Data2VecVision"])
def test_encoder_alone(name: str, tmp_path: Path) -> None:
    config = getattr(transformers, f"{name}Config")(**BEIT)
    theirs = stirred(getattr(transformers, f"{name}Model")(config))
    loaded = maskedmod.load(save(theirs, tmp_path, "saved"))
    parity_case(f"transformers {name}Model")
    assert loaded.layout == "hf_beit"
    assert {"encoder.mask_token", "objectives.main.head.pred.weight"} <= set(loaded.report.untrained)
    image = torch.randn(2, 3, 32, 32)
    agree("encoder", encode(loaded, {"pixels": image}), theirs(image).last_hidden_state)


def test_vit_mae_without_decoder(tmp_path: Path) -> None:
    theirs = stirred(transformers.ViTMAEModel(transformers.ViTMAEConfig(**SIZES, mask_ratio=0.5)))
    loaded = maskedmod.load(save(theirs, tmp_path, "saved"))
    parity_case("transformers ViTMAEModel")
    assert all(key.startswith("objectives.main.head.") for key in loaded.report.untrained)
    image, noise = torch.randn(2, 3, *SIZES["image_size"]), torch.rand(2, GRID[0] * GRID[1])
    step, _ = one_step(loaded, {"pixels": image}, from_noise(noise, 0.5))
    latent = step.views["main"].student
    assert latent.prefix is not None
    agree("encoder", torch.cat([latent.prefix, latent.tokens], dim=1), theirs(image, noise=noise).last_hidden_state)

"""Encoders that serve as frozen teachers: models of transformers and timm with random weights, saved by them, read by us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import maskedmod
from maskedmod.core.apply import Seen
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from tests.conftest import parity_case
from tests.parity.golden import agree, encode, load_saved

repair_torchvision()
repair_torchaudio()
transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")

SIZES: dict[str, Any] = {
    "image_size": 32, "patch_size": 8, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 96,
}  # fmt: skip
DINO = {key: value for key, value in SIZES.items() if key != "intermediate_size"}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViTModel": ("ViTConfig", SIZES),
    "ViTForImageClassification": ("ViTConfig", {**SIZES, "num_labels": 5}),
    "Dinov2Model": ("Dinov2Config", {**DINO, "mlp_ratio": 2}),
    "Dinov2WithRegistersModel": ("Dinov2WithRegistersConfig", {**DINO, "use_swiglu_ffn": True}),
    "CLIPVisionModel": ("CLIPVisionConfig", SIZES),
}


def stirred(model: Any) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("name", MODELS)
def test_transformers(name: str, tmp_path: Path) -> None:
    kind, sizes = MODELS[name]
    theirs = stirred(getattr(transformers, name)(getattr(transformers, kind)(**sizes)))
    theirs.save_pretrained(tmp_path)
    loaded = maskedmod.load(tmp_path)
    parity_case(f"transformers {name}")
    assert loaded.layout == ("hf_clip" if name.startswith("CLIP") else "hf_vit")
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = theirs(image, output_hidden_states=True)
        if "Class" not in name:
            agree("encoder", encode(loaded, {"pixels": image}), found.last_hidden_state)
        tokens = loaded.modality.tokenize({"pixels": image})["main"]
        agree("block 1", loaded.model.encoder(Seen(tokens), ["block.1"]).taps["block.1"], found.hidden_states[2][:, -16:])


def test_whole_clip_and_its_last_norm(tmp_path: Path) -> None:
    words = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
    config = transformers.CLIPConfig(text_config=words, vision_config={**SIZES, "hidden_act": "gelu"}, projection_dim=8)
    theirs = stirred(transformers.CLIPModel(config))
    theirs.save_pretrained(tmp_path)
    parity_case("transformers CLIPModel")
    loaded = maskedmod.load(tmp_path, settings={"post_norm": True})
    assert loaded.tree["encoder"]["transformer"]["activation"] == "gelu"
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = theirs.vision_model(image)
        agree("encoder", encode(loaded, {"pixels": image}), theirs.vision_model.post_layernorm(found.last_hidden_state))


TIMM: dict[str, dict[str, Any]] = {
    "classifier": {"num_classes": 7},
    "layer scale and registers": {"init_values": 0.5, "reg_tokens": 4, "no_embed_class": True, "num_classes": 0},
    "clip": {"pre_norm": True, "num_classes": 0},
    "no norm": {"num_classes": 5, "global_pool": "avg"},
}


@pytest.mark.parametrize("what", TIMM)
def test_timm(what: str, tmp_path: Path) -> None:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4}
    more = {**TIMM[what]} | ({"norm_layer": torch.nn.LayerNorm} if what == "clip" else {})
    theirs = stirred(timm.models.vision_transformer.VisionTransformer(**sizes, **more))
    loaded = load_saved(theirs.state_dict(), tmp_path / "vit.pth", settings={"heads": 4}, layout="timm_vit")
    parity_case(f"timm {what}")
    assert maskedmod.load(tmp_path / "vit.pth", settings={"heads": 4}).layout == "timm_vit"
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        agree("encoder", encode(loaded, {"pixels": image}), theirs.forward_features(image))
    if what in ("clip", "no norm"):
        return  # a norm before the blocks, and a norm of the classifier, are not written
    back = loaded.export("timm", tmp_path / "back")
    weights = {key: x for key, x in theirs.state_dict().items() if not key.startswith(("head.", "fc_norm."))}
    assert back.keys() == weights.keys() and all(torch.equal(back[key], weights[key]) for key in back)
    again = timm.create_model(f"local-dir:{tmp_path / 'back'}", pretrained=True).eval()
    again.load_state_dict(back, strict=True)

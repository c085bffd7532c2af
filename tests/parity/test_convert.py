"""Published weights -> our model -> published weights: the same to the bit, and read by the code they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import maskedmod
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from maskedmod.zoo.verify import compare
from tests.conftest import parity_case
from tests.parity.golden import Golden, cases, golden, load_saved
from tests.parity.test_transformers import BEIT, PLACED, SIZES, SQUARE, newer, older, save, stirred

repair_torchvision()
repair_torchaudio()
transformers = pytest.importorskip("transformers")


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    for key, tensor in theirs.items():
        assert tensor.dtype == ours[key].dtype and torch.equal(tensor, ours[key]), key


SQUARE_SIZES = {**SIZES, "image_size": 32}
WORDS = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 24,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViTMAEForPreTraining": ("ViTMAEConfig", SQUARE),
    "ViTMAEModel": ("ViTMAEConfig", SIZES),
    "ViTForMaskedImageModeling": ("ViTConfig", {**SQUARE_SIZES, "encoder_stride": 8}),
    **{
        f"BeitForMaskedImageModeling {name}": ("BeitConfig", {**BEIT, **more, "use_mask_token": True, "vocab_size": 40})
        for name, more in PLACED.items()
    },
    "IJepaModel": ("IJepaConfig", SIZES),
    "IJepaModel without biases": ("IJepaConfig", {**SIZES, "qkv_bias": False}),
    "ViTMAEForPreTraining without biases": ("ViTMAEConfig", {**SQUARE, "qkv_bias": False}),
    "BertForMaskedLM": ("BertConfig", WORDS),
    "BertForPreTraining": ("BertConfig", WORDS),
    "RobertaForMaskedLM": ("RobertaConfig", {**WORDS, "type_vocab_size": 1, "pad_token_id": 1}),
}


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("name", MODELS)
def test_transformers_round_trip(name: str, version: int, tmp_path: Path) -> None:
    kind, sizes = MODELS[name]
    case, name = name, name.split()[0]
    theirs = stirred(getattr(transformers, name)(getattr(transformers, kind)(**sizes)))
    words = name.startswith(("Bert", "Roberta"))
    if words:
        theirs.save_pretrained(tmp_path / "theirs")
        (tmp_path / "theirs" / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]))
    else:
        save(theirs, tmp_path / "theirs", f"v{version}")
    parity_case(f"{case} back to version {version}")
    loaded = maskedmod.load(tmp_path / "theirs")
    found = compare(loaded, tmp_path / "theirs")
    assert not found.made and not found.wrong and max(line.together for line in found.lines) < 1e-5, str(found)
    back = loaded.export("hf", tmp_path / "back", version=version)
    wanted = newer(theirs) if version == 5 or words else older(newer(theirs))
    same(back, wanted)
    again, told = getattr(transformers, name).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    same(dict(again.state_dict()), dict(theirs.state_dict()))
    if not words:
        image = torch.randn(2, 3, *(sizes["image_size"] if isinstance(sizes["image_size"], list) else [32, 32]))
        with torch.no_grad():
            noise = {"noise": torch.rand(2, 16 if "Pre" in name else 24)} if "MAE" in name else {}
            assert torch.equal(theirs(image, **noise)[0], again(image, **noise)[0])


def test_data2vec_of_transformers(tmp_path: Path) -> None:
    theirs = stirred(transformers.Data2VecVisionModel(transformers.Data2VecVisionConfig(**BEIT, use_mask_token=True)))
    theirs.save_pretrained(tmp_path / "theirs")
    parity_case("Data2VecVisionModel back")
    back = maskedmod.load(tmp_path / "theirs").export("hf", tmp_path / "back", version=4)
    same(back, dict(theirs.state_dict()))


def official(system: str, name: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """What the authors' file holds, its tensors as one dict, and the settings that no tensor tells."""
    case = golden(name)
    weights, made = case.group("weights."), case.meta.get("constructor", {})
    inner = made.get("encoder", made)
    settings: dict[str, Any] = {"heads": inner["num_heads"]}
    if system == "i_jepa":
        settings |= {"predictor_heads": made["predictor"]["num_heads"]}
        settings |= {key: value for key, value in made["collator"].items() if key != "nenc"}
    if system == "beit_v2":
        settings["early_layers"] = made["early_layers"]
    if system == "data2vec_vision":
        settings |= {key: value for key, value in case.meta["forward"].items() if key != "var_w0"}
    if system == "audio_mae":
        settings |= {"mel_bins": made["img_size"][1], **{name: made[name] for name in ("stride", "no_shift") if name in made}}
    if system in ("mae", "audio_mae") and made.get("decoder_mode", 0) == 0:
        settings["decoder_heads"] = made["decoder_num_heads"]
    parts = {"data2vec_vision": {"model": "model", "ema": "model_ema"}, "i_jepa": {}}
    parts["i_jepa"] = {part: part for part in ("encoder", "predictor", "target_encoder")}
    if system not in parts:
        return {"model": weights}, weights, settings
    content = {to: case.group(f"weights.{part}.") for part, to in parts[system].items()}
    return content, {f"{part}.{key}": x for part, group in content.items() for key, x in group.items()}, settings


@pytest.mark.parametrize("system", ["mae", "audio_mae", "beit", "data2vec_vision", "simmim/vit", "i_jepa", "beit_v2"])
def test_official_round_trip(system: str, tmp_path: Path) -> None:
    for name in (name for name in cases(system) if "vqkd" not in name):
        content, weights, settings = official(system, name)
        loaded = load_saved(content, tmp_path / "theirs.pth", settings=settings)
        same(loaded.export("fair", tmp_path / "back.pth"), weights)
        again = maskedmod.load(tmp_path / "back.pth")
        assert again.layout == loaded.layout and again.report.settings["eps"] == loaded.report.settings["eps"]
        assert {**again.tree, "modality": None} == {**loaded.tree, "modality": None}
        same(dict(again.model.state_dict()), dict(loaded.model.state_dict()))


def clouds(case: Golden) -> dict[str, Any]:
    """Settings of Point-MAE and Point-M2AE that no tensor tells, as the recording has them."""
    made = case.meta["constructor"]
    if "group_sizes" in made:
        sizes = {"groups": made["num_groups"], "group_sizes": made["group_sizes"], "heads": made["num_heads"]}
        sizes["local_radius"] = made["local_radius"]
        return {**sizes, "points": case["input.points"].shape[1], "mask_ratio": made["mask_ratio"]}
    inner = made["transformer_config"]
    heads = {"heads": inner["num_heads"], "decoder_heads": inner["decoder_num_heads"]}
    sizes = {"points": case["input.points"].shape[1], "groups": made["num_group"], "near_origin": 0.0}
    return {**heads, **sizes, "mask_ratio": inner["mask_ratio"]}


@pytest.mark.parametrize("system", ["point_mae", "point_m2ae"])
def test_clouds_round_trip(system: str, tmp_path: Path) -> None:
    for name in cases(system):
        case = golden(name)
        weights = case.group("weights.")
        loaded = load_saved({"base_model": weights, "epoch": 3}, tmp_path / "theirs.pth", settings=clouds(case))
        back = loaded.export("fair", tmp_path / "back.pth")
        same({key.removeprefix("base_model."): x for key, x in back.items()}, weights)
        again = maskedmod.load(tmp_path / "back.pth")
        assert again.layout == system and again.tree == loaded.tree
        same(dict(again.model.state_dict()), dict(loaded.model.state_dict()))
        loaded.kept.clear()  # as a run has it: norms that are not read begin anew
        fresh = loaded.export("fair")
        assert fresh.keys() == back.keys() and all(fresh[key].shape == back[key].shape for key in back)


@pytest.mark.parametrize("system", ["graph_mae", "graph_mae2"])
def test_graph_mae_round_trip(system: str, tmp_path: Path) -> None:
    """The plain state dict of either branch; what a run writes has the names of the DGL branch."""
    for name in cases(system):
        case = golden(name)
        if case.meta["class"].startswith("chem"):  # another network, see test_graph_mae_molecules.py
            continue
        weights, made = case.group("weights."), case.meta["constructor"]
        loaded = load_saved(weights, tmp_path / "theirs.pth", settings=made)
        same(loaded.export("fair", tmp_path / "back.pth"), weights)
        same(torch.load(tmp_path / "back.pth", weights_only=True), weights)
        loaded.kept.clear()
        dgl = loaded.export("fair", tmp_path / "dgl.pth")
        assert not any("lin_dst" in key or "att_src" in key or ".nn." in key for key in dgl)
        same(dict(maskedmod.load(tmp_path / "dgl.pth", settings=made).model.state_dict()), dict(loaded.model.state_dict()))


@pytest.mark.parametrize("name", cases("attr_masking"))
def test_pretrain_gnns_round_trip(name: str, tmp_path: Path) -> None:
    """The encoder as ``gnn.load_state_dict(torch.load(...))`` reads it, whatever it was read from."""
    case = golden(name)
    weights, settings = case.group("weights."), {"gnn_type": case.meta["constructor"]["gnn_type"]}
    bare = {key.removeprefix("model."): x for key, x in weights.items() if key.startswith("model.")}
    for content in (weights, bare, {f"gnn.{key}": x for key, x in bare.items()}):
        loaded = load_saved(content, tmp_path / "theirs.pth", settings=settings)
        loaded.export("fair", tmp_path / "masking.pth")
        same(torch.load(tmp_path / "masking.pth", weights_only=True), bare)

"""``maskedmod convert`` and ``verify``: runs into published layouts, their cards, the upload, and layers that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import maskedmod
from maskedmod.cli import main
from maskedmod.errors import UserError
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from maskedmod.zoo import step_folder
from maskedmod.zoo.convert import convert, push
from maskedmod.zoo.verify import compare
from tests.zoo.test_load import SETTINGS, fair_encoder, fair_whole, saved

repair_torchvision()
repair_torchaudio()
transformers = pytest.importorskip("transformers")

IMAGE = ["encoder.depth=2", "encoder.width=32", "encoder.heads=4"]
DECODER = ["head.depth=1", "head.width=16", "head.heads=2"]


def run_of(recipe: str, folder: Path, *words: str, preset: str = "tiny") -> Path:
    """A run folder with the weights a recipe starts from."""
    torch.manual_seed(3)
    loaded = maskedmod.create(recipe, *words, preset=preset)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    step_folder.save(folder / "checkpoints", loaded.model.state_dict(), {}, {"step": 5}, keep=1)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(loaded.tree))
    return folder


RUNS: dict[str, tuple[list[str], dict[str, str]]] = {
    "mae": ([*IMAGE, *DECODER, "modality.mean=imagenet", "modality.std=imagenet"], {"hf": "hf_vit_mae", "timm": "timm_vit"}),
    "simmim": ([*IMAGE, "modality.mean=imagenet", "modality.std=imagenet"], {"hf": "hf_beit"}),
    "data2vec_vision": ([*IMAGE, "modality.mean=imagenet", "modality.std=imagenet", "target.layers=[-1]"], {"hf": "hf_beit"}),
    "i_jepa": ([*IMAGE, *DECODER, "modality.mean=imagenet", "modality.std=imagenet"], {"hf": "hf_i_jepa"}),
    "esm2": (IMAGE, {"hf": "hf_esm", "fair-esm": "fair_esm"}),
}


BACK: dict[str, tuple[str, list[str]]] = {
    "mae": ("fair", [*IMAGE, *DECODER, "modality.mean=imagenet", "modality.std=imagenet"]),
    "audio_mae": ("fair", [*IMAGE, *DECODER, "head.window=2"]),
    "simmim": ("fair", [*IMAGE, "modality.mean=imagenet", "modality.std=imagenet"]),
    "beit_v2": ("hf", [*IMAGE, "teacher.checkpoint=nowhere", "objectives.class.head.heads=4", "objectives.class.head.block=0"]),
    "i_jepa": ("fair", [*IMAGE, *DECODER, "modality.mean=imagenet", "modality.std=imagenet"]),
    "esm1b": ("hf", [*IMAGE, "modality.max_length=30"]),
    "point_mae": ("fair", []),
    "point_m2ae": ("fair", []),
    "graph_mae": ("fair", ["modality.features=12"]),
    "attr_masking": ("fair", []),
    "molformer": ("fair", []),
}


@pytest.mark.parametrize("recipe", BACK)
def test_what_is_written_reads_back_as_the_same_model(recipe: str, tmp_path: Path) -> None:
    """The settings that no tensor tells go with it: heads, eps, sizes."""
    to, words = BACK[recipe]
    run = run_of(recipe, tmp_path / "run", *words)
    done = convert(str(run), to, tmp_path / "out")
    first, again = maskedmod.load(run), maskedmod.load(done.files[0] if to == "fair" else tmp_path / "out")
    left = {"beit_v2": "objectives.class.", "attr_masking": "objectives."}.get(recipe, "teacher.none")
    wanted, found = (
        {key: value for key, value in one.model.state_dict().items() if not key.startswith(left)} for one in (first, again)
    )
    assert wanted.keys() == found.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, atol=1e-7, rtol=0.0)
    for name in ("heads", "eps", "positions"):
        ours, theirs = (next(iter(one.tree["encoder"].values())).get(name) for one in (first, again))
        fixed = recipe == "point_m2ae"  # which has no such settings
        assert ours == theirs or fixed or (name == "eps" and theirs == pytest.approx(ours)), name
    assert done.notes == (["the head of objective class is left out"] if recipe == "beit_v2" else done.notes)


@pytest.mark.parametrize("recipe", RUNS)
def test_a_run_is_converted_and_equals_the_original_code(recipe: str, tmp_path: Path) -> None:
    words, formats = RUNS[recipe]
    run = run_of(recipe, tmp_path / "run", *words)
    for to, layout in formats.items():
        done = convert(str(run), to, tmp_path / to)
        assert done.layout == layout and (tmp_path / to / "README.md").is_file()
        found = compare(maskedmod.load(run), run, {"hf": "transformers"}.get(to, to))
        assert not found.wrong and found.made, str(found)
        assert len([line for line in found.lines if line.alone is not None]) >= 2
        if to == "hf":
            library = {"hf_vit_mae": "ViTMAEForPreTraining", "hf_i_jepa": "IJepaModel", "hf_esm": "EsmForMaskedLM"}
            model = getattr(transformers, library.get(layout, "AutoModel"))
            _, told = model.from_pretrained(tmp_path / to, output_loading_info=True)
            assert not told["missing_keys"] and not told["unexpected_keys"]
            assert transformers.AutoModel.from_pretrained(tmp_path / to) is not None


def test_timm_reads_it_strictly(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    words, _ = RUNS["mae"]
    run = run_of("mae", tmp_path / "run", *words)
    convert(str(run), "timm", tmp_path / "timm")
    text = (tmp_path / "timm" / "README.md").read_text()
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0].replace("DIR", str(tmp_path / "timm")), names)
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        ours = maskedmod.load(run).encoder(image)
        theirs = names["model"].eval().forward_features(image)[:, 1:].mean(1)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    hub = timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True).eval()
    torch.testing.assert_close(hub.forward_features(image)[:, 1:].mean(1), theirs, atol=1e-6, rtol=1e-6)


def test_fair_esm_reads_it(tmp_path: Path) -> None:
    esm = pytest.importorskip("esm")
    run = run_of("esm2", tmp_path / "run", *IMAGE)
    convert(str(run), "fair-esm", tmp_path / "esm")
    text = (tmp_path / "esm" / "README.md").read_text()
    assert "no contact regression" in text
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0].replace("DIR", str(tmp_path / "esm")), names)
    assert isinstance(names["model"], esm.ESM2) and len(names["model"].layers) == 2


def test_card_tells_recipe_data_scores_and_command(tmp_path: Path) -> None:
    words, _ = RUNS["mae"]
    run = run_of("mae", tmp_path / "run", *words)
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 5, "loss": 0.5}\n')
    (run / "eval_knn.json").write_text('{"protocol": "knn", "metric": "accuracy", "mean": 0.61, "std": 0.02, "baselines": {}}')
    assert main(["convert", str(run), "to=hf", f"output={tmp_path / 'out'}"]) == 0
    text = (tmp_path / "out" / "README.md").read_text()
    for part in (
        "library_name: transformers",
        "| knn | accuracy | 0.61 | 0.02 |",
        "- loss: 0.5",
        "mae_decoder",
        "maskedmod convert",
    ):
        assert part in text, part


def test_heads_that_a_layout_has_not_are_said(tmp_path: Path) -> None:
    done = convert(str(saved(tmp_path, {"model": fair_encoder(), "args": SETTINGS})), "hf", tmp_path / "out")
    assert done.layout == "hf_vit_mae" and "encoder alone" in done.notes[0]
    assert "encoder alone" in (tmp_path / "out" / "README.md").read_text()


def test_what_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(tmp_path, {"model": fair_whole(), "args": SETTINGS})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    cases = {
        "exists already": [str(file), "to=hf", f"output={tmp_path / 'full'}"],
        "did you mean timm": [str(file), "to=tim", f"output={tmp_path / 'a'}"],
        "no layout for image": [str(file), "to=fair-esm", f"output={tmp_path / 'a'}"],
        "output is missing": [str(file), "to=hf"],
        "transformers 4 or 5": [str(file), "to=hf", f"output={tmp_path / 'a'}", "version=3"],
    }
    for message, words in cases.items():
        assert main(["convert", *words]) == 2
        assert message in capsys.readouterr().err
    run = run_of("mae", tmp_path / "run", *IMAGE, *DECODER, "encoder.qk_norm=true")
    with pytest.raises(UserError, match="no place for qk_norm=True"):
        convert(str(run), "hf", tmp_path / "a")
    assert not (tmp_path / "a").exists() and not list(tmp_path.glob(".*"))


class Hub:
    """Stands in for the hub."""

    calls: list[tuple[str, Any]] = []

    def __init__(self, token: str | None = None) -> None:
        self.token = token

    def create_repo(self, name: str, private: bool, exist_ok: bool) -> None:
        if self.token == "bad":
            raise OSError("401 Unauthorized")
        Hub.calls.append(("create", (name, private)))

    def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> Any:
        Hub.calls.append(("upload", (repo_id, sorted(file.name for file in Path(folder_path).iterdir()))))
        return type("Info", (), {"repo_url": f"https://hub/{repo_id}"})()


def test_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    convert(str(saved(tmp_path, {"model": fair_whole(), "args": SETTINGS})), "hf", tmp_path / "out")
    assert push(tmp_path / "out", "me/mine", "good", private=True) == "https://hub/me/mine"
    files = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    assert Hub.calls == [("create", ("me/mine", True)), ("upload", ("me/mine", files))]
    with pytest.raises(UserError, match="401 Unauthorized"):
        push(tmp_path / "out", "me/mine", "bad")
    with pytest.raises(UserError, match="ORGANISATION/NAME"):
        push(tmp_path / "out", "mine")


@pytest.mark.parametrize("against", ["transformers", "timm"])
def test_verify_names_the_wrong_layer(against: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is right; our model of it is made wrong at one place."""
    weights = fair_whole()
    file = saved(tmp_path, {"model": weights, "args": {"heads": 2, "decoder_heads": 2}})
    assert main(["verify", str(file), "against=timm"]) == 0
    assert "equals timm to rounding" in capsys.readouterr().out
    if against == "transformers":
        convert(str(file), "hf", tmp_path / "hf")
        file = tmp_path / "hf"
    loaded = maskedmod.load(file)
    assert not compare(loaded, file, against).wrong
    qkv = loaded.model.encoder.get_submodule("blocks.1.attn.qkv").weight
    with torch.no_grad():
        first, second, third = qkv.clone().chunk(3)
        qkv.copy_(torch.cat([second, third, first]))
    found = compare(loaded, file, against)
    assert found.wrong == ["encoder block 1"] and "encoder block 1  <- differs" not in str(found)
    assert any(line.startswith("encoder block 1") and line.endswith("<- differs") for line in str(found).splitlines())
    if against == "transformers":
        with torch.no_grad():
            loaded.model.get_submodule("objectives.main.head.blocks.0.mlp.fc2").weight.mul_(2.0)
        assert compare(loaded, file, against).wrong == ["encoder block 1", "decoder block 0"]


@pytest.mark.parametrize("recipe", ["graph_mae", "molformer"])
def test_verify_of_a_model_that_no_library_has(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(recipe, tmp_path / "run", *(["modality.features=12"] if recipe == "graph_mae" else []))
    assert main(["verify", str(run)]) == 2
    assert "transformers has no model to compare with" in capsys.readouterr().err


def test_verify_of_a_whole_file_that_errs_outside_the_blocks(tmp_path: Path) -> None:
    file = saved(tmp_path, {"model": fair_encoder()})
    loaded = maskedmod.load(file, settings={"heads": SETTINGS["heads"]})
    with torch.no_grad():
        loaded.model.encoder.get_submodule("norm").weight.mul_(1.1)
    assert compare(loaded, file, "timm").wrong == ["features"]


def test_images_that_are_not_square(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """transformers cannot make a MAE with decoder of them: the card names the class that it can make, nothing is lost, verify
    compares; timm's folder is read again without settings."""
    sizes = ["modality.size=[16,32]", "modality.patch_size=4", "encoder.depth=1", "encoder.width=24", "encoder.heads=3"]
    model = maskedmod.create("mae", *sizes, "head.depth=1", "head.width=24", "head.heads=3", preset="tiny")
    model.report.untrained.clear()  # as if it were
    model.modality.statistics.update({"mean": [0.5] * 3, "std": [0.2] * 3})
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = model.model.state_dict()
    for layout in ("hf_vit_mae", "timm_vit"):
        model.export(layout, tmp_path / layout)
        again = maskedmod.load(tmp_path / layout)
        assert again.modality.spec.grid == (4, 8) and not again.report.missing
        own = again.model.state_dict()
        read = [key for key in own if key not in again.report.untrained]
        assert all(torch.equal(own[key], state[key]) for key in read)
        assert any(key.startswith("objectives.") for key in read) == (layout == "hf_vit_mae")
    assert json.loads((tmp_path / "hf_vit_mae" / "config.json").read_text())["architectures"] == ["ViTMAEModel"]
    assert main(["verify", str(tmp_path / "hf_vit_mae")]) == 0
    config = json.loads((tmp_path / "hf_vit_mae" / "config.json").read_text())
    (tmp_path / "hf_vit_mae" / "config.json").write_text(json.dumps({**config, "architectures": ["ViTMAEForPreTraining"]}))
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "hf_vit_mae")]) == 2
    assert "transformers cannot make its ViTMAEForPreTraining" in capsys.readouterr().err

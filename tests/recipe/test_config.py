"""The grammar: layers, presets, swaps, types, errors of one line with the nearest spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskedmod.errors import UserError
from maskedmod.recipe import build, config, layering
from maskedmod.recipe import file as recipe_file

BASE = """# A system, Somebody et al. 2024
modality:  {audio: {mel_bins: 128, frames: 64, patch_size: 16}}
mask:      {random: {ratio: 0.8}}
encoder:   {transformer: {depth: 2, width: 32, heads: 2}}
target:    {raw: {norm: patch}}
head:      {mae_decoder: {depth: 1, width: 32, heads: 2}}
loss:      {regression: {}}
optimizer: {adamw: {betas: [0.9, 0.95]}}
train:     {epochs: 3, base_lr: 2e-4}
presets:
  small: {encoder: {transformer: {depth: 1}}, train: {epochs: null, steps: 7}}
  other: {mask: {axis: {}}, preset: small}
  demo:  {data: demo, preset: small}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "base.yaml"
    path.write_text(BASE)
    return f"recipe={path}"


def names(*words: str) -> dict[str, Any]:
    return config.resolve_names(words)


def error(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        config.resolve(words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_numbers_follow_yaml_1_2() -> None:
    for text, number in {"2e-4": 2e-4, "1E5": 1e5, "-2e+3": -2e3, ".5e1": 5.0, "3": 3, "0.25": 0.25}.items():
        assert recipe_file.parse(text, "x") == number
    assert recipe_file.parse("[2e-4, e5, null, true]", "x") == [2e-4, "e5", None, True]


def test_same_block_keeps_another_drops(recipe: str) -> None:
    assert names(recipe, "mask=random", "mask.unit=2")["mask"] == {"random": {"ratio": 0.8, "unit": 2}}
    assert names(recipe, "mask=axis")["mask"] == {"axis": {}}
    assert names(recipe, "mask={axis: {ratios: [0.1, 0.2]}}")["mask"] == {"axis": {"ratios": [0.1, 0.2]}}
    assert "teacher" not in names(recipe, "teacher=none")
    assert names(recipe, "teacher=ema")["teacher"] == {"ema": {}}


def test_shallow_before_deep_in_any_order(recipe: str) -> None:
    one = names(recipe, "mask=block", "mask.target=3")
    assert one == names(recipe, "mask.target=3", "mask=block")
    assert one["mask"] == {"block": {"target": 3}}


def test_dotted_words_reach_into_values_whole_values_replace(recipe: str) -> None:
    start = (recipe, "teacher={ema: {momentum: {start: 0.9, end: 1.0, steps: 5}}}")
    assert names(*start, "teacher.momentum.end=0.99")["teacher"]["ema"]["momentum"] == {"start": 0.9, "end": 0.99, "steps": 5}
    assert names(*start, "teacher.momentum={start: 0, end: 1}")["teacher"]["ema"]["momentum"] == {"start": 0, "end": 1}


def test_presets_lie_right_after_their_file(recipe: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("encoder: {transformer: {depth: 5}}\npresets: {small: {seed: 3}}\n")
    tree = names(recipe, f"recipe={mine}", "preset=small")
    assert tree["encoder"]["transformer"] == {"depth": 5, "width": 32, "heads": 2}
    assert (tree["seed"], tree["train"]["steps"]) == (3, 7)
    assert names(f"{recipe},{mine}", "preset=small")["encoder"] == tree["encoder"]
    other = names(recipe, "preset=other")
    assert other["mask"] == {"axis": {}} and other["train"]["steps"] == 7


def test_presets_for_different_networks_do_not_go_together(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "encoder: {gat: {}}\npresets:\n  a: {encoder: {gin: {depth: 2}}}\n  b: {encoder: {gat: {width: 8}}}\n"
        "  c: {encoder: {gin: {width: 8}}, seed: 3}\n  d: {preset: a}\n  e: {encoder: gin}\n"
    )
    with pytest.raises(UserError, match="preset=a,b: a is for encoder=gin and b for encoder=gat; give one of them"):
        names(f"recipe={mine}", "preset=a,b")
    with pytest.raises(UserError, match="preset=d,b: d is for encoder=gin and b for encoder=gat"):
        names(f"recipe={mine}", "preset=d,b")
    assert names(f"recipe={mine}", "preset=a,c")["encoder"] == {"gin": {"depth": 2, "width": 8}}
    assert names(f"recipe={mine}", "preset=e,d")["encoder"] == {"gin": {"depth": 2}}


def test_rivals_replace_each_other(recipe: str) -> None:
    assert names(recipe, "train.steps=5")["train"] == {"steps": 5, "base_lr": 2e-4}
    assert names(recipe, "preset=small", "train.epochs=2", "train.lr=1e-3")["train"] == {"epochs": 2, "lr": 1e-3}


def test_demo_when_no_data_is_named(recipe: str) -> None:
    said: list[str] = []
    tree = config.resolve_names([recipe], said.append)
    assert tree["preset"] == "demo" and tree["data"] == {"demo": {}}
    assert len(said) == 1 and "preset=demo" in said[0] and "data=folder" in said[0]
    for words in (["preset=small"], ["data=folder", "data.path=x"]):
        assert config.resolve_names([recipe, *words], said.append).get("preset") in (None, "small")
    assert len(said) == 1


def test_resolved_tree_is_complete_and_reads_back(recipe: str, tmp_path: Path) -> None:
    tree = config.resolve([recipe, "preset=demo", "optimizer.betas=[0.9, 1e-1]"])
    assert tree["mask"]["random"]["unit"] == 1 and tree["train"]["batch_size"] == 64
    assert tree["optimizer"]["adamw"]["betas"] == [0.9, 0.1] and tree["resume"] == "auto"
    saved = tmp_path / "recipe.yaml"
    saved.write_text(recipe_file.dump(tree))
    again = config.resolve([f"recipe={saved}"])
    assert {**again, "recipe": 0, "preset": 0} == {**tree, "recipe": 0, "preset": 0}


def test_objectives_and_stages(recipe: str) -> None:
    extra = "objectives={two: {target: raw, head: linear, loss: {regression: {kind: l1}}, weight: 0.5}}"
    tree = config.resolve([recipe, extra, "objectives.two.weight=2", "objectives.two.loss.kind=mse"])
    two = tree["objectives"]["two"]
    assert two["weight"] == 2.0 and two["loss"]["regression"]["kind"] == "mse" and two["region"] == "masked"
    staged = config.resolve([recipe, "stages=[{name: a, train: {steps: 2}}, {mask: axis}]"])
    (first, one), (second, other) = config.stages(staged)
    assert (first, second) == ("a", "2") and one["train"]["steps"] == 2 and one["train"]["epochs"] is None
    assert layering.chosen(one["mask"]) == "random" and layering.chosen(other["mask"]) == "axis"


def test_null_takes_a_value_back(recipe: str) -> None:
    assert config.resolve([recipe, "train.epochs=", "train.steps=2"])["train"]["epochs"] is None
    assert "expects an integer, got null" in error(recipe, "encoder.depth=null")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["mask.ratoi=0.5"], ["'ratoi'", "mask=random", "did you mean ratio?"]),
        (["maks.ratio=0.5"], ["'maks'", "did you mean mask?"]),
        (["mask=randm"], ["mask block 'randm'", "axis, block", "did you mean random?"]),
        (["mask={randm: {ratio: 0.1}}"], ["'randm'", "did you mean random?"]),
        (["modality=adio"], ["modality 'adio'", "did you mean audio?"]),
        (["preset=smal"], ["preset 'smal'", "did you mean small?"]),
        (["train.stps=4"], ["'stps'", "did you mean steps?"]),
        (["mask.ratio=many"], ["ratio", "a number", "'many'"]),
        (["mask.ratio={strat: 0.1, end: 1}"], ["'strat'", "did you mean start?"]),
        (["encoder.depth=2.5"], ["depth expects an integer", "2.5"]),
        (["target.norm=pach"], ["norm expects one of", "patch", "'pach'"]),
        (["optimizer.betas=[0.1]"], ["betas expects [a number, a number]"]),
        (["data=folder", "data.path=12"], ["path", "12"]),
        (["data=folder"], ["path is missing"]),
        (["mask=none"], ["mask is missing", "random"]),
        (["mask=[1]"], ["mask expects", "[1]"]),
        (["teacher.momentum=1"], ["no teacher block is chosen", "ema"]),
        (["resume=atuo"], ["'atuo'", "did you mean auto?"]),
        (["seed=x"], ["seed", "integer"]),
        (["train.steps"], ["'train.steps'", "key=value"]),
        (["mask=[1"], ["mask: not valid YAML"]),
        (["train.batch_size=0"], ["batch_size", "above 0"]),
        (["objectives={two: {target: raw}}"], ["objectives.two.head is missing"]),
        (["objectives={two: {target: raw, head: linear, loss: regression, wieght: 1}}"], ["'wieght'", "did you mean weight?"]),
    ],
)
def test_errors_name_the_wrong_thing(recipe: str, words: list[str], parts: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        config.resolve([recipe, *words])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def test_errors_of_files(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    for text, part in {
        "masc: random": "did you mean mask?",
        "mask: {randm: {}}": "did you mean random?",
        "mask: [": "not valid YAML",
        "seed: 1\nseed: 2": "'seed' is given twice",
        "- 1": "key: value lines",
    }.items():
        path.write_text(text)
        assert part in error(f"recipe={path}")
    assert "does not exist" in error("recipe=nowhere.yaml")
    assert "did you mean audio_mae?" in error("recipe=audio_mea")
    assert "name a recipe" in error("seed=1")


def test_models_are_built_from_trees(recipe: str) -> None:
    with pytest.raises(ValueError, match="neither the mask nor a target uses it"):
        build.build_model(config.resolve([recipe, "preset=demo", "teacher=ema"]))
    tree = config.resolve(
        [
            recipe,
            "preset=demo",
            "teacher=ema",
            "objectives={latent: {target: {feature: {}}, head: {mlp: {}}, loss: {cosine: {}}, region: pooled}}",
        ]
    )
    model = build.build_model(tree)
    main = model.objectives["main"]
    assert model.encoder.width == 32 and main.head.pred.out_features == 16 * 16
    assert model.teacher is not None and len(build.build_optimizer(tree)) == 1
    assert build.build_settings(tree).steps == 7
    with pytest.raises(UserError, match="no data named"):
        build.build_source(config.resolve([recipe]))
    with pytest.raises(UserError, match="'gan' is not one of main"):
        build.build_model(config.resolve([recipe, "objectives={main: {optimizer: gan}}"]))


def test_a_block_from_another_package(recipe: str) -> None:
    tree = config.resolve([recipe, "mask=maskedmod.masks.random:Random", "mask.ratio=0.25"])
    assert build.build_model(tree).mask.ratio == 0.25
    assert "cannot be imported" in error(recipe, "mask=nowhere.at_all:Mask")


def test_globs_are_text() -> None:
    words = ["recipe=mae", "data=folder", "data.path=a"]
    for pattern in ("*_[0-4].wav", "**/b*.png"):
        assert config.resolve([*words, f"data.val_pattern={pattern}"])["data"]["folder"]["val_pattern"] == pattern
    assert config.resolve([*words, 'data.val_pattern="[0-4]*"'])["data"]["folder"]["val_pattern"] == "[0-4]*"
    with pytest.raises(UserError, match=r"""quote it twice: data\.val_pattern='"\[0-4\]\*"'"""):
        config.resolve([*words, "data.val_pattern=[0-4]*"])

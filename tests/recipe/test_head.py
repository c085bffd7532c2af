"""The heads of recipe files: one family each, the modality as the whole file has it, read without the rest of the file."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from maskedmod.api.create import names
from maskedmod.errors import UserError
from maskedmod.recipe import catalog
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe import head as recipe_head
from maskedmod.recipe.layering import chosen
from maskedmod.verbs import ls

TOP = "# A system, A. Author 2024\n# family: some\n"
MOST = 16
"""Families; a list of them stays a list that one reads."""


@pytest.mark.parametrize("path", recipe_file.paths(), ids=lambda path: path.stem)
def test_every_recipe_names_its_family_once(path: Path) -> None:
    """In its second or third line; the system stands in the first, how it is launched in one of those that follow."""
    lines = path.read_text(encoding="utf-8").splitlines()
    places = [number for number, line in enumerate(lines, 1) if line.startswith("#") and "family:" in line]
    assert len(places) == 1 and places[0] in (2, 3), "one line '# family: NAME' below the first"
    head = recipe_head.read(path)
    assert head.name == path.stem and lines[0] == f"# {head.system}" and len(head.system) > 20
    assert lines[places[0] - 1] == f"# family: {head.family}"
    assert head.modality == chosen(recipe_file.load_tree(path)["modality"]) and head.modality in catalog.names("modality")
    comments = lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]
    assert any(f"maskedmod train recipe={path.stem} " in line for line in comments), "the launch command"


def test_families_are_few_and_differ_in_more_than_spelling() -> None:
    """Plain names; the first word is each one's own, so that ``family=discrete`` is one of them."""
    families = {head.family for head in recipe_head.heads()}
    assert 2 < len(families) <= MOST, sorted(families)
    assert not [family for family in families if not re.fullmatch(r"[A-Za-z0-9]+( [A-Za-z0-9]+)*", family)]
    for spelling in (lambda family: re.sub(r"[^a-z]", "", family.casefold()), lambda family: family.casefold().split()[0]):
        assert not [found for found, count in Counter(map(spelling, families)).items() if count > 1]


@pytest.mark.parametrize(
    "text",
    [
        "modality: {noise: {size: 4}}\n",
        "modality   :   { noise : { size: 4 } }   # why\n",
        "modality: noise",
        "modality: noise  # why\n",
        "modality: 'noise'\n",
        "modality:\n  noise: {size: 4}\n",
        "modality:   # why\n\n# and more\n    # why\n  noise:\n    size: 4\n",
        "modality: {noise: {size: 4,\n  more: 5}}\nmask: {random: {}}\n",
        "mask:\n  modality: {wrong: {}}\nmodality: {noise: {}}\npresets:\n  tiny:\n    modality: {wrong: {}}\n",
        '"modality": {noise: {}}\nmask: {random: {}}\n',
        "mask: &first {noise: {}}\nmodality: *first\n",
        "modality: {\nnoise: {}\n}\n",
        "modality: >-\n  noise\n",
        "mask: |\n  modality: {wrong: {}}\n\n  more\nmodality: {noise: {}}\n",
    ],
)
def test_the_modality_is_that_of_the_whole_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TOP + text, encoding="utf-8")
    whole = recipe_file.load_tree(path)["modality"]
    assert recipe_head.read(path).modality == "noise" == (whole if isinstance(whole, str) else chosen(whole))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("# A system\nmodality: {noise: {}}\n", "found 0"),
        ("# family: some\nmodality: {noise: {}}\n", "found 0"),
        ("# A system\n# family:\nmodality: {noise: {}}\n", "found 0"),
        ("# A system\nmodality: {noise: {}}\n# family: some\n", "found 0"),
        ("modality: {noise: {}}\n", "found 0"),
        (f"{TOP}# family: other\nmodality: {{noise: {{}}}}\n", "found 2"),
        (f"{TOP}mask: {{random: {{}}}}\n", "names no modality"),
        (f"{TOP}modality:\nmask: {{random: {{}}}}\n", "names no modality"),
        (f"{TOP}modality: {{noise: {{}}}}\nmodality: {{noise: {{}}}}\n", "given twice"),
        (f"{TOP}modality: {{noise: {{\n", "not valid YAML"),
    ],
)
def test_what_a_head_lacks_is_told(text: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=part) as caught:
        recipe_head.read(path)
    assert "mine.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_family_is_chosen_by_a_beginning_that_no_other_has() -> None:
    families = ("graphs", "graphs and more", "points")
    heads = [recipe_head.Head(f"r{number}", "", family, "noise") for number, family in enumerate(families)]
    assert [head.name for head in recipe_head.select(heads, family="P")] == ["r2"]
    assert [head.name for head in recipe_head.select(heads, family="Graphs")] == ["r0"], "a full name is no mere beginning"
    assert [head.name for head in recipe_head.select(heads, family="graphs a")] == ["r1"]
    with pytest.raises(UserError, match=r"more than one begins so\): accepted are graphs, graphs and more;"):
        recipe_head.select(heads, family="gra")


def test_models_of_a_modality_are_those_of_the_list() -> None:
    listed = recipe_head.groups(recipe_head.heads())
    for modality in catalog.names("modality"):
        assert names(modality) == sorted(head.name for heads in listed.get(modality, {}).values() for head in heads)
    assert names() == sorted(name for modality in listed for name in names(modality)) and names("nothing") == []


def test_two_hundred_recipes_are_listed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is parsed as a whole: 210 take a fifth of a second of the processor at most, the best of three."""
    paths = recipe_file.paths()
    for number in range(210):
        path = paths[number % len(paths)]
        shutil.copyfile(path, tmp_path / f"{path.stem}_{number}.yaml")

    def whole(path: Any) -> None:
        raise AssertionError(f"{path} is parsed as a whole")

    monkeypatch.setattr(recipe_file, "folder", lambda: tmp_path)
    monkeypatch.setattr(recipe_file, "load_tree", whole)
    times = []
    for _ in range(3):
        start = time.process_time()
        lines = ls.recipes(recipe_head.heads())
        times.append(time.process_time() - start)
    assert lines[-1].startswith("210 recipes in ") and min(times) < 0.2, times

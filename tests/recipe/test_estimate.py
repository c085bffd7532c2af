"""What ``show`` counts: a cost for every recipe and preset, or a reason that no counting mends."""

from __future__ import annotations

import pytest

from maskedmod.recipe import file as recipe_file
from maskedmod.recipe.config import resolve, stages
from maskedmod.recipe.estimate import count_cost, sized_model
from maskedmod.verbs.show import Figures

INHERENT = ("would have to be fetched or read", "name the run of a tokenizer")
"""A frozen teacher whose weights are elsewhere."""


SMALL = ("tiny", "demo")


@pytest.mark.parametrize("small", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", recipe_file.names())
def test_every_recipe_and_preset_has_a_cost_or_an_inherent_reason(name: str, small: bool) -> None:
    """What is small, and apart from it the sizes of papers, some of which take seconds."""
    for preset in [None, *(recipe_file.load_tree(recipe_file.find(name)).get("presets") or {})]:
        if (preset in SMALL) != small:
            continue
        tree = resolve([f"recipe={name}", *([f"preset={preset}"] if preset else [])])
        for stage, whole in stages(tree):
            found = Figures.of(whole)
            where = f"{name} {preset} {stage}: {found.why}"
            if found.why:
                assert found.cost is None and any(reason in found.why for reason in INHERENT), where
                assert preset != "demo", where
            else:
                assert found.cost.flops > 0 and found.cost.activation_bytes > 0 and found.cost.tokens > 0, where
            assert all(len(line) <= 80 for text in found.lines() for line in text.splitlines())
            assert all(line.startswith("# ") for text in found.lines() for line in text.splitlines())


def test_packed_operations_are_those_counted_by_hand() -> None:
    """A transformer on packed residues: per token 24 D^2 a block and the head, attention over each sequence."""
    tree = resolve(["recipe=esm2", "preset=demo", "train.batch_tokens=4096", "encoder.depth=2"])
    model, sizes = sized_model(tree)
    cost = count_cost(model, 1, 1, 4096)
    arguments = tree["encoder"]["transformer"]
    d, tokens, samples = arguments["width"], cost.tokens, 4096 // cost.tokens
    assert sizes == "" and cost.samples == samples and "8 built-in samples" in cost.sample
    linear = 3 * samples * tokens * 2 * 24 * d * d / 2 * 2
    assert linear < cost.flops < 1.4 * linear
    assert count_cost(model, 1, 1, 8192).flops == pytest.approx(2 * cost.flops, rel=0.05)


def test_graphs_of_unknown_width_are_counted_on_the_built_in_sample() -> None:
    plain = Figures.of(resolve(["recipe=graph_mae"]))
    assert plain.sizes == "features 16" and any("as in the built-in sample" in line for line in plain.lines())
    wide = Figures.of(resolve(["recipe=graph_mae", "modality.features=1433"]))
    assert wide.sizes == "" and wide.cost.flops > 1.2 * plain.cost.flops

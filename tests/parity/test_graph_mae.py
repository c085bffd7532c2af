"""GraphMAE and GraphMAE2 as recorded, read through ``maskedmod.load``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from maskedmod.api.loaded import Loaded
from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.masks.nodes import NodeMask, node_mask
from maskedmod.sequences.packing import positions
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden, gradients_agree, load_saved


def tokens_of(case: Golden) -> Tokens:
    x = case["input.x"]
    layout = Layout(cu_seqlens=torch.tensor([0, len(x)], dtype=torch.int32), max_seqlen=len(x))
    return Tokens(x, positions(layout, len(x)), layout, relation=Relation(case["input.edge_index"]))


def mask_of(case: Golden) -> NodeMask:
    """The mask made from the recorded permutations; equal to what was recorded of it."""
    made, nodes = case.meta["constructor"], len(case["input.x"])
    hidden = case["mask.perm"][: int(made["mask_rate"] * nodes)]
    assert torch.equal(hidden, case["mask.mask_nodes"])
    if made["replace_rate"] == 0:
        return node_mask(nodes, hidden, hidden, 0.0)
    mask = node_mask(nodes, hidden[case["mask.perm_mask"]], case["mask.noise_perm"], made["replace_rate"])
    for ours, recorded in ((mask.replaced, "replaced_nodes"), (mask.givers, "replaced_from"), (mask.keep, "keep_nodes")):
        assert ours is not None and torch.equal(ours.sort().values, case[f"mask.{recorded}"].sort().values)
    return mask


def settings_of(case: Golden, *more: str) -> dict[str, Any]:
    names = ("mask_rate", "replace_rate", "alpha_l", "activation", "negative_slope", "feat_drop", "attn_drop", *more)
    return {name: case.meta["constructor"][name] for name in names}


def step_of(case: Golden, loaded: Loaded) -> Step:
    ctx = Context(training=False)
    view = loaded.model.view(tokens_of(case), ctx, mask=mask_of(case))
    return Step(loaded.model.modality, {}, ctx, {"main": view})


@pytest.mark.parametrize("only_visible", [False, True])
@pytest.mark.parametrize("name", cases("graph_mae"))
def test_graph_mae(name: str, only_visible: bool, tmp_path: Path) -> None:
    case = golden(name)
    loaded = load_saved(case.group("weights."), tmp_path / "checkpoint.pt", settings=settings_of(case))
    assert loaded.layout == "graph_mae"
    if only_visible and not hasattr(loaded.model.encoder, "only_visible"):
        return
    if only_visible:
        loaded.model.encoder.only_visible = True  # type: ignore[assignment]
    step = step_of(case, loaded)
    check(case, loaded, step, "")


@pytest.mark.parametrize("name", [name for name in cases("graph_mae") if name.endswith("gin")])
def test_graph_mae_in_training(name: str, tmp_path: Path) -> None:
    """With the statistics of the batch, which the step adds to the running ones."""
    case = golden(name)
    loaded = load_saved(case.group("weights."), tmp_path / "checkpoint.pt", settings=settings_of(case))
    loaded.model.train()
    check(case, loaded, step_of(case, loaded), "train.")
    own = dict(loaded.model.named_buffers())
    theirs = {"nn.mlp.norms.0": "norm", "nn.norms.0": "norm", "nn.norm": "norm_after"}
    recorded = case.group("train.buffer.")
    assert len(recorded) == 15
    for key, tensor in recorded.items():
        part, _, number, *norm, kind = key.split(".")
        at = f"encoder.layers.{number}" if part == "encoder" else "objectives.main.head.layer"
        agree(key, own[f"{at}.{theirs['.'.join(norm)]}.{kind}"].double(), tensor.double(), GRADIENT)


def check(case: Golden, loaded: Loaded, step: Step, at: str) -> None:
    view, head = step.views["main"], loaded.model.objectives["main"].head
    if not at:
        visible = slice(None) if view.student.index is not None else view.mask.keep
        agree("encoder", view.student.tokens[visible], case["latent.encoder"][view.mask.keep])
        agree("re-masked", head._inputs(view)[0], case["latent.decoder_input"])  # type: ignore[operator, union-attr]
    apart = copy.deepcopy(head)  # its statistics are not to count this prediction
    prediction = apart(view, view.mask.where("masked"))  # type: ignore[operator]
    agree("prediction of hidden nodes", prediction, case[f"{at}output.pred"][view.mask.targets])
    loss = loaded.model.score(step)["loss"]
    agree("loss", loss, case[f"{at}output.loss"])
    recorded = {f"grad.{key}": x for key, x in case.group(f"{at}grad.").items()}
    weights = {f"weights.{key}": x for key, x in case.group("weights.").items()}
    gradients_agree(Golden(case.name, {**weights, **recorded}, case.meta), loaded, loss)


@pytest.mark.parametrize("name", cases("graph_mae2"))
def test_graph_mae2(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    more = ("num_remasking", "remask_rate", "lam", "momentum")
    loaded = load_saved(case.group("weights."), tmp_path / "checkpoint.pt", settings=settings_of(case, *more))
    model, head = loaded.model, loaded.model.objectives["main"].head
    drawn = [case[f"mask.remask_perm{i}"] for i in range(made["num_remasking"])]

    def next_drawn(x: Tensor) -> Tensor:
        count = int(made["remask_rate"] * len(x))
        drawn.append(drawn.pop(0))
        return torch.zeros(len(x), dtype=torch.bool).index_fill_(0, drawn[-1][:count], True)

    monkeypatch.setattr(head, "_drawn", next_drawn)
    step = step_of(case, loaded)
    view = step.views["main"]
    agree("encoder", view.student.tokens, case["latent.encoder"])
    predictions = head(view, view.mask.where("masked"))  # type: ignore[operator]
    for i, prediction in enumerate(predictions):
        agree(f"prediction {i}", prediction, case[f"output.pred{i}"][view.mask.targets])
    latent, order = model.objectives["latent"], case["mask.keep_nodes"].argsort()
    where = view.mask.where("visible")
    agree("target", latent.target(step, "main", where), case["latent.target"][order])  # type: ignore[operator, union-attr]
    agree("predictor", latent.head(view, where), case["latent.predictor"][order])  # type: ignore[operator, union-attr]
    loss = model.score(step)["loss"]
    agree("loss", loss, case["output.loss"])
    gradients_agree(case, loaded, loss)
    assert model.teacher is not None
    model.teacher.update(model.encoder, Context())
    key = "encoder_ema.gat_layers.0.fc.weight"
    updated = model.teacher.encoder.layers[0].weight  # type: ignore[index, union-attr]
    agree("teacher after its update", updated, case[f"latent.ema_after_update.{key}"])


def test_a_loaded_network_embeds_graphs(tmp_path: Path) -> None:
    """All nodes, nothing hidden, the same whether the graph comes alone or beside another."""
    case = golden(cases("graph_mae")[0])
    loaded = load_saved(case.group("weights."), tmp_path / "checkpoint.pt", settings=settings_of(case))
    one = tokens_of(case)
    both = one.repeat(2)
    alone, pair = loaded.model.encoder(Seen(one)).tokens, loaded.model.encoder(Seen(both)).tokens
    assert alone.shape == (len(one.values), case.meta["constructor"]["num_hidden"])
    torch.testing.assert_close(pair, alone.repeat(2, 1))

"""GraphMAE and GraphMAE2 as recorded, read through ``maskedmod.load`` with the arguments of the authors' constructor."""

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
from maskedmod.errors import UserError
from maskedmod.layers.graphs import parts
from maskedmod.masks.nodes import NodeMask, node_mask
from maskedmod.sequences.packing import positions
from maskedmod.zoo.layouts.graph import graph_mae as layout_of
from maskedmod.zoo.mapping import convert
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden, gradients_agree, load_saved

MOLECULES = "chem"
"""Cases of GraphMAE on molecules, another network: test_graph_mae_molecules.py."""
CASES = [name for name in cases("graph_mae") if not name.endswith(MOLECULES)]


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


def read(case: Golden, folder: Path, **more: Any) -> Loaded:
    loaded = load_saved(case.group("weights."), folder / "checkpoint.pt", settings={**case.meta["constructor"], **more})
    assert loaded.layout == "graph_mae"
    return loaded


def step_of(case: Golden, loaded: Loaded, batch: dict[str, Any] | None = None) -> Step:
    ctx = Context(training=loaded.model.training)
    view = loaded.model.view(tokens_of(case), ctx, mask=mask_of(case))
    return Step(loaded.model.modality, batch or {}, ctx, {"main": view})


def drop(monkeypatch: pytest.MonkeyPatch, *kept: Tensor) -> None:
    """Draws of edges, one after another."""
    draws = list(kept)
    monkeypatch.setattr(parts, "drawn_edges", lambda count, rate, device: draws.pop(0).clone())


@pytest.mark.parametrize("name", CASES)
def test_graph_mae(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = golden(name)
    for only_visible in (False, True):
        loaded = read(case, tmp_path)
        encoder, head = loaded.model.encoder, loaded.model.objectives["main"].head
        if only_visible:
            if not hasattr(encoder, "only_visible") or head.remask != "zero" or head.joined > 1:  # type: ignore[union-attr]
                return
            encoder.only_visible = True  # type: ignore[assignment]
        elif "output.embedding" in case:
            agree("embedding", encoder(Seen(tokens_of(case))).tokens, case["output.embedding"])
        if case.meta["constructor"]["drop_edge_rate"]:  # the authors' loss drops them in eval mode as well; no other rate is on
            drop(monkeypatch, case["mask.edge_kept"].bool())
            loaded.model.train()
        check(case, loaded, step_of(case, loaded), "")


@pytest.mark.parametrize("name", CASES)
def test_graph_mae_in_training(name: str, tmp_path: Path) -> None:
    """With the statistics of the batch, which the step adds to the running ones; recorded where there are any."""
    case = golden(name)
    assert ("train.output.loss" in case) == (case.meta["constructor"]["norm"] == "batchnorm")
    if "train.output.loss" not in case:
        return
    loaded = read(case, tmp_path)
    loaded.model.train()
    check(case, loaded, step_of(case, loaded), "train.")
    own = dict(loaded.model.named_buffers())
    recorded = case.group("train.buffer.")
    found = convert(recorded, layout_of.rules(case.group("weights."), loaded.report.settings))
    assert len(found.state) == len(recorded) and not found.unexpected
    for key, tensor in found.state.items():
        agree(key, own[key].double(), tensor.double(), GRADIENT)


def check(case: Golden, loaded: Loaded, step: Step, at: str) -> None:
    view, head = step.views["main"], loaded.model.objectives["main"].head
    if not at:
        visible = slice(None) if view.student.index is not None else view.mask.keep
        agree("encoder", view.student.tokens[visible], case["latent.encoder"][view.mask.keep])
        agree("decoder's input", head._inputs(view)[0], case["latent.decoder_input"])  # type: ignore[operator, union-attr]
    apart = copy.deepcopy(head)  # its statistics are not to count this prediction
    if case.meta["constructor"]["decoder_type"] == "mlp":
        apart.eval(), head.eval()  # type: ignore[operator, union-attr]
    prediction = apart(view, view.mask.where("masked"))  # type: ignore[operator]
    agree("prediction of hidden nodes", prediction, case[f"{at}output.pred"][view.mask.targets])
    loss = loaded.model.score(step)["loss"]
    agree("loss", loss, case[f"{at}output.loss"])
    all_gradients(case, loaded, loss, at)


def all_gradients(case: Golden, loaded: Loaded, loss: Tensor, at: str = "") -> None:
    """Those that are zero but for rounding apart."""
    zero = case.meta.get("gradients_zero_up_to_rounding", [])
    assert all(case[key].abs().max() < 1e-6 for key in zero)
    recorded = {f"grad.{key}": x for key, x in case.group(f"{at}grad.").items() if f"grad.{key}" not in zero}
    weights = {f"weights.{key}": x for key, x in case.group("weights.").items()}
    gradients_agree(Golden(case.name, {**weights, **recorded}, case.meta), loaded, loss)


def kept_of(case: Golden, name: str) -> Tensor:
    """bool ``[E]``: edges of the whole graph that a recorded list has; self-loops stay."""
    nodes = len(case["input.x"])
    source, target = case["input.edge_index"]
    listed = case[f"input.edge_index_{name}"]
    assert listed.shape[1] == len(set((listed[0] * nodes + listed[1]).tolist())), "an edge counts twice"
    return torch.isin(source * nodes + target, listed[0] * nodes + listed[1])


@pytest.mark.parametrize("name", cases("graph_mae2"))
def test_graph_mae2(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = golden(name)
    batch, more = {}, {}
    called = case.meta.get("forward", {})
    if called.get("targets"):
        seeds = torch.zeros(len(case["input.x"]), dtype=torch.bool)
        batch, more = {"seeds": seeds.index_fill(0, case["input.targets"], True)}, {"latent_at": "seeds"}
    if called.get("drop_graphs"):
        more |= {"drop_edge_rate": 0.5}
        drop(monkeypatch, kept_of(case, "teacher"), kept_of(case, "student"))
    loaded = read(case, tmp_path, **more)
    model, head = loaded.model, loaded.model.objectives["main"].head
    model.train(bool(called.get("drop_graphs")))
    redrawn(case, head, monkeypatch)
    step = step_of(case, loaded, batch)
    view = step.views["main"]
    agree("encoder", view.student.tokens, case["latent.encoder"])
    predictions = head(view, view.mask.where("masked"))  # type: ignore[operator]
    for i, prediction in enumerate(predictions if predictions.ndim == 3 else [predictions]):
        agree(f"prediction {i}", prediction, case[f"output.pred{i}"][view.mask.targets])
    assert f"output.pred{i + 1}" not in case
    latent = model.objectives["latent"]
    where = latent.where(step, "main")  # type: ignore[operator, union-attr]
    order = case["input.targets" if called.get("targets") else "mask.keep_nodes"].argsort()
    agree("target", latent.target(step, "main", where), case["latent.target"][order])  # type: ignore[operator, union-attr]
    agree("predictor", latent.head(view, where), case["latent.predictor"][order])  # type: ignore[operator, union-attr]
    losses = model.score(step)
    if "output.loss_latent" in case:
        agree("latent loss", losses["latent"], case["output.loss_latent"])
    agree("loss", losses["loss"], case["output.loss"])
    all_gradients(case, loaded, losses["loss"])
    follows(case, loaded)


def redrawn(case: Golden, head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded re-masks, one after another, again and again."""
    drawn = [x for _, x in sorted(case.group("mask.remask_perm").items())]

    def next_drawn(x: Tensor) -> Tensor:
        count = int(case.meta["constructor"]["remask_rate"] * len(x))
        drawn.append(drawn.pop(0))
        return torch.zeros(len(x), dtype=torch.bool).index_fill_(0, drawn[-1][:count], True)

    monkeypatch.setattr(head, "_drawn", next_drawn)


def follows(case: Golden, loaded: Loaded) -> None:
    """One update of the teacher; the recorded one is that of the momentum."""
    teacher = loaded.model.teacher
    assert teacher is not None
    teacher.update(loaded.model.encoder, Context())
    recorded = case.group("latent.ema_after_update.")
    found = convert(recorded, layout_of.rules(case.group("weights."), loaded.report.settings))
    assert found.state and not found.unexpected
    for key, tensor in found.state.items():
        agree(f"{key} after an update", loaded.model.state_dict()[key], tensor)


def test_a_loaded_network_embeds_graphs(tmp_path: Path) -> None:
    """All nodes, nothing hidden, the same whether the graph comes alone or beside another."""
    case = golden(CASES[0])
    loaded = read(case, tmp_path)
    one = tokens_of(case)
    both = one.repeat(2)
    alone, pair = loaded.model.encoder(Seen(one)).tokens, loaded.model.encoder(Seen(both)).tokens
    assert alone.shape == (len(one.values), case.meta["constructor"]["num_hidden"])
    torch.testing.assert_close(pair, alone.repeat(2, 1))


@pytest.mark.parametrize("name", [*CASES, *cases("graph_mae2")])
def test_an_argument_that_contradicts_the_tensors_is_refused_by_name(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    wrong: dict[str, Any] = {
        "in_dim": made["in_dim"] + 1,
        "num_hidden": made["num_hidden"] * 2,
        "num_layers": made["num_layers"] + 1,
        "encoder_type": "gin" if made["encoder_type"] != "gin" else "gcn",
        "decoder_type": "linear",
        "norm": "batchnorm" if made["norm"] != "batchnorm" else "layernorm",
        "activation": "swish",
        "loss_fn": "byol",
        "concat_hidden": not made.get("concat_hidden", False),
    }
    for argument, value in wrong.items():
        with pytest.raises(UserError, match=argument):
            read(case, tmp_path, **{argument: value})

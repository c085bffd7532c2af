"""GraphMAE on molecules as recorded, read through ``maskedmod.load``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskedmod.api.loaded import Loaded
from maskedmod.core.context import Context
from maskedmod.core.masking import packed_from_masked
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.errors import UserError
from maskedmod.sequences.packing import positions
from maskedmod.zoo.layouts.graph import graph_mae_molecules as layout_of
from maskedmod.zoo.mapping import convert
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden, gradients_agree, load_saved

CASES = [name for name in cases("graph_mae") if name.endswith("chem")]


def step_of(case: Golden, loaded: Loaded) -> Step:
    """The model's own step with the recorded atoms."""
    sizes = torch.tensor([0, *case.meta["constructor"]["molecule_sizes"]], dtype=torch.int32)
    layout = Layout(cu_seqlens=sizes.cumsum(0, dtype=torch.int32), max_seqlen=int(sizes.max()))
    nodes = case["input.x_original"]
    tokens = Tokens(
        nodes, positions(layout, len(nodes)), layout, relation=Relation(case["input.edge_index"], case["input.edge_attr"])
    )
    masked = torch.zeros(tokens.shape, dtype=torch.bool).index_fill(0, case["mask.masked_atom_indices"], True)
    mask = packed_from_masked(masked)
    ctx = Context(training=loaded.model.training)
    return Step(loaded.model.modality, {}, ctx, {"main": loaded.model.view(tokens, ctx, mask=mask)})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_graph_mae_on_molecules(name: str, mode: str, tmp_path: Path) -> None:
    case = golden(name)
    settings = {key: value for key, value in case.meta["constructor"].items() if key in layout_of.SETTINGS}
    loaded = load_saved(case.group("weights."), tmp_path / "checkpoint.pth", settings=settings)
    assert loaded.layout == "graph_mae_molecules"
    loaded.model.train(mode == "train")
    step, at = step_of(case, loaded), "train." if mode == "train" else ""
    view, head = step.views["main"], loaded.model.objectives["main"].head
    if mode == "eval":
        agree("nodes", view.student.tokens, case["latent.node_rep"])
        everywhere = view.mask.where("all")
        agree("all predictions", head(view, everywhere), case["output.pred"])  # type: ignore[operator]
    found = head(view, view.mask.where("masked"))  # type: ignore[operator]
    agree("prediction", found, case[f"{at}output.pred"][view.mask.targets])
    loss = loaded.model.score(step)["loss"]
    agree("loss", loss, case[f"{at}output.loss"])
    gradients = {key.removeprefix(at): x for key, x in case.tensors.items() if key.startswith((f"{at}grad.", "weights."))}
    gradients_agree(Golden(name, gradients, case.meta), loaded, loss)
    if mode == "train":
        buffers = convert(case.group("train.buffer."), layout_of.rules(case.group("weights."), loaded.report.settings))
        assert len(buffers.state) == 3 * case.meta["constructor"]["num_layer"] and not buffers.unexpected
        for key, tensor in buffers.state.items():
            agree(key, loaded.model.state_dict()[key].double(), tensor.double(), GRADIENT)


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_read_is_refused_by_name(name: str, tmp_path: Path) -> None:
    case = golden(name)
    for argument, value in {"mask_edge": True, "decoder": "gcn", "loss_fn": "mse"}.items():
        with pytest.raises(UserError, match=argument):
            load_saved(case.group("weights."), tmp_path / "checkpoint.pth", settings={argument: value})

"""AttrMasking of pretrain-gnns as recorded, its GIN, GCN, GAT and GraphSAGE, read through ``maskedmod.load``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import packed_from_masked
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.errors import UserError
from maskedmod.layers.graphs.bonds import bonds_of, hide_bonds
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.sequences.packing import positions
from maskedmod.zoo.layouts.graph import pretrain_gnns
from maskedmod.zoo.mapping import convert
from tests.conftest import parity_case
from tests.parity.bounds import agree_in_training, own_difference
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden, load_saved

SYSTEM = "attr_masking"
BUFFERS = "train.buffer.model.batch_norms."


def settings_of(case: Golden) -> dict[str, Any]:
    """What no tensor tells, as the recording's constructor has it."""
    made = case.meta["constructor"]
    given = {"gnn_type": made["gnn_type"], "jump": made["JK"], "dropout": made["drop_ratio"], "ratio": made["mask_rate"]}
    return {**given, "bonds": made["mask_edge"]}


def tokens_of(case: Golden) -> Tokens:
    """The molecules as they were before masking."""
    sizes = torch.tensor([0, *case.meta["constructor"]["molecule_sizes"]], dtype=torch.int32)
    layout = Layout(cu_seqlens=sizes.cumsum(0, dtype=torch.int32), max_seqlen=int(sizes.max()))
    nodes = case["input.x_original"]
    relation = Relation(case["input.edge_index"], case["input.edge_attr_original"])
    return Tokens(nodes, positions(layout, len(nodes)), layout, relation=relation)


def step_of(case: Golden, loaded: Loaded) -> Step:
    """The model's own step with the recorded mask."""
    tokens = tokens_of(case)
    masked = torch.zeros(tokens.shape, dtype=torch.bool).index_fill(0, case["mask.masked_atom_indices"], True)
    mask: MaskSet = packed_from_masked(masked)
    if case.meta["constructor"]["mask_edge"]:
        mask = hide_bonds(mask, tokens, 5)
    assert torch.equal(mask.targets.sort().values, case["mask.masked_atom_indices"].sort().values)
    relation = mask.rewrite(tokens).relation
    assert relation is not None and relation.attr is not None and torch.equal(relation.attr, case["input.edge_attr"])
    ctx = Context(training=False)
    return Step(loaded.model.modality, {}, ctx, {"main": loaded.model.view(tokens, ctx, mask=mask)})


def in_their_order(case: Golden, atoms: Tensor, bonds: Tensor | None = None) -> dict[str, Tensor]:
    """Rows of our predictions, which stand in the order of atoms and of edges, as they were recorded."""
    tokens, chosen = tokens_of(case), case["mask.masked_atom_indices"]
    of_atoms = {"pred": atoms[chosen.argsort().argsort()]}
    if bonds is None:
        return of_atoms
    ours = bonds_of(chosen, tokens)
    edges = case["input.edge_index"]
    place = {tuple(sorted(edges[:, edge].tolist())): i for i, edge in enumerate(ours.tolist())}
    theirs = [place[tuple(sorted(edges[:, edge].tolist()))] for edge in case["mask.connected_edge_indices"].tolist()]
    return {**of_atoms, "pred_bonds": bonds[theirs]}


def predictions(loaded: Loaded, step: Step) -> dict[str, Tensor]:
    view = step.views["main"]
    where = view.mask.where("masked")
    return {name: of.head(view, where) for name, of in loaded.model.objectives.items()}  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("name", cases(SYSTEM))
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_attr_masking(name: str, mode: str, tmp_path: Path) -> None:
    case = golden(name)
    loaded = load_saved(case.group("weights."), tmp_path / "masking.pth", settings=settings_of(case))
    assert loaded.layout == "pretrain_gnns"
    loaded.model.train(mode == "train")
    step = step_of(case, loaded)
    at = "train." if mode == "train" else ""
    if mode == "eval":
        agree("nodes", step.views["main"].student.tokens, case["latent.node_rep"])
        if "latent.layer0" in case:
            layer = loaded.model.encoder.layers[0]
            norms: list[Tensor] = []
            layer.norm.register_forward_hook(lambda norm, given, out: norms.append(out))
            step_of(case, loaded)
            agree("first norm", norms[0], case["latent.layer0"])
    predicted = predictions(loaded, step)
    found = in_their_order(case, predicted["main"], predicted.get("bonds"))
    assert found.keys() == case.group(f"{at}output.").keys() - {"loss"}
    for what, prediction in found.items():
        agree(what, prediction, case[f"{at}output.{what}"])
    loss = loaded.model.score(step)["loss"]
    agree("loss", loss, case[f"{at}output.loss"])
    loss.backward()
    gradients = convert(case.group(f"{at}grad."), pretrain_gnns.rules(case.group("weights."), loaded.report.settings)).state
    assert len(gradients) >= len(case.group(f"{at}grad."))
    for key, reference in gradients.items():
        found_here = loaded.model.get_parameter(key).grad
        assert found_here is not None, f"{key} got no gradient"
        what = f"gradient of {key}"
        if mode == "train":
            agree_in_training(what, found_here, reference, own_difference(case))
        else:
            agree(what, found_here, reference, GRADIENT)
    if mode == "train":
        buffers_agree(case, loaded)


def buffers_agree(case: Golden, loaded: Loaded) -> None:
    """Running statistics after the step; the steps were counted."""
    own: dict[str, Any] = dict(loaded.model.encoder.named_buffers())
    recorded = case.group(BUFFERS)
    assert len(recorded) == 3 * case.meta["constructor"]["num_layer"]
    for key, tensor in recorded.items():
        number, _, kind = key.partition(".")
        agree(key, own[f"layers.{number}.norm.{kind}"].double(), tensor.double(), GRADIENT)


def test_the_encoder_alone(tmp_path: Path) -> None:
    """As the authors save it: no prefix, no head; and inside a fine-tuned classifier."""
    case = golden(cases(SYSTEM)[0])
    whole = case.group("weights.")
    bare = {key.removeprefix("model."): x for key, x in whole.items() if key.startswith("model.")}
    tuned = {f"gnn.{key}": x for key, x in bare.items()} | {"graph_pred_linear.weight": torch.zeros(1, 32)}
    want = None
    for number, weights in enumerate((whole, bare, tuned)):
        torch.save(weights, tmp_path / f"{number}.pth")
        loaded = maskedmod.load(tmp_path / f"{number}.pth")
        assert bool(loaded.report.untrained) == (number > 0) and bool(loaded.report.unneeded) == (number == 2)
        rows = loaded.embed(["CCO", "c1ccccc1", "C"])
        want = rows if want is None else want
        assert rows.shape == (3, 32) and torch.equal(torch.as_tensor(rows), torch.as_tensor(want))


def test_the_published_size() -> None:
    """Tables of 120 and 3 atoms, five layers of an MLP 300, 600, 300, tables of 6 and 3 bonds and BatchNorm, and the head."""
    parity_case("parameter count attr_masking")
    layer = 300 * 600 + 600 + 600 * 300 + 300 + (6 + 3) * 300 + 2 * 300
    with torch.device("meta"):
        model = build_model(resolve(["recipe=attr_masking", "data=smiles", "data.path=zinc.smi"]))
    assert sum(p.numel() for p in model.parameters()) == (120 + 3) * 300 + 5 * layer + 301 * 119


def test_what_no_tensor_tells(tmp_path: Path) -> None:
    """A GCN's tensors are a GraphSAGE's; options that the released code cannot compute are refused by name."""
    for name in cases(SYSTEM):
        case = golden(name)
        kind = case.meta["constructor"]["gnn_type"]
        torch.save(case.group("weights."), tmp_path / "saved.pth")
        if kind in ("gcn", "graphsage"):
            with pytest.raises(UserError, match="gcn or graphsage: give settings"):
                maskedmod.load(tmp_path / "saved.pth")
        else:
            with pytest.raises(UserError, match=f"gnn_type=gcn: the tensors of this file are those of {kind}"):
                maskedmod.load(tmp_path / "saved.pth", settings={"gnn_type": "gcn"})
        with pytest.raises(UserError, match="JK"):
            maskedmod.load(tmp_path / "saved.pth", settings={"jump": "sum", "gnn_type": kind})
    pooled = {f"gnn.{key.removeprefix('model.')}": x for key, x in case.group("weights.model.").items()}
    torch.save({**pooled, "pool.gate_nn.weight": torch.zeros(1, 4)}, tmp_path / "tuned.pth")
    with pytest.raises(UserError, match="graph_pooling=attention"):
        maskedmod.load(tmp_path / "tuned.pth", settings={"gnn_type": kind})

"""MGAE (the code of S2GAE) as recorded: the recipe with the recorded sizes and weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskedmod.core.context import Context
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.layers.graphs.edges import pairs_of
from maskedmod.masks.edges import given_pairs
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.sequences.packing import positions
from maskedmod.zoo.mapping import HEAD, Rule, convert
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden

RULES = [
    Rule(r"encoder\.convs\.(\d+)\.lin\.weight", r"encoder.layers.\1.weight"),
    Rule(r"encoder\.convs\.(\d+)\.bias", r"encoder.layers.\1.bias"),
    Rule(r"encoder\.convs\.(\d+)\.lin_l\.(weight|bias)", r"encoder.layers.\1.neighbours.\2"),
    Rule(r"encoder\.convs\.(\d+)\.lin_r\.weight", r"encoder.layers.\1.own.weight"),
]


def build(case: Golden) -> tuple[MaskedModel, list[Rule]]:
    """The recipe of the recorded sizes, and where the recorded weights go."""
    made = case.meta["constructor"]
    encoder, depth, square = made["encoder"].lower(), made["decode_layers"], made["de_v"] == "v2"
    words = [
        "recipe=mgae", "data=planetoid", "data.path=Cora", f"modality.features={made['in_channels']}",
        f"mask.ratio={made['mask_ratio']}",
        f"encoder={encoder}", f"encoder.width={made['hidden_channels']}", f"encoder.depth={made['num_layers']}",
        "encoder.sees=full", "encoder.activation=relu", "encoder.dropout=0.5", "encoder.dropout_of=outputs",
        f"head.layers={made['num_layers']}", f"head.hidden={made['decode_channels']}", f"head.depth={2 if square else depth}",
        f"head.square={str(square).lower()}",
    ]  # fmt: skip
    model = build_model(resolve(words))
    maps = [Rule(rf"predictor\.lins\.{i}\.(weight|bias)", rf"{HEAD}.mlp.{3 * i}.\1") for i in range(3 if square else depth)]
    rules = [*RULES, *maps]
    found = convert(case.group("weights."), rules)
    assert not found.unexpected
    model.load_state_dict(found.state)
    return model, rules


def tokens_of(case: Golden) -> Tokens:
    """The whole graph, both directions and an edge from every node to itself, as the recipe's modality reads it."""
    x, ends = case["input.x"], case["input.edges"].t()
    own = torch.arange(len(x)).expand(2, -1)
    layout = Layout(cu_seqlens=torch.tensor([0, len(x)], dtype=torch.int32), max_seqlen=len(x))
    return Tokens(x, positions(layout, len(x)), layout, relation=Relation(torch.cat([ends, ends.flip(0), own], dim=1)))


@pytest.mark.parametrize("name", cases("mgae"))
def test_mgae(name: str) -> None:
    case = golden(name)
    model, rules = build(case)
    model.eval()
    tokens = tokens_of(case)
    assert tokens.relation is not None
    pairs = pairs_of(tokens.relation, len(tokens.values))
    masked = case["mask.masked_edges"]
    count = int(case.meta["constructor"]["mask_ratio"] * len(pairs))
    assert torch.equal(case["input.edges"][case["mask.index"][-count:]].t(), masked), "other edges are masked"
    n = len(tokens.values)
    low, high = masked.amin(0), masked.amax(0)
    hidden = torch.isin(pairs.ends[0] * n + pairs.ends[1], low * n + high)
    mask = given_pairs(tokens, pairs, hidden, masked, case["mask.neg_edges"])
    left = mask.rewrite(tokens).relation
    assert left is not None and left.kept is not None
    remaining = case["mask.remaining_edges"]
    assert set(map(tuple, left.edge_index[:, left.kept].t().tolist())) == set(map(tuple, remaining.t().tolist()))
    ctx = Context(training=False)
    view = model.view(tokens, ctx, mask=mask)
    for tap, found in view.student.taps.items():
        number = int(tap.removeprefix("block.")) + case.meta["constructor"]["num_layers"]
        agree(tap, found, case[f"latent.layer{number}"])
    chance: Any = model.objectives["main"].head(view, mask.where("masked")).sigmoid()  # type: ignore[operator, union-attr]
    agree("masked edges", chance[: masked.shape[1]], case["output.pred"])
    agree("other pairs", chance[masked.shape[1] :], case["output.pred_neg"])
    loss = model.score(Step(model.modality, {}, ctx, {"main": view}))["loss"]
    agree("loss", loss, case["output.loss"])
    loss.backward()  # type: ignore[no-untyped-call]
    own = dict(model.named_parameters())
    gradients = convert(case.group("grad."), rules)
    assert len(gradients.state) == len(own) and not gradients.unexpected
    for key, recorded in gradients.state.items():
        found = own[key].grad
        assert found is not None
        agree(f"gradient of {key}", found, recorded, GRADIENT)

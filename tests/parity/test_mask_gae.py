"""MaskGAE as recorded: the preset of its recipe with the recorded sizes and weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskedmod.core.context import Context
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.layers.graphs.edges import pairs_of
from maskedmod.layers.graphs.hidden_edges import EdgeMask
from maskedmod.masks.edges import one_way
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.sequences.packing import positions
from maskedmod.zoo.mapping import HEAD, STATISTICS, Rule, convert
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden

RULES = [
    Rule(r"encoder\.convs\.(\d+)\.lin\.weight", r"encoder.layers.\1.weight"),
    Rule(r"encoder\.convs\.(\d+)\.bias", r"encoder.layers.\1.bias"),
    Rule(rf"encoder\.bns\.(\d+)\.{STATISTICS}", r"encoder.layers.\1.norm.\2"),
    Rule(r"edge_decoder\.mlps\.0\.(weight|bias)", rf"{HEAD}.mlp.0.\1"),
    Rule(r"edge_decoder\.mlps\.1\.(weight|bias)", rf"{HEAD}.mlp.3.\1"),
    Rule(r"degree_decoder\.mlps\.0\.(weight|bias)", r"objectives.degrees.head.layers.0.\1"),
    Rule(r"degree_decoder\.mlps\.1\.(weight|bias)", r"objectives.degrees.head.layers.2.\1"),
]
ATTENTION = [
    Rule(r"encoder\.convs\.(\d+)\.lin\.weight", r"encoder.layers.\1.weight"),
    Rule(r"encoder\.convs\.(\d+)\.att_src", r"encoder.layers.\1.source"),
    Rule(r"encoder\.convs\.(\d+)\.att_dst", r"encoder.layers.\1.target"),
]
HEADS = 4
"""Heads of all attention layers but the last, a number in the authors' code; each is as wide as a layer is to be."""


def network(made: dict[str, Any]) -> list[str]:
    """The encoder and the loss of edges."""
    width = made["hidden_channels"] * (HEADS if made["layer"] == "gat" else 1)
    words = [f"encoder={made['layer']}", "encoder.sees=full", f"encoder.width={width}"]
    if made["layer"] == "gat":
        words += [f"encoder.heads={HEADS}", "encoder.out_heads=1", "encoder.attention_dropout=0"]
    return words + ([] if made["loss"] == "ce" else ["loss=pair_rank", f"loss.kind={made['loss']}"])


def build(case: Golden) -> MaskedModel:
    made = case.meta["constructor"]
    assert made["decoder_layers"] == 2
    model = build_model(
        resolve([
            "recipe=mgae", "preset=mask_gae", "data=planetoid", "data.path=Cora", f"modality.features={made['in_channels']}",
            *network(made), f"encoder.depth={made['encoder_layers']}",
            f"encoder.out={made['out_channels']}", f"encoder.activation={made['activation']}",
            f"encoder.norm={'batch' if made['bn'] else 'none'}", f"head.hidden={made['decoder_channels']}",
            f"objectives.degrees.head.hidden={made['decoder_channels']}", f"objectives.degrees.weight={made['alpha']}",
            "encoder.dropout=0", "head.dropout=0", "objectives.degrees.head.dropout=0",
        ])
    )  # fmt: skip
    found = convert(case.group("weights."), [*ATTENTION, *RULES])
    assert not found.unexpected
    model.load_state_dict(found.state)
    return model


def masked(case: Golden) -> tuple[Tokens, EdgeMask]:
    """The graph with an edge from every node to itself, which the authors' layers add, and the recorded edges hidden."""
    x, edges, hidden = case["input.x"], case["input.edge_index"], case["mask.masked_edges"]
    n = len(x)
    layout = Layout(cu_seqlens=torch.tensor([0, n], dtype=torch.int32), max_seqlen=n)
    whole = torch.cat([edges, torch.arange(n).expand(2, -1)], dim=1)
    tokens = Tokens(x, positions(layout, n), layout, relation=Relation(whole))
    taken = torch.isin(whole[0] * n + whole[1], hidden[0] * n + hidden[1])
    assert tokens.relation is not None and int(taken.sum()) == hidden.shape[1]
    mask = one_way(tokens, pairs_of(tokens.relation, n), taken, 1, Context())
    assert mask.kept is not None
    remaining, left = case["mask.remaining_edges"], whole[:, mask.kept]
    assert set(map(tuple, left[:, left[0] != left[1]].t().tolist())) == set(map(tuple, remaining.t().tolist()))
    both = torch.cat([hidden, case["mask.neg_edges"]], dim=1)  # in their order
    mask.pairs, mask.joined = both, torch.arange(both.shape[1]) < hidden.shape[1]
    return tokens, mask


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", cases("mask_gae"))
def test_mask_gae(name: str, mode: str) -> None:
    case = golden(name)
    model, at = build(case).train(mode == "train"), "train." if mode == "train" else ""
    tokens, mask = masked(case)
    ctx = Context(training=mode == "train")
    view = model.view(tokens, ctx, mask=mask)
    step = Step(model.modality, {}, ctx, {"main": view})
    if mode == "eval":
        agree("encoder", view.student.tokens, case["latent.encoder"])
    scores = model.objectives["main"].head(view, mask.where("masked"))  # type: ignore[operator, union-attr]
    agree("masked edges", scores[mask.joined], case[f"{at}output.pred"])
    agree("other pairs", scores[~mask.joined], case[f"{at}output.pred_neg"])  # type: ignore[operator]
    degrees, everywhere = model.objectives["degrees"], mask.where("all")
    assert torch.equal(degrees.target(step, "main", everywhere)[:, 0], case["target.degree"].float())  # type: ignore[operator, union-attr]
    agree("degrees", degrees.head(view, everywhere)[:, 0], case[f"{at}output.pred_degree"])  # type: ignore[operator, union-attr]
    losses = model.score(step)
    agree("loss of edges", losses["main"], case[f"{at}output.loss_edge"])
    agree("loss", losses["loss"], case[f"{at}output.loss"])
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    own, gradients = dict(model.named_parameters()), convert(case.group(f"{at}grad."), [*ATTENTION, *RULES])
    assert gradients.state and not gradients.unexpected and (mode == "train" or len(gradients.state) == len(own))
    zero = 1e-6 * max(1.0, *(float(x.abs().max()) for x in gradients.state.values()))
    for key, recorded in gradients.state.items():
        found = own[key].grad
        assert found is not None
        if recorded.abs().max() < zero:  # a bias before batch norm in training, or of scores that are subtracted
            assert found.abs().max() < zero and key.endswith("bias")
        else:
            agree(f"gradient of {key}", found, recorded, GRADIENT)
    if mode == "train":
        buffers = convert(case.group("train.buffer."), RULES)
        for key, recorded in buffers.state.items():
            agree(key, model.state_dict()[key].double(), recorded.double(), GRADIENT)

"""GMAE as recorded: the recipe's blocks with the recorded sizes and weights; ids of atoms and bonds as values that are 0 or 1."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.masking import packed_at_places
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.sequences.packing import positions
from maskedmod.zoo.mapping import HEAD, Rule, convert
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden

DEGREES = DISTANCES = 510
"""Largest degree and longest path that the authors' tables tell apart."""


def build(case: Golden) -> MaskedModel:
    made, classes = case.meta["constructor"], case["weights.out_proj.weight"].shape[0]
    sizes = [
        f"width={made['hidden_dim']}", f"heads={made['num_heads']}", f"mlp_ratio={made['ffn_dim'] / made['hidden_dim']}",
        f"most_degree={DEGREES}", f"most_distance={DISTANCES - 1}",
    ]  # fmt: skip
    words = [
        "recipe=gmae", "preset=zinc", "data=tu", "data.path=TU", "data.name=ZINC", f"modality.features={classes}",
        f"mask.ratio={made['mask_ratio']}", f"encoder.edge_values={bonds(case)}",
        f"encoder.most_hops={made['multi_hop_max_dist']}",
        f"encoder.depth={made['n_encoder_layers']}", f"head.depth={made['n_decoder_layers']}",
        *(f"{block}.{size}" for block in ("encoder", "head") for size in sizes),
    ]  # fmt: skip
    return build_model(resolve(words))


def bonds(case: Golden) -> int:
    """How many types of bonds: ids are type + 3 (what the collator adds and padding), of those read here type + 2."""
    return int(case["input.attn_edge_type"].max()) - 1


def rows_of(first: int, count: int, turn: bool = False) -> dict[str, object]:
    """Some rows of a table; ``turn``: as the columns of a linear map."""
    return {"change": (lambda x: x[first : first + count].t()) if turn else (lambda x: x[first : first + count])}


def rules(case: Golden) -> list[Rule]:
    made, classes = case.meta["constructor"], case["weights.out_proj.weight"].shape[0]
    heads, hops = made["num_heads"], made["multi_hop_max_dist"]
    out = [
        Rule(r"atom_encoder\.weight", "encoder.embed.weight", **rows_of(2, classes, turn=True)),  # type: ignore[arg-type]
        Rule(
            r"edge_encoder\.weight",
            "encoder.layers.along.embed.weight",
            **rows_of(3, bonds(case), turn=True),  # type: ignore[arg-type]
            also=(("encoder.layers.along.beyond", lambda x: x[0]),),
        ),
        Rule(r"edge_dis_encoder\.weight", "encoder.layers.along.places", lambda x: x.reshape(-1, heads, heads)[:hops]),
        Rule(r"spatial_pos_encoder\.weight", "encoder.layers.bias.weight", **rows_of(1, DISTANCES + 1)),  # type: ignore[arg-type]
        Rule(r"in_degree_encoder\.weight", "encoder.centrality.table.weight", **rows_of(1, DEGREES + 1)),  # type: ignore[arg-type]
        Rule(r"out_degree_encoder\.weight", "encoder.centrality.leaving.weight", **rows_of(1, DEGREES + 1)),  # type: ignore[arg-type]
        Rule(r"encoder_to_decoder\.(weight|bias)", rf"{HEAD}.embed.\1"),
        Rule(r"mask_token", f"{HEAD}.mask_token", lambda x: x.reshape(-1)),
        Rule(r"out_proj\.(weight|bias)", rf"{HEAD}.pred.\1"),
        Rule(r"graph_token.*", unneeded="no virtual node is in use"),
    ]
    names = {"ffn_norm": "norm2", "self_attention_norm": "norm1", "ffn.layer1": "mlp.fc1", "ffn.layer2": "mlp.fc2"}
    for theirs, ours in (("encoder", "encoder.layers"), ("decoder", f"{HEAD}.layers")):
        at = rf"{theirs}_layers\.(\d+)"
        out.append(Rule(rf"{theirs}_final_ln\.(weight|bias)", rf"{ours}.norm.\1"))
        for name, own in {**names, "self_attention.output_layer": "attn.proj"}.items():
            out.append(Rule(rf"{at}\.{name.replace('.', chr(92) + '.')}\.(weight|bias)", rf"{ours}.blocks.\1.{own}.\2"))
        for part, letter in enumerate("qkv"):
            name = rf"{at}\.self_attention\.linear_{letter}\.(weight|bias)"
            out.append(Rule(name, rf"{ours}.blocks.\1.attn.qkv.\2", part=part))
    return out


def tokens_of(case: Golden) -> Tokens:
    """The molecules packed; edges in both directions with their types."""
    ids, typed = case["input.x"][..., 0], case["input.attn_edge_type"][..., 0]
    real = ids > 0
    sizes = real.sum(1)
    cu = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]).to(torch.int32)
    layout = Layout(cu_seqlens=cu, max_seqlen=int(sizes.max()))
    assert int(sizes.max()) == ids.shape[1]
    values = F.one_hot(ids[real] - 2, case["weights.out_proj.weight"].shape[0]).float()
    graph, source, target = typed.nonzero().unbind(1)
    edges = torch.stack([source, target]) + cu[graph].long()
    attr = F.one_hot(typed[graph, source, target] - 2, bonds(case)).float()
    return Tokens(values, positions(layout, len(values)), layout, relation=Relation(edges, attr))


@pytest.mark.parametrize("name", cases("gmae"))
def test_gmae(name: str) -> None:
    case = golden(name)
    model = build(case).eval()
    found = convert(case.group("weights."), rules(case))
    assert not found.unexpected
    told = model.load_state_dict(found.state, strict=False)
    assert told.missing_keys == ["encoder.embed.bias"] and not told.unexpected_keys
    torch.nn.init.zeros_(model.encoder.embed.bias)  # type: ignore[union-attr, arg-type]
    tokens, ctx = tokens_of(case), Context(training=False)
    mask = packed_at_places(tokens, case["mask.mask"].bool())
    view = model.view(tokens, ctx, mask=mask)
    kept = case["output.graph_mask"].bool()
    cu = tokens.layout.cu_seqlens
    assert cu is not None
    real = (case["input.x"][..., 0] > 0)[kept]
    visible, hidden = real[:, ~case["mask.mask"].bool()], real[:, case["mask.mask"].bool()]
    agree("encoder", view.student.tokens, case["latent.encoder"][visible])
    where = mask.where("masked")
    prediction = model.objectives["main"].head(view, where)  # type: ignore[operator, union-attr]
    agree("prediction", prediction.log_softmax(-1), case["output.pred"][hidden])
    assert where.index is not None and torch.equal(tokens.values[where.index].argmax(1), case["target.labels"])
    loss = model.score(Step(model.modality, {}, ctx, {"main": view}))["loss"]
    agree("loss", loss, case["output.loss"])
    loss.backward()  # type: ignore[no-untyped-call]
    gradients_agree(case, model)


def gradients_agree(case: Golden, model: MaskedModel) -> None:
    """Every recorded one; the shape says that those of q, k and v were recorded all three."""
    own = dict(model.named_parameters())
    converted = convert(case.group("grad."), rules(case))
    assert len(converted.state) > len(own) // 2 and not converted.unexpected
    del converted.state["encoder.layers.along.beyond"]  # the row of padding, which has no gradient
    for key, recorded in converted.state.items():
        found = own[key].grad
        assert found is not None
        agree(f"gradient of {key}", found, recorded, GRADIENT)


def test_padding_of_no_use() -> None:
    """A sequence that keeps nothing visible is asked for nothing."""
    layout = Layout(cu_seqlens=torch.tensor([0, 4, 6], dtype=torch.int32), max_seqlen=4)
    rows = Tokens(torch.zeros(6, 1), torch.zeros(6, 1), layout)
    mask = packed_at_places(rows, torch.tensor([True, True, False, False]))
    assert mask.targets.tolist() == [0, 1] and mask.keep.tolist() == [2, 3] and not bool(Tensor.any(mask.role[4:] == 1))

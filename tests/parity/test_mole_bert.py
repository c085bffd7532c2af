"""Mole-BERT and its tokenizer against the tensors recorded from the released code."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.masking import packed_from_masked
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.layers.graphs.bonds import bonds_of, hide_bonds
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.sequences.packing import positions
from maskedmod.zoo.layouts.parts import linear_rules
from maskedmod.zoo.mapping import STATISTICS, Rule, convert
from tests.parity.bounds import agree_in_training, own_difference
from tests.parity.golden import GRADIENT, OUTPUT, Golden, agree, cases, golden

TOKENIZER = [name for name in cases("mole_bert") if "tokenizer" in name] or ["mole_bert/tokenizer"]
STUDENT = [name for name in cases("mole_bert") if "tokenizer" not in name]
UNUSED = "no part of the released forward pass reads it"


def tokens_of(case: Golden, atoms: str, bonds: str) -> Tokens:
    """The molecules as one packed batch."""
    sizes = case["input.batch"].bincount()
    ends = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)]).int()
    layout = Layout(cu_seqlens=ends, max_seqlen=int(sizes.max()))
    nodes = case[atoms]
    return Tokens(nodes, positions(layout, len(nodes)), layout, relation=Relation(case["input.edge_index"], case[bonds]))


def network_rules(at: str, to: str) -> list[Rule]:
    """The graph network of pretrain-gnns under other names."""
    return [
        *(Rule(rf"{at}\.x_embedding{n}\.weight", f"{to}.embed.tables.{n - 1}") for n in (1, 2)),
        Rule(rf"{at}\.gnns\.(\d+)\.mlp\.([02]\.(?:weight|bias))", rf"{to}.layers.\1.gin.mlp.\2"),
        Rule(rf"{at}\.gnns\.(\d+)\.(?:weight_)?linear\.(weight|bias)", rf"{to}.layers.\1.gin.linear.\2"),
        *(Rule(rf"{at}\.gnns\.(\d+)\.edge_embedding{n}\.weight", rf"{to}.layers.\1.gin.tables.{n - 1}") for n in (1, 2)),
        Rule(rf"{at}\.batch_norms\.(\d+)\.{STATISTICS}", rf"{to}.layers.\1.norm.\2"),
    ]


def decoder_rules(at: str, to: str) -> list[Rule]:
    return [
        Rule(rf"{at}\.activation\.weight", f"{to}.activation.weight"),
        Rule(rf"{at}\.enc_to_dec\.weight", f"{to}.embed.weight"),
        Rule(rf"{at}\.conv\.mlp\.(.*)", rf"{to}.layer.mlp.\1"),
        *(Rule(rf"{at}\.conv\.edge_embedding{n}\.weight", f"{to}.layer.tables.{n - 1}") for n in (1, 2)),
        Rule(rf"{at}\.dec_token", unneeded=UNUSED),
    ]


def head(objective: str) -> str:
    return f"objectives.{objective}.head"


TOKENIZER_RULES = [
    *network_rules("gnn", "encoder.gin"),
    Rule(r"vq\.embeddings\.weight", "encoder.book.vectors"),
    *decoder_rules("atoms", head("main")),
    *decoder_rules("chiral", head("chirality")),
    *linear_rules(r"bonds\.dec", f"{head('bonds')}.pred"),
    Rule(r"bonds\.(?:dec_token|enc_to_dec\.weight|activation\.weight)", unneeded=UNUSED),
]
STUDENT_RULES = [
    *network_rules(r"model\.gnn", "encoder"),
    *network_rules("tokenizer", "teacher.encoder.gin"),
    *linear_rules(r"model\.projection_head\.0", f"{head('contrast')}.layers.0"),
    *linear_rules(r"model\.projection_head\.2", f"{head('contrast')}.layers.2"),
    *linear_rules("atoms1", f"{head('main')}.pred"),
    *linear_rules("atoms2", f"{head('atoms_30')}.pred"),
    *linear_rules("bonds1", f"{head('bonds_15')}.pred"),
    *linear_rules("bonds2", f"{head('bonds_30')}.pred"),
]


def filled(model: MaskedModel, case: Golden, rules: list[Rule], never: tuple[str, ...] = ()) -> MaskedModel:
    """The recipe's model with the recorded weights: all of them used, all of ours filled."""
    found = convert(case.group("weights."), rules)
    assert not found.unexpected
    told = model.load_state_dict(found.state, strict=False)
    assert not told.unexpected_keys and all(key in never for key in told.missing_keys), told
    return model


def compared(case: Golden, model: MaskedModel, rules: list[Rule], mode: str) -> None:
    """Gradients, and in training the running statistics."""
    at = "train." if mode == "train" else ""
    gradients = convert(case.group(f"{at}grad."), rules)
    assert gradients.state and not gradients.unexpected
    for key, reference in gradients.state.items():
        found = model.get_parameter(key).grad
        assert found is not None, key
        own = own_difference(case) if mode == "train" else 0.0
        agree_in_training(f"gradient of {key}", found, reference, own, GRADIENT)
    if mode == "train":
        buffers = convert(case.group("train.buffer."), rules)
        assert buffers.state and not buffers.unexpected
        for key, reference in buffers.state.items():
            agree(key, model.get_buffer(key).double(), reference.double())


def in_order(case: Golden, tokens: Tokens, asked: Tensor, edges: Tensor) -> list[int]:
    """Rows of our bonds, each once, for the recorded edges."""
    pairs = case["input.edge_index"]
    place = {tuple(sorted(pairs[:, edge].tolist())): i for i, edge in enumerate(bonds_of(asked, tokens).tolist())}
    return [place[tuple(sorted(pairs[:, edge].tolist()))] for edge in edges.tolist()]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", TOKENIZER)
def test_tokenizer(name: str, mode: str) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    assert made["edge"] and made["JK"] == "last", "what the recipe has"
    words = [
        "recipe=mole_bert_tokenizer", "preset=released", "data=smiles", "data.path=none.smi",
        f"encoder.depth={made['num_layer']}", f"encoder.width={made['emb_dim']}", f"encoder.layer={made['gnn_type']}",
        f"encoder.codes={made['num_tokens']}",
        f"objectives.codebook.loss.commitment={made['commitment_cost']}",
    ]  # fmt: skip
    model = filled(build_model(resolve(words)), case, TOKENIZER_RULES).train(mode == "train")
    tokens, ctx, at = tokens_of(case, "input.x", "input.edge_attr"), Context(training=False), "train." if mode == "train" else ""
    step = Step(model.modality, {}, ctx, {"main": model.view(tokens, ctx)})
    view = step.views["main"]
    assert torch.equal(view.student.taps["codes"], case[f"{at}output.codes"])
    agree("quantised", view.student.tokens, case[f"{at}output.quantized"])
    if mode == "eval":
        agree("nodes", view.student.taps["vectors"], case["latent.node_rep"])
    every = view.mask.where("all")
    assert every.index is not None
    edges = torch.arange(case["input.edge_index"].shape[1])
    for objective, what in (("main", "pred"), ("chirality", "pred_chirality"), ("bonds", "pred_bonds")):
        found: Any = model.objectives[objective].head(view, every)  # type: ignore[operator, union-attr]
        if objective == "bonds":
            found = found[in_order(case, tokens, every.index, edges)]
        agree(what, found, case[f"{at}output.{what}"])
    losses = model.score(step)
    agree("codebook", losses["codebook"], case[f"{at}output.loss_vq"])
    agree("loss", losses["loss"], case[f"{at}output.loss"])
    losses["loss"].backward()
    compared(case, model, TOKENIZER_RULES, mode)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", STUDENT)
def test_mole_bert(name: str, mode: str) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    words = [
        "recipe=mole_bert", "preset=released", "data=smiles", "data.path=none.smi", f"encoder.depth={made['num_layer']}",
        f"encoder.width={made['emb_dim']}", f"encoder.layer={made['gnn_type']}", f"encoder.jump={made['JK']}",
        "teacher.checkpoint=random", f"target.vocab={made['num_tokens']}",
        f"objectives.atoms_30.target.vocab={made['num_tokens']}",
        f"mask.ratio=[{made['mask_rate1']},{made['mask_rate2']},0.0]", f"mask.bonds={'true' if made['mask_edge'] else 'false'}",
    ]  # fmt: skip
    model = filled(build_model(resolve(words)), case, STUDENT_RULES, ("teacher.encoder.book.vectors",)).train(mode == "train")
    tokens, ctx = tokens_of(case, "input.x_original", "input.edge_attr_original"), Context(training=False)
    atoms, bonds = len(tokens.values), len(case["input.edge_attr_original"])
    hidden = torch.zeros(3, atoms, dtype=torch.bool)
    for number in (0, 1):
        hidden[number, case[f"mask.view{number + 1}.masked_atom_indices"]] = True
    mask = hide_bonds(packed_from_masked(hidden.flatten(), 3), tokens.repeat(3), 5)
    relation = mask.rewrite(tokens.repeat(3)).relation
    assert relation is not None and relation.attr is not None
    for number in (0, 1):
        assert torch.equal(relation.attr.view(3, bonds, -1)[number], case[f"input.view{number + 1}.edge_attr"])
    step = Step(model.modality, {}, ctx, {"main": model.view(tokens, ctx, mask=mask)})
    view, at = step.views["main"], "train." if mode == "train" else ""
    if mode == "eval":
        agree("tokenizer", view.teacher.taps["vectors"], case["latent.tokenizer"])  # type: ignore[union-attr]
        for number in (0, 1):
            agree(f"nodes {number}", view.student.tokens.view(3, atoms, -1)[number], case[f"latent.node_rep{number + 1}"])
    for objective, number, what in (("main", 0, "pred"), ("atoms_30", 1, "pred_atoms2")):
        where = model.objectives[objective].where(step, "main")  # type: ignore[operator, union-attr]
        chosen = case[f"mask.view{number + 1}.masked_atom_indices"]
        order = chosen.argsort().argsort()
        if mode == "eval":
            target = model.objectives[objective].target(step, "main", where)  # type: ignore[operator, union-attr]
            assert torch.equal(target[order], case[f"target.labels{number + 1}"])
        found: Any = model.objectives[objective].head(view, where)  # type: ignore[operator, union-attr]
        agree(what, found[order], case[f"{at}output.{what}"])
    for objective, number in (("bonds_15", 0), ("bonds_30", 1)):
        where = model.objectives[objective].where(step, "main")  # type: ignore[operator, union-attr]
        chosen, edges = (case[f"mask.view{number + 1}.{key}"] for key in ("masked_atom_indices", "connected_edge_indices"))
        found = model.objectives[objective].head(view, where)  # type: ignore[operator, union-attr]
        agree(objective, found[in_order(case, tokens, chosen, edges)], case[f"{at}output.pred_bonds{number + 1}"])
    losses = model.score(step)
    contrast = case[f"{at}output.loss_contrast"] + 0.1 * case[f"{at}output.loss_triplet"]
    agree("contrast", losses["contrast"], contrast)
    agree("loss", losses["loss"], case[f"{at}output.loss"], OUTPUT)
    losses["loss"].backward()
    compared(case, model, STUDENT_RULES, mode)

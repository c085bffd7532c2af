"""Six shapes of masked modelling in miniature, each one step, with nothing of the core changed: if one of these needs a new
branch in model.py, the core is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.head import Head
from maskedmod.core.blocks.mask import Mask
from maskedmod.core.blocks.target import Target
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import MaskSet, Visibility, Where
from maskedmod.core.modality import Modality
from maskedmod.core.model import Blocks, MaskedModel, Objective
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step, View
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.encoders.transformer import Transformer
from maskedmod.heads.linear import Linear
from maskedmod.heads.mae_decoder import MaeDecoder
from maskedmod.losses.bce import Bce
from maskedmod.losses.cosine import Cosine
from maskedmod.losses.cross_entropy import CrossEntropy
from maskedmod.losses.regression import Regression
from maskedmod.masks.multi_block import MultiBlock
from maskedmod.masks.random import Random
from maskedmod.targets.feature import Feature
from maskedmod.targets.raw import Raw
from maskedmod.targets.token_ids import TokenIds
from maskedmod.teachers.ema import Ema

WIDTH = 16


class Toy(Modality):
    """Hands tokens through; each shape brings its own spec, views and embedding."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self._spec = spec

    @property
    def spec(self) -> Spec:
        return self._spec

    def read(self, record: Any) -> Any:
        return record.data

    def collate(self, samples: Sequence[Any]) -> dict[str, Any]:
        return {"views": samples[0]}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        return batch

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        return batch["views"]

    def embedding(self, width: int) -> nn.Module:
        spec = self._spec
        return nn.Embedding(spec.vocab, width) if spec.vocab else nn.Linear(spec.values, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        return values

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Any]:
        return []

    def demo(self, split: str) -> Sequence[Any]:
        return []


def grid_tokens(spec: Spec, batch: int = 3) -> Tokens:
    assert spec.grid is not None
    h, w = spec.grid
    pos = torch.stack(torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij"), -1).reshape(-1, 2)
    return Tokens(torch.randn(batch, h * w, spec.values), pos.expand(batch, -1, -1), Layout(grid=spec.grid))


def packed_ids(spec: Spec) -> Tokens:
    lengths = [5, 9, 3]
    assert spec.vocab is not None
    cu = torch.tensor([0, 5, 14, 17], dtype=torch.int32)
    pos = torch.cat([torch.arange(n) for n in lengths])[:, None]
    return Tokens(torch.randint(spec.vocab, (17,)), pos, Layout(cu_seqlens=cu, max_seqlen=9))


# --- 1: a graph network on packed nodes


class MeanOfNeighbours(Encoder):
    def __init__(self, spec: Spec, embedding: Any) -> None:
        super().__init__()
        self.width, self.sees = WIDTH, "mask_token"
        self.embed = embedding(WIDTH)
        self.mask_token = nn.Parameter(torch.randn(WIDTH))
        self.own, self.others = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        assert seen.hidden is not None and seen.tokens.relation is not None
        x = torch.where(seen.hidden[:, None], self.mask_token, self.embed(seen.tokens.values))
        source, sink = seen.tokens.relation.edge_index
        gathered = torch.zeros_like(x).index_add(0, sink, x[source])
        return Latent(torch.relu(self.own(x) + self.others(gathered)), seen.tokens.layout)


def graph_network() -> tuple[MaskedModel, dict[str, Tokens]]:
    spec = Spec(values=6, axes=1, width=WIDTH, target=6)
    toy = Toy(spec)
    edges = torch.tensor([[0, 1, 2, 3, 5, 6], [1, 0, 3, 2, 6, 5]])
    layout = Layout(cu_seqlens=torch.tensor([0, 5, 12], dtype=torch.int32), max_seqlen=7)
    tokens = Tokens(torch.randn(12, 6), torch.arange(12)[:, None], layout, relation=Relation(edges))
    objective = Objective(Raw(spec), Linear(spec), Cosine(spec, gamma=2.0))
    blocks = Blocks(toy, Random(spec, 0.5, masks_per_sample=2), MeanOfNeighbours(spec, toy.embedding), {"main": objective})
    return MaskedModel(blocks), {"main": tokens}


# --- 2: convolution that stays empty where the input is hidden


class SparseConvolution(Encoder):
    def __init__(self, spec: Spec, embedding: Any) -> None:
        super().__init__()
        self.width, self.sees = WIDTH, "mask_token"
        self.embed = embedding(WIDTH)
        self.convs = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        grid, hidden = seen.tokens.layout.grid, seen.hidden
        assert grid is not None and hidden is not None
        active = (~hidden).float().unflatten(1, grid)[:, None]
        x = self.embed(seen.tokens.values).transpose(1, 2).unflatten(2, grid) * active
        for conv in self.convs:
            x = torch.relu(conv(x)) * active
            assert not x[(active == 0).expand_as(x)].any()
        return Latent(x.flatten(2).transpose(1, 2), seen.tokens.layout)


def sparse_convolution() -> tuple[MaskedModel, dict[str, Tokens]]:
    spec = Spec(values=12, axes=2, grid=(4, 4), width=WIDTH, target=12)
    toy = Toy(spec)
    head = MaeDecoder(replace(spec, sees="mask_token"), depth=1, width=16, heads=2, refill=True)
    objective = Objective(Raw(spec, norm="patch"), head, Regression(spec))
    blocks = Blocks(toy, Random(spec, 0.6), SparseConvolution(spec, toy.embedding), {"main": objective})
    return MaskedModel(blocks), {"main": grid_tokens(spec)}


# --- 3: two views, EMA teacher, one objective within views and one across


class OtherView(Target):
    needs_teacher = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.width = spec.teacher

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        (other,) = [v for name, v in step.views.items() if name != view]
        assert other.teacher is not None
        return other.teacher.pooled()


def two_views() -> tuple[MaskedModel, dict[str, Tokens]]:
    spec = Spec(values=12, axes=2, grid=(4, 4), width=WIDTH, teacher=WIDTH, target=WIDTH)
    toy = Toy(spec)
    encoder = Transformer(spec, toy.embedding, depth=2, width=WIDTH, heads=2, sees="mask_token")
    objectives = {
        "patch": Objective(Feature(spec), Linear(spec), Regression(spec)),
        "across": Objective(OtherView(spec), Linear(spec), Cosine(spec, scale=2.0), weight=0.5, region="pooled"),
    }
    blocks = Blocks(toy, Random(spec, 0.4), encoder, objectives, Ema(spec, encoder, 0.9))
    return MaskedModel(blocks), {"left": grid_tokens(spec), "right": grid_tokens(spec)}


# --- 4: JEPA with four target sets


def jepa() -> tuple[MaskedModel, dict[str, Tokens]]:
    spec = Spec(values=12, axes=2, grid=(8, 8), width=WIDTH, teacher=WIDTH, target=WIDTH)
    toy = Toy(spec)
    encoder = Transformer(spec, toy.embedding, depth=2, width=WIDTH, heads=2, classes=0)
    objective = Objective(Feature(spec), MaeDecoder(spec, depth=1, width=16, heads=2), Regression(spec, "smooth_l1"))
    blocks = Blocks(toy, MultiBlock(spec, targets=4, least=2), encoder, {"main": objective}, Ema(spec, encoder))
    return MaskedModel(blocks), {"main": grid_tokens(spec)}


# --- 5: causal


class NextToken(Mask):
    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        cu = rows.layout.cu_seqlens
        assert cu is not None
        role = torch.zeros(rows.shape, dtype=torch.int8)
        not_last = torch.ones(rows.shape, dtype=torch.bool)
        not_last[cu[1:].long() - 1] = False
        return MaskSet(role, torch.arange(len(role)), not_last.nonzero()[:, 0], visibility=Visibility(causal=True))


class Following(TokenIds):
    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        assert where.index is not None
        return super().forward(step, view, Where(where.index + 1))


def causal() -> tuple[MaskedModel, dict[str, Tokens]]:
    spec = Spec(values=1, axes=1, vocab=11, width=WIDTH, target=11)
    toy = Toy(spec)
    encoder = Transformer(spec, toy.embedding, depth=2, width=WIDTH, heads=2, sees="full", positions="rotary", classes=0)
    objective = Objective(Following(spec), Linear(spec), CrossEntropy(spec))
    return MaskedModel(Blocks(toy, NextToken(), encoder, {"main": objective})), {"main": packed_ids(spec)}


# --- 6: generator and discriminator, two optimisers


@dataclass
class DrawnMaskSet(MaskSet):
    logits: Tensor | None = None
    drawn: Tensor | None = None

    def rewrite(self, rows: Tokens) -> Tokens:
        assert self.drawn is not None
        return replace(rows, values=self.drawn)


class Generator(Mask):
    """ELECTRA's small network: draws replacements at hidden places."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        assert spec.vocab is not None
        self.inner = Random(spec, 0.3)
        self.net = nn.Sequential(nn.Embedding(spec.vocab + 1, WIDTH), nn.Linear(WIDTH, spec.vocab))
        self.mask_id = spec.vocab

    def forward(self, rows: Tokens, ctx: Context) -> MaskSet:
        mask = self.inner(rows, ctx)
        logits = self.net(torch.where(mask.hidden, self.mask_id, rows.values))
        drawn = torch.multinomial(logits.detach().softmax(-1), 1, generator=ctx.generator)[:, 0]
        values = torch.where(mask.hidden, drawn, rows.values)
        return DrawnMaskSet(mask.role, mask.keep, mask.targets, logits=logits, drawn=values)


class GeneratorLogits(Head):
    def forward(self, view: View, where: Where) -> Tensor:
        assert isinstance(view.mask, DrawnMaskSet) and view.mask.logits is not None and where.index is not None
        return view.mask.logits[where.index]


class Replaced(Target):
    width = 1

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        here = step.views[view]
        assert isinstance(here.mask, DrawnMaskSet) and here.mask.drawn is not None and where.index is not None
        return (here.mask.drawn != here.rows.values)[where.index, None]


def generator_discriminator() -> tuple[MaskedModel, dict[str, Tokens]]:
    spec = Spec(values=1, axes=1, vocab=11, width=WIDTH, target=11)
    toy = Toy(spec)
    encoder = Transformer(spec, toy.embedding, depth=1, width=WIDTH, heads=2, sees="full", positions="rotary", classes=0)
    objectives = {
        "main": Objective(Replaced(), Linear(replace(spec, target=1)), Bce(spec), region="all"),
        "words": Objective(TokenIds(spec), GeneratorLogits(), CrossEntropy(spec), optimizer="mask"),
    }
    return MaskedModel(Blocks(toy, Generator(spec), encoder, objectives)), {"main": packed_ids(spec)}


SHAPES = [graph_network, sparse_convolution, two_views, jepa, causal, generator_discriminator]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda f: f.__name__)
def test_one_step(shape: Any) -> None:
    torch.manual_seed(0)
    model, views = shape()
    ctx = Context(step=3, max_steps=10, generator=torch.Generator().manual_seed(1))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers: dict[str, torch.optim.Optimizer] = {}
    for name in {group["optimizer"] for group in model.param_groups()}:
        chosen = [p for group in model.param_groups() if group["optimizer"] == name for p in group["params"]]
        optimizers[name] = torch.optim.AdamW(chosen, lr=1e-2)
    out = model({"views": views}, ctx, watch=True)
    assert torch.isfinite(out["loss"])
    for name, optimizer in optimizers.items():
        inputs = [p for group in optimizer.param_groups for p in group["params"]]
        out.get(f"loss.{name}", out["loss"]).backward(inputs=inputs, retain_graph=True)
    silent = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert silent == []
    for optimizer in optimizers.values():
        optimizer.step()
    model.after_step(ctx)
    assert all(torch.isfinite(torch.tensor(v)) for v in model.diagnose().values())
    still = [n for n, p in model.named_parameters() if torch.equal(p, before[n]) and not n.endswith("qkv.bias")]
    assert still == [], "parameters that one step and the teacher's update left as they were"


def test_two_optimisers_have_disjoint_parameters() -> None:
    model, _ = generator_discriminator()
    groups = model.param_groups()
    assert {g["optimizer"] for g in groups} == {"main", "mask"}
    names = [name for g in groups for name in g["names"]]
    assert len(names) == len(set(names))
    assert all(name.startswith("mask.") == (g["optimizer"] == "mask") for g in groups for name in g["names"])


def test_four_target_sets_are_decoded_apart() -> None:
    """A target set's prediction does not change when another set changes: no attention between them."""
    torch.manual_seed(0)
    model, views = jepa()
    ctx = Context(generator=torch.Generator().manual_seed(0))
    step = model.step({"views": views}, ctx)
    view = step.views["main"]
    head = model.objectives["main"].head  # type: ignore[union-attr]
    first = head(view, view.mask.where("masked"))
    view.mask.targets = view.mask.targets.clone()
    view.mask.targets[:, 1] = view.mask.targets[:, 2]
    second = head(view, view.mask.where("masked"))
    assert first.shape[1] == 4
    torch.testing.assert_close(first[:, 0], second[:, 0])
    assert not torch.allclose(first[:, 1], second[:, 1])


def test_packed_equals_one_by_one() -> None:
    torch.manual_seed(0)
    model, views = causal()
    tokens = views["main"]
    together = model.encoder(Seen(tokens)).tokens
    cu = tokens.layout.cu_seqlens
    assert cu is not None
    for a, b in zip(cu[:-1].tolist(), cu[1:].tolist(), strict=True):
        alone = Tokens(tokens.values[a:b], tokens.pos[a:b], Layout(cu_seqlens=torch.tensor([0, b - a]), max_seqlen=b - a))
        torch.testing.assert_close(together[a:b], model.encoder(Seen(alone)).tokens)

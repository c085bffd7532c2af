"""Small parts that graph layers share: activations, norms, dropout, and the input of the first layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.apply import Seen
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.layers.categories import CategoryEmbedding
from maskedmod.layers.graphs.messages import Incoming, incoming, neighbour_sum, sparse_rows
from maskedmod.layers.linear import linear

Activation = Literal["prelu", "relu", "elu", "gelu", "selu", "silu", "none"]
NodeNorm = Literal["none", "layer", "batch"]
SelfLoops = Literal["kept", "added"]
"""What becomes of a node's edge to itself where edges are dropped: see ``thinned``."""

SPARSE = 0.1
"""Share of values that are not 0 up to which a product with sparse rows is worth its overhead on a CPU."""


def make_activation(name: Activation) -> nn.Module:
    """An activation with parameters of its own where it has some (PReLU starts at a slope of 0.25)."""
    made: dict[str, Callable[[], nn.Module]] = {
        "prelu": Prelu, "relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "selu": nn.SELU, "silu": nn.SiLU,
    }  # fmt: skip
    return nn.Identity() if name == "none" else made[name]()


class Prelu(nn.PReLU):
    """PReLU with one slope; on a CPU its gradient is made of parts that are 5 times faster there than torch's own."""

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return super().forward(input)
        out: Tensor = _Prelu.apply(input, self.weight)  # type: ignore[no-untyped-call]
        return out


class _Prelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.prelu(x, slope)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (grad,), (x, slope) = grads, ctx.saved_tensors
        above = torch.ops.aten.threshold_backward(grad, x, 0.0)
        return torch.addcmul(above, grad - above, slope), (grad * x.clamp(max=0.0)).sum().view_as(slope)


def make_node_norm(name: NodeNorm, width: int) -> nn.Module:
    """LayerNorm of a node, or BatchNorm over all nodes of a batch."""
    if name == "none":
        return nn.Identity()
    return nn.LayerNorm(width) if name == "layer" else nn.BatchNorm1d(width)


def edges_of(tokens: Tokens, rows: Tensor | None = None) -> Incoming:
    """Edges of packed nodes that are not hidden: those that end in ``rows``, None = all. ValueError for tokens without edges."""
    return incoming(edge_index_of(tokens), len(tokens.values), rows)


def edge_index_of(tokens: Tokens) -> Tensor:
    relation = tokens.relation
    if relation is None:
        raise ValueError("graph encoders and decoders need tokens with edges: modality=graph")
    return relation.edge_index if relation.kept is None else relation.edge_index[:, relation.kept]


def relation_left(tokens: Tokens) -> Relation:
    """Edges that are not hidden, with their attributes. ValueError for tokens without edges."""
    edge_index, relation = edge_index_of(tokens), tokens.relation
    assert relation is not None
    attr = relation.attr if relation.attr is None or relation.kept is None else relation.attr[relation.kept]
    return Relation(edge_index, attr)


def thinned(tokens: Tokens, rate: float, self_loops: SelfLoops = "kept") -> Tokens:
    """Tokens with a random share of their edges hidden. Self-loops are ``kept``; or they are dropped like the others and then one
    is ``added`` to every node, so that one that was not dropped counts twice (GraphMAE's released code). Edges that were added
    have no attributes."""
    relation = tokens.relation
    if rate == 0.0 or relation is None:
        return tokens
    source, target = relation.edge_index
    kept = drawn_edges(len(source), rate, source.device)
    if self_loops == "kept":
        kept |= source == target
    if relation.kept is not None:
        kept &= relation.kept
    if self_loops == "kept":
        return replace(tokens, relation=replace(relation, kept=kept))
    own = torch.arange(len(tokens.values), device=source.device).expand(2, -1)
    return replace(tokens, relation=Relation(torch.cat([relation.edge_index[:, kept], own], dim=1)))


def drawn_edges(count: int, rate: float, device: torch.device) -> Tensor:
    """bool ``[count]``: edges that are not dropped."""
    return torch.rand(count, device=device) >= rate


def part(layout: Layout, rows: Tensor) -> Layout:
    """Layout of some packed tokens, ``rows`` rising."""
    assert layout.cu_seqlens is not None
    return Layout(
        cu_seqlens=torch.searchsorted(rows, layout.cu_seqlens).to(layout.cu_seqlens.dtype), max_seqlen=layout.max_seqlen
    )


def keep_scale(shape: tuple[int, ...], rate: float, device: torch.device) -> Tensor:
    """float32 factors of dropout: 0 with probability ``rate``, else 1 / (1 - rate). On a CPU drawn from 16 random bits each
    (the probability is met within 1e-5), a fifth of the cost of torch's own draws."""
    if device.type != "cpu":
        return F.dropout(torch.ones(shape, device=device), rate)
    count = torch.Size(shape).numel()
    bits = torch.empty(count // 4 + 1, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    dropped = round(rate * 2**16)
    return (bits >= dropped - 2**15).float().mul_(2**16 / (2**16 - dropped)).reshape(shape)


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """``x`` with every entry dropped by itself."""
    return x * keep_scale(tuple(x.shape), rate, x.device) if training and rate > 0.0 else x


@dataclass(frozen=True)
class NodeRows:
    """Values of nodes ``x`` ``[L, P]``; where ``hidden`` (bool ``[L]``), the vector ``token`` ``[P]`` stands in their place."""

    x: Tensor
    hidden: Tensor | None = None
    token: Tensor | None = None

    def dense(self) -> Tensor:
        """``[L, P]`` with the token put in."""
        if self.hidden is None:
            return self.x
        assert self.token is not None
        return torch.where(self.hidden[:, None], self.token, self.x)

    def project(self, weight: Tensor, rate: float, training: bool) -> Tensor:
        """``dropout(rows) @ weight.T``, weight ``[out, P]``; sparse on a CPU where most values are 0 (bags of words)."""
        if self.x.device.type != "cpu" or int(self.x.count_nonzero()) > SPARSE * self.x.numel():
            return linear(dropout(self.dense(), rate, training), weight)
        row, column = self.x.nonzero().unbind(1)
        if self.hidden is not None:
            seen = ~self.hidden[row]
            row, column = row[seen], column[seen]
        given = dropout(self.x[row, column], rate, training)
        out = neighbour_sum(weight.t().contiguous(), sparse_rows(row, column, *self.x.shape), given)
        return out if self.hidden is None else self._with_tokens(out, weight, rate, training)

    def _with_tokens(self, out: Tensor, weight: Tensor, rate: float, training: bool) -> Tensor:
        """Every token has its own dropped entries. With the token inside the weights, one product gives the gradient of both."""
        assert self.hidden is not None and self.token is not None
        at = self.hidden.nonzero()[:, 0]
        if not training or rate == 0.0:
            return out.index_copy(0, at, (weight @ self.token).expand(len(at), -1))
        kept = keep_scale((len(at), len(self.token)), rate, out.device)
        return out.index_copy(0, at, linear(kept, weight * self.token))


def projected(x: Tensor | NodeRows, weight: Tensor, rate: float, training: bool) -> Tensor:
    """``dropout(x) @ weight.T``."""
    return x.project(weight, rate, training) if isinstance(x, NodeRows) else linear(dropout(x, rate, training), weight)


def through(
    layers: Sequence[nn.Module], x: Tensor | NodeRows, edges: Incoming, taps: Sequence[str], drop: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Layer after layer over the same edges -> output of the last one and what was tapped: ``block.i``, counted from either
    end. ``drop``: share of the values of every output but the last that are dropped, for what is tapped too."""
    outputs: list[Tensor] = []
    for i, layer in enumerate(layers):
        x = layer(x, edges)
        assert isinstance(x, Tensor)
        x = dropout(x, drop, i + 1 < len(layers))
        outputs.append(x)
    names = {f"block.{i}": out for n in (0, -len(outputs)) for i, out in enumerate(outputs, n)}
    return outputs[-1], {tap: names[tap] for tap in taps if tap in names}


def make_shortcut(inputs: int, outputs: int, residual: bool, same_width: bool = True) -> nn.Module | None:
    """What a layer adds its input through: nothing, or a map without bias; where the widths agree, as it is, or with
    ``same_width`` false not at all (GraphMAE2's released code)."""
    if not residual or (inputs == outputs and not same_width):
        return None
    return nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs, bias=False)


class NodeInput(nn.Module):
    """What the first layer of a graph network reads: a node's values, or the embedding of its categories.

    ``width`` is that of its rows. Values are hidden by a learned vector among them, which starts at 0 (GraphMAE, Hou et al. 2022,
    section 3.1); categories by the ids of a hidden thing (Hu et al. 2020, appendix C).
    """

    def __init__(self, spec: Spec, embedding: Callable[[int], nn.Module], width: int, hides: bool) -> None:
        super().__init__()
        embed = embedding(width) if spec.categories else None
        assert embed is None or isinstance(embed, CategoryEmbedding)
        self.embed, self.width = embed, width if spec.categories else spec.values
        self.mask_token = nn.Parameter(torch.zeros(self.width)) if hides and embed is None else None

    def forward(self, seen: Seen) -> NodeRows:
        values, hidden = seen.tokens.values, seen.hidden
        if self.embed is None:
            return NodeRows(values.float(), hidden, self.mask_token)
        return NodeRows(self.embed(self.embed.hide(values, hidden)))

"""GraphMAE on one citation graph: ours against the usual message passing, one epoch is one step of Adam, one CPU thread.

    python tests/bench/graph_mae_speed.py data/planetoid/Cora [epochs=10] [rounds=3]

The other model is GraphMAE as it is usually written, with ``GATConv`` of PyTorch Geometric. First both train from the same
weights for ten epochs with the same masks and the same entries dropped, and their losses must agree within 1e-5. Then each trains
with its own draws in a process of its own, in turns; printed are the medians of CPU time per epoch and the peak memory.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv
from torch_geometric.nn.conv import gat_conv

from maskedmod.core.context import Context
from maskedmod.core.mask_set import MASKED
from maskedmod.core.model import MaskedModel
from maskedmod.core.tokens import Tokens
from maskedmod.layers.graphs import parts as graph_parts
from maskedmod.recipe.build import build_modality, build_model, build_optimizer, build_source
from maskedmod.recipe.config import resolve

WAYS = ("ours", "usual")
EPOCHS, AGREE = 10, 1e-5
Dropout = Callable[[Tensor, float], Tensor]


def start(path: str) -> tuple[dict[str, Any], dict[str, Any], MaskedModel]:
    """Recipe, batch and fresh model."""
    tree = resolve(["recipe=graph_mae", "preset=cora", "data=planetoid", f"data.path={path}"])
    modality = build_modality(tree)
    record = build_source(tree).records("train", modality)[0]
    torch.manual_seed(0)
    return tree, modality.collate([modality.read(record)]), build_model(tree, modality).train()


class Usual(nn.Module):
    """The same network on dense features: tokens put in, every node decoded, edges x width in memory."""

    def __init__(self, ours: MaskedModel) -> None:
        super().__init__()
        encoder: Any = ours.encoder
        head: Any = ours.objectives["main"].head
        layers = list(encoder.layers)
        self.token = nn.Parameter(encoder.input.mask_token.detach().clone())
        self.convs = nn.ModuleList(self._conv(layer) for layer in [*layers, head.layer])
        self.slopes = nn.ModuleList(nn.PReLU() for _ in layers)
        self.map = nn.Linear(head.embed.in_features, head.embed.out_features, bias=False)
        self.map.load_state_dict(head.embed.state_dict())
        self.rate = layers[0].settings.dropout

    def _conv(self, layer: Any) -> GATConv:
        s, (outputs, inputs) = layer.settings, layer.weight.shape
        conv = GATConv(inputs, outputs // s.heads, s.heads, dropout=s.attention_dropout, add_self_loops=False)
        pairs = (
            (conv.lin.weight, layer.weight),
            (conv.att_src, layer.source),
            (conv.att_dst, layer.target),
            (conv.bias, layer.bias),
        )
        for mine, other in pairs:
            mine.data.copy_(other.data)
        return conv

    def forward(self, tokens: Tokens, mask: Any, drop: Dropout) -> Tensor:
        """The loss: GraphMAE's, gamma 3."""
        assert tokens.relation is not None
        edges, x = tokens.relation.edge_index, tokens.values
        seen = mask.randomised(tokens, None).values.clone()
        seen[mask.code == MASKED] = 0.0
        seen[mask.code == MASKED] += self.token
        for conv, slope in zip(self.convs[:-1], self.slopes, strict=True):
            seen = slope(conv(drop(seen, self.rate), edges))
        decoded = self.map(seen)
        decoded[mask.targets] = 0.0
        found = self.convs[-1](drop(decoded, self.rate), edges)[mask.targets]
        cosine = (F.normalize(found, dim=-1) * F.normalize(x[mask.targets], dim=-1)).sum(-1)
        return (1 - cosine).pow(3).mean()


class Draws:
    """What our layers dropped in a step, for the other model: factors in the order in which they were asked for."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []
        self.plain = graph_parts.keep_scale

    def draw(self, shape: tuple[int, ...], rate: float, device: torch.device) -> Tensor:
        self.kept.append(self.plain(shape, rate, device))
        return self.kept[-1]

    def features(self, tokens: Tokens, mask: Any) -> list[Tensor]:
        """Factors of the three inputs. Ours draws none for zeros, which stay zeros."""
        x, hidden = mask.randomised(tokens, None).values, mask.code == MASKED
        row, column = x.nonzero().unbind(1)
        stays = ~hidden[row]
        words = torch.ones_like(x).index_put((row[stays], column[stays]), self.kept[0])
        return [words.index_copy(0, hidden.nonzero()[:, 0], self.kept[1]), self.kept[3], self.kept[5]]

    def attention(self, tokens: Tokens, mask: Any) -> list[Tensor]:
        """Factors ``[E, H]`` of the three layers. Ours draws none for edges to nodes that it does not compute."""
        out = []
        for drawn, rows in ((self.kept[2], None), (self.kept[4], mask.keep), (self.kept[6], mask.targets)):
            assert tokens.relation is not None
            order = graph_parts.edges_of(tokens, rows).order
            out.append(torch.ones(tokens.relation.edge_index.shape[1], drawn.shape[1]).index_copy(0, order, drawn))
        return out


def agreement(path: str) -> float:
    """Largest difference of the losses of ten epochs."""
    tree, batch, ours = start(path)
    usual, draws, worst = Usual(ours), Draws(), 0.0
    first, second = (optimizer_of(tree, model) for model in (ours, usual))
    for epoch in range(EPOCHS):
        draws.kept.clear()
        graph_parts.keep_scale = draws.draw
        loss = ours(batch, context(epoch))["loss"]
        graph_parts.keep_scale = draws.plain
        tokens = ours.modality.tokenize(batch)["main"]
        mask = ours.mask(tokens, context(epoch))
        inputs, weights = iter(draws.features(tokens, mask)), iter(draws.attention(tokens, mask))
        gat_conv.F = Given(weights)
        other = usual(tokens, mask, lambda x, rate, inputs=inputs: x * next(inputs))
        gat_conv.F = F
        worst = max(worst, abs(loss.item() - other.item()))
        for result, optimizer in ((loss, first), (other, second)):
            optimizer.zero_grad()
            result.backward()
            optimizer.step()
    return worst


class Given:
    """torch.nn.functional for GATConv, with the entries to drop given."""

    def __init__(self, factors: Any) -> None:
        self.factors = factors

    def dropout(self, x: Tensor, p: float = 0.0, training: bool = True) -> Tensor:
        return x * next(self.factors)

    def __getattr__(self, name: str) -> Any:
        return getattr(F, name)


def optimizer_of(tree: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    return build_optimizer(tree)["main"].build([{"params": [p for p in model.parameters() if p.requires_grad]}], 1e-3)


def context(epoch: int) -> Context:
    torch.manual_seed(epoch)
    return Context(step=epoch, max_steps=1500, generator=torch.Generator().manual_seed(epoch))


def measure(way: str, path: str, epochs: int) -> dict[str, float]:
    """Median CPU seconds of an epoch and peak memory of one way, in this process."""
    import resource

    tree, batch, ours = start(path)
    tokens, mask_of = ours.modality.tokenize(batch)["main"], ours.mask
    usual = Usual(ours) if way == "usual" else None
    model: nn.Module = usual or ours
    optimizer, times = optimizer_of(tree, model), []
    if usual is not None:
        del ours
    for epoch in range(epochs + 2):
        begin = time.process_time()
        ctx = context(epoch)
        loss = model(batch, ctx)["loss"] if usual is None else usual(tokens, mask_of(tokens, ctx), F.dropout)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(time.process_time() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": statistics.median(times[2:]), "peak_gb": peak}


def in_a_process(what: str, path: str, epochs: int) -> str:
    """The last line that it prints; a process keeps the peak of the one that started it, so this one stays small."""
    done = subprocess.run([sys.executable, __file__, what, path, str(epochs)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def main(path: str, *words: str) -> None:
    """Agreement, then one process per way and round, then the table."""
    given = {key: int(value) for key, value in (word.split("=") for word in words)}
    epochs, rounds = given.get("epochs", 10), given.get("rounds", 3)
    worst = json.loads(in_a_process("agree", path, epochs))
    print(f"largest difference of the losses of {EPOCHS} epochs: {worst:.1e}")
    if not worst < AGREE:
        raise SystemExit(f"the two models differ: accepted is {AGREE:.0e}")
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(json.loads(in_a_process(way, path, epochs)))
    seconds = {way: statistics.median(row["seconds"] for row in rows) for way, rows in found.items()}
    print("| | CPU seconds an epoch | peak memory | ours is faster by |\n|---|---|---|---|")
    for way, rows in found.items():
        peak = statistics.median(row["peak_gb"] for row in rows)
        print(f"| {way} | {seconds[way]:.3f} | {peak:.2f} GiB | {seconds[way] / seconds['ours']:.1f} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "agree":
        print(agreement(sys.argv[2]))
    elif sys.argv[1] in WAYS:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        main(*sys.argv[1:])

"""Reconstructions of packed values: nodes of graphs, ids of sequences."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import VISIBLE, Where
from maskedmod.core.model import Objective
from maskedmod.core.step import Step
from maskedmod.core.tokens import Tokens
from maskedmod.reconstruct.reconstruction import Reconstruction


def predict_packed(objective: Objective, name: str, step: Step, at: str, baseline: Tensor | None = None) -> Reconstruction:
    """As ``dense.reconstruct`` for packed tokens: flags and values are ``[L]`` and ``[L, P]`` (ids ``[L]``), of several masks
    those of the first. Errors are the objective's own loss, since losses of graphs do not ask for the size of a prediction; the
    mean is that of a graph's visible nodes, of ids their shares in the training data (``baseline`` ``[1, V]``), where these are
    known. ValueError where the target cannot be drawn."""
    view, discrete = step.views[at], objective.target.discrete
    where = view.mask.where(objective.region)
    if len(view.mask.role) != len(view.rows.values):
        raise ValueError("a mask that adds nodes has no picture")
    assert where.index is not None
    index = where.index[where.index < len(view.tokens.values)]
    goal = objective.target(step, at, replace(where, index=where.index))
    said = objective.head(view, where).float()
    guess = said.mean(0) if said.ndim > goal.ndim + discrete else said  # several views of one re-masked graph (GraphMAE2)
    drawn = objective.target.restore(guess, view)
    if drawn is None:
        raise ValueError("this target has no picture: it is no value of a packed token; predict_masked gives it as numbers")
    mean = None if discrete else _visible_mean(objective, step, at)[where.index]
    filled = None if mean is None else objective.target.restore(mean, view)
    wrong = objective.loss.per_token(said, goal if discrete else goal.float())
    wrong = wrong.mean(0) if wrong.ndim > 1 else wrong
    mean_wrong = None if mean is None else objective.loss.per_token(mean, goal.float())
    ids = discrete and drawn.ndim == 1
    if ids and baseline is not None and baseline.shape == (1, guess.shape[-1]):
        mean_wrong = -baseline[0].to(goal.device).log()[goal]
    first = slice(0, len(index))  # tiled row after row: those of the first mask come first
    tokens, values = view.tokens, view.tokens.values.float()
    blocks = torch.zeros(len(values), dtype=torch.bool, device=values.device).index_fill(0, index, True)
    return Reconstruction(
        modality=step.modality,
        tokens=tokens,
        hidden=(view.mask.role != VISIBLE)[: len(values)],
        blocks=blocks,
        token_error=_put(values.new_full((len(values), 1), torch.nan), index, wrong[first, None])[:, 0],
        error=_per_graph(wrong[first], index, tokens),
        mean_error=None if mean_wrong is None else _per_graph(mean_wrong[first], index, tokens),
        filled=None if filled is None else _put(values, index, filled[first]),
        predicted=_put(values, index, drawn[first]),
        objective=name,
        discrete=discrete,
        unordered=True,
        note=objective.target.note,
        sure=_sureness(guess[first], goal[first], index, len(values)) if ids else None,
    )


def _sureness(scores: Tensor, goal: Tensor, index: Tensor, total: int) -> Tensor:
    """Probabilities of the likeliest id and of the true one at every predicted place, ``[L, 2]``, NaN elsewhere."""
    shares = scores.softmax(-1)
    both = torch.stack([shares.amax(-1), shares.gather(-1, goal[:, None])[:, 0]], dim=-1)
    return _put(both.new_full((total, 2), torch.nan), index, both)


def _visible_mean(objective: Objective, step: Step, at: str) -> Tensor:
    """Mean target of the visible nodes of every node's own graph, ``[L, P]``; 0 in a graph without any."""
    view = step.views[at]
    every = torch.arange(len(view.mask.role), device=view.mask.role.device)
    seen = (~view.mask.hidden).float()[:, None]
    layout = view.rows.layout
    share = Latent(seen, layout).mean()
    mean = Latent(objective.target(step, at, Where(every)).float() * seen, layout).mean() / share.clamp(min=1e-9)
    return mean[layout.segments()]


def _put(values: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    return values.index_copy(0, index, rows.to(values.dtype))


def _per_graph(wrong: Tensor, index: Tensor, tokens: Tokens) -> Tensor:
    """Mean over the predicted nodes of every graph, ``[S]``; NaN where there are none."""
    graph = tokens.layout.segments()[index]
    total = wrong.new_zeros(tokens.batch).index_add(0, graph, wrong)
    return total / wrong.new_zeros(tokens.batch).index_add(0, graph, torch.ones_like(wrong))


def first_graphs(recon: Reconstruction, count: int) -> Reconstruction:
    """Of its first ``count`` samples."""
    tokens, cu = recon.tokens, recon.tokens.layout.cu_seqlens
    assert cu is not None
    if count >= tokens.batch:
        return recon
    n, relation = int(cu[count]), tokens.relation
    if relation is not None:
        inside = (relation.edge_index < n).all(0)
        attr = None if relation.attr is None else relation.attr[inside]
        kept = None if relation.kept is None else relation.kept[inside]
        relation = replace(relation, edge_index=relation.edge_index[:, inside], attr=attr, kept=kept)
    eligible = None if tokens.eligible is None else tokens.eligible[:n]
    layout = replace(tokens.layout, cu_seqlens=cu[: count + 1], max_seqlen=int(cu[: count + 1].diff().max()))
    assert recon.predicted is not None
    return replace(
        recon, tokens=Tokens(tokens.values[:n], tokens.pos[:n], layout, eligible, relation), hidden=recon.hidden[:n],
        blocks=recon.blocks[:n], token_error=recon.token_error[:n], error=recon.error[:count],
        mean_error=None if recon.mean_error is None else recon.mean_error[:count],
        filled=None if recon.filled is None else recon.filled[:n], predicted=recon.predicted[:n],
        sure=None if recon.sure is None else recon.sure[:n],
    )  # fmt: skip

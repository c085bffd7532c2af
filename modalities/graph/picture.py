"""A graph as a picture: nodes coloured by their values, hidden ones grey squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from maskedmod.core.modality import Panel
from maskedmod.core.tokens import Tokens

SIDE, MARGIN, DOT = 320, 16, 7
MOST = 64
"""Nodes of a picture; of a larger graph those nearest to its node of most neighbours."""
PAPER, LINE, GREY, RING = (255, 255, 255), (206, 212, 218), (150, 156, 163), (22, 27, 34)


def panels(values: Tensor, tokens: Tokens, hidden: Tensor | None) -> list[Panel]:
    """One panel per graph of ``values`` ``[L, P]``. Alike nodes have alike colours: where its values point along the three main
    directions of the true values of all nodes drawn, whatever their size; nodes without any are white."""
    cu, relation = tokens.layout.cu_seqlens, tokens.relation
    assert cu is not None and relation is not None
    edges = relation.edge_index.cpu().numpy()
    edges = edges[:, edges[0] != edges[1]]
    gone = np.zeros(len(values), bool) if hidden is None else hidden.cpu().numpy()
    drawn = []
    for a, b in zip(cu[:-1].tolist(), cu[1:].tolist(), strict=True):
        own = edges[:, (edges[0] >= a) & (edges[0] < b)] - a
        drawn.append((a, b - a, own, nearest(b - a, own)))
    every = np.concatenate([a + np.array(chosen) for a, _, _, chosen in drawn])
    colour = dict(zip(every.tolist(), _colours(_rows(values, every), _rows(tokens.values, every)), strict=True))
    made = []
    for a, n, own, chosen in drawn:
        place, lines = _layout(chosen, own)
        shown = f", {len(chosen)} of them drawn" if len(chosen) < n else ""
        colours = [GREY if gone[a + i] else colour[a + i] for i in chosen]
        made.append(Panel(_drawn(place, lines, colours), f"{n} nodes{shown}"))
    return made


def _rows(values: Tensor, chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Float64 ``[n, P]`` of unit length; rows of zeros stay."""
    rows = values[chosen].flatten(1).double().cpu().numpy()
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _colours(rows: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> list[tuple[int, int, int]]:
    """Red, green and blue of the rows: their place along the three main directions of ``true`` (principal components, each with
    its largest weight positive), from two deviations below the mean to two above."""
    centre = true.mean(0)
    _, _, main = np.linalg.svd(true - centre, full_matrices=False)
    main = main[:3] * np.sign(main[np.arange(len(main[:3])), np.abs(main[:3]).argmax(1)])[:, None]
    spread = 2 * np.maximum(((true - centre) @ main.T).std(0), 1e-9)
    level = np.full((len(rows), 3), 0.5)
    level[:, : len(main)] = np.clip(((rows - centre) @ main.T) / spread, -1, 1) / 2 + 0.5
    shade = (70 + 170 * level).astype(int)
    empty = (rows == 0).all(axis=1).tolist()
    return [PAPER if bare else (int(r), int(g), int(b)) for (r, g, b), bare in zip(shade, empty, strict=True)]


def nearest(n: int, edges: np.ndarray[Any, Any]) -> list[int]:
    """At most ``MOST`` node numbers, ascending: all, or those nearest to the node of most neighbours, nodes at equal distance in
    the order of their numbers; where its component is smaller, the lowest others too."""
    if n <= MOST:
        return list(range(n))
    degree = np.bincount(edges[1], minlength=n)
    start = int(degree.argmax())
    found, reached = {start: None}, np.zeros(n, bool)
    reached[start], front = True, np.array([start])
    while len(front) and len(found) < MOST:
        front = np.unique(edges[1][np.isin(edges[0], front)])
        front = front[~reached[front]]
        reached[front] = True
        found.update(dict.fromkeys(front[: MOST - len(found)].tolist()))
    found.update(dict.fromkeys(np.flatnonzero(~reached)[: MOST - len(found)].tolist()))
    return sorted(found)


def _layout(chosen: list[int], edges: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], list[tuple[int, int]]]:
    """Pixels ``[n, 2]`` of the chosen nodes by NetworkX's spring layout, and the lines between them."""
    import networkx as nx

    number = {node: i for i, node in enumerate(chosen)}
    lines = [(number[a], number[b]) for a, b in edges.T.tolist() if a in number and b in number]
    drawn = nx.Graph()
    drawn.add_nodes_from(range(len(chosen)))
    drawn.add_edges_from(lines)
    place = np.array([spot for _, spot in sorted(nx.spring_layout(drawn, seed=0).items())])
    low, high = place.min(0), place.max(0)
    return MARGIN + (place - low) / np.maximum(high - low, 1e-9) * (SIDE - 2 * MARGIN), lines


def _drawn(place: np.ndarray[Any, Any], lines: list[tuple[int, int]], colours: list[tuple[int, int, int]]) -> Any:
    picture = Image.new("RGB", (SIDE, SIDE), PAPER)
    pen = ImageDraw.Draw(picture)
    for a, b in lines:
        pen.line([*place[a], *place[b]], fill=LINE)
    for (x, y), colour in zip(place, colours, strict=True):
        box = [x - DOT, y - DOT, x + DOT, y + DOT]
        (pen.rectangle if colour == GREY else pen.ellipse)(box, fill=colour, outline=RING)
    return np.asarray(picture)

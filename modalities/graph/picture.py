"""A graph as a picture: nodes coloured by what they carry, hidden ones grey."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from maskedmod.modality import Panel
from maskedmod.tokens import Tokens

SIDE, MARGIN, DOT = 320, 16, 5
MOST = 64
"""Nodes of a picture; of a larger graph those nearest to its node of most neighbours."""
PAPER, LINE, GREY, RING = (255, 255, 255), (206, 212, 218), (150, 156, 163), (22, 27, 34)


def panels(values: Tensor, tokens: Tokens, hidden: Tensor | None) -> list[Panel]:
    """One panel per graph of ``values`` ``[L, P]`` (``[L, C]`` ids: the first category): a node has the colour of its largest
    value."""
    cu, relation = tokens.layout.cu_seqlens, tokens.relation
    assert cu is not None and relation is not None
    wide = values.reshape(len(values), -1)
    kind = (wide.argmax(1) if wide.is_floating_point() else wide[:, 0]).cpu().numpy()
    kinds = wide.shape[1] if wide.is_floating_point() else int(kind.max()) + 1
    empty = (wide.abs().sum(1) == 0).cpu().numpy() if wide.is_floating_point() else np.zeros(len(kind), bool)
    gone = np.zeros(len(kind), bool) if hidden is None else hidden.cpu().numpy()
    edges = relation.edge_index.cpu().numpy()
    made = []
    for a, b in zip(cu[:-1].tolist(), cu[1:].tolist(), strict=True):
        inside = (edges[0] >= a) & (edges[0] < b) & (edges[0] != edges[1])
        chosen = nearest(b - a, edges[:, inside] - a)
        place, lines = _layout(chosen, edges[:, inside] - a)
        colours = [GREY if gone[a + i] else PAPER if empty[a + i] else _colour(int(kind[a + i]), kinds) for i in chosen]
        shown = f", {len(chosen)} of them drawn" if len(chosen) < b - a else ""
        made.append(Panel(_drawn(place, lines, colours), f"{b - a} nodes{shown}"))
    return made


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
        pen.ellipse([x - DOT, y - DOT, x + DOT, y + DOT], fill=colour, outline=RING)
    return np.asarray(picture)


def _colour(kind: int, kinds: int) -> tuple[int, int, int]:
    """Evenly spread hues."""
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb(kind / max(kinds, 1), 0.55, 0.95)
    return int(255 * red), int(255 * green), int(255 * blue)

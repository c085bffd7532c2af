"""The built-in sample: a real club and generated graphs of communities, made when they are asked for, the same everywhere.

A generated graph has two to four communities; nodes of one community are joined more often and use the same words, so that a
hidden node's words follow from its neighbours. Labels: of a graph, its number of communities; of a node, its community. The
real graph is Zachary's karate club (1977), whose members' words are generated from the side they took.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from maskedmod.data.graph import Graph, clean
from maskedmod.modality import Record

WORDS = 16
"""Values of a node: words that it uses (1) or not (0), four of which are those of each community."""
SIZES = {"train": 192, "val": 48}
JOINED, APART, OWN_WORD, OTHER_WORD = 0.35, 0.03, 0.6, 0.06


def records(split: str) -> list[Record]:
    """``train`` 192 generated graphs of 16 to 48 nodes; ``val`` 47 others and the karate club."""
    if split not in SIZES:
        raise ValueError(f"split is {split!r}; expected train or val")
    made = [_generated(split, i) for i in range(SIZES[split] - (split == "val"))]
    found = [Record(graph, f"demo {split} {i}", count) for i, (graph, count) in enumerate(made)]
    return [*found, Record(_club(), "demo karate club", 2)] if split == "val" else found


@lru_cache(maxsize=sum(SIZES.values()))
def _generated(split: str, number: int) -> tuple[Graph, int]:
    """A graph and its number of communities."""
    draw = np.random.default_rng((13, list(SIZES).index(split), number))
    count = 2 + number % 3
    of = np.sort(draw.integers(count, size=draw.integers(16, 49)))
    source, target = np.triu_indices(len(of), 1)
    joined = draw.random(len(source)) < np.where(of[source] == of[target], JOINED, APART)
    return clean(_words(of, draw), np.stack([source[joined], target[joined]]), labels=of), count


@lru_cache(maxsize=1)
def _club() -> Graph:
    import networkx as nx

    club = nx.karate_club_graph()
    of = np.array([int(club.nodes[i]["club"] != "Mr. Hi") for i in range(len(club))])
    return clean(_words(of, np.random.default_rng(13)), np.array(club.edges).T, labels=of)


def _words(of: np.ndarray[Any, Any], draw: np.random.Generator) -> np.ndarray[Any, Any]:
    """float32 ``[n, WORDS]`` of nodes in communities ``of``."""
    own = np.arange(WORDS) // 4 == of[:, None]
    return (draw.random((len(of), WORDS)) < np.where(own, OWN_WORD, OTHER_WORD)).astype(np.float32)

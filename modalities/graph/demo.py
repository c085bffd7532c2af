"""The built-in sample: a real club and generated graphs of communities, made when they are asked for, the same everywhere.

A generated graph has two to four communities; nodes of one community are joined more often and use the same words, so that a
hidden node's words follow from its neighbours. Labels: of a graph, its number of communities; of a node, its community. The
real graph is Zachary's karate club (1977), whose members' words are generated from the side they took.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from maskedmod.core.modality import Record
from maskedmod.data.graphs.graph import Graph, clean

WORDS = 16
"""Values of a node: words that it uses (1) or not (0), four of which are those of each community."""
SIZES = {"train": 192, "val": 48}
JOINED, APART, OWN_WORD, OTHER_WORD = 0.35, 0.03, 0.6, 0.06


def records(split: str) -> list[Record]:
    """``train`` 192 generated graphs of 22 to 48 nodes; ``val`` 47 others and the karate club."""
    if split not in SIZES:
        raise ValueError(f"split is {split!r}; expected train or val")
    found = [_record(_generated(split, i), f"demo {split} {i}") for i in range(SIZES[split] - (split == "val"))]
    return [*found, _record(_club(), "demo karate club")] if split == "val" else found


def _record(made: tuple[Graph, list[int]], key: str) -> Record:
    graph, of = made
    return Record(graph, key, len(set(of)), {"token_labels": of})


@lru_cache(maxsize=sum(SIZES.values()))
def _generated(split: str, number: int) -> tuple[Graph, list[int]]:
    """A graph and the communities of its nodes."""
    draw = np.random.default_rng((13, list(SIZES).index(split), number))
    count = 2 + number % 3
    of = np.sort(np.concatenate([np.arange(count), draw.integers(count, size=draw.integers(20, 45))]))
    source, target = np.triu_indices(len(of), 1)
    joined = draw.random(len(source)) < np.where(of[source] == of[target], JOINED, APART)
    return clean(_words(of, draw), np.stack([source[joined], target[joined]])), of.tolist()


@lru_cache(maxsize=1)
def _club() -> tuple[Graph, list[int]]:
    import networkx as nx

    club = nx.karate_club_graph()
    of = np.array([int(club.nodes[i]["club"] != "Mr. Hi") for i in range(len(club))])
    return clean(_words(of, np.random.default_rng(13)), np.array(club.edges).T), of.tolist()


def _words(of: np.ndarray[Any, Any], draw: np.random.Generator) -> np.ndarray[Any, Any]:
    """float32 ``[n, WORDS]`` of nodes in communities ``of``."""
    own = np.arange(WORDS) // 4 == of[:, None]
    return (draw.random((len(of), WORDS)) < np.where(own, OWN_WORD, OTHER_WORD)).astype(np.float32)

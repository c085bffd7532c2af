"""From read graphs to a packed batch, and from a batch to Tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.core.tokens import Layout, Relation, Tokens
from maskedmod.data.graphs.graph import Graph
from maskedmod.sequences.packing import positions


def pack(graphs: Sequence[Graph]) -> dict[str, Any]:
    """S graphs one after another: ``nodes`` ``[L, P]``, ``edge_index`` int64 ``[2, E]`` (source, target) counted over the whole
    batch and sorted by target, ``edge_attr`` ``[E, Q]`` where there is one, ``cu_seqlens`` int32 ``[S+1]``, ``max_seqlen``.

    A single graph is not copied: every step of whole-graph training gets the same tensors, so that what is derived from
    ``edge_index`` may be kept. ``seeds`` bool ``[L]`` where the graphs are parts of larger ones."""
    sizes = torch.tensor([len(graph) for graph in graphs])
    cu = torch.zeros(len(graphs) + 1, dtype=torch.int32)
    cu[1:] = sizes.cumsum(0)
    if len(graphs) == 1:
        nodes, edges = torch.from_numpy(graphs[0].nodes), torch.from_numpy(graphs[0].edges)
    else:
        nodes = torch.from_numpy(np.concatenate([graph.nodes for graph in graphs]))
        starts = cu[:-1].tolist()
        edges = torch.from_numpy(np.concatenate([g.edges + s for g, s in zip(graphs, starts, strict=True)], axis=1))
    batch: dict[str, Any] = {"nodes": nodes, "edge_index": edges, "cu_seqlens": cu, "max_seqlen": int(sizes.max())}
    if graphs[0].edge_attr is not None:
        batch["edge_attr"] = torch.from_numpy(np.concatenate([graph.edge_attr for graph in graphs]))  # type: ignore[misc]
    if graphs[0].seeds is not None:
        batch["seeds"] = torch.from_numpy(np.concatenate([graph.seeds for graph in graphs]))  # type: ignore[misc]
    return batch


def unpack(batch: dict[str, Any]) -> Tokens:
    """Tokens of what ``pack`` made: one a node, ``pos`` ``[L, 1]`` its number in its own graph."""
    nodes: Tensor = batch["nodes"]
    layout = Layout(cu_seqlens=batch["cu_seqlens"], max_seqlen=batch["max_seqlen"])
    relation = Relation(batch["edge_index"], batch.get("edge_attr"))
    return Tokens(nodes, positions(layout, len(nodes)), layout, relation=relation)

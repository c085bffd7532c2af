"""Objects of PyTorch Geometric itself and of NetworkX: what is read of them, and every way in which they are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskedmod.core.modality import BadSample, Modality
from maskedmod.data.graphs.objects import convert
from maskedmod.data.sources.graphs import Graphs
from maskedmod.data.sources.pyg import Pyg
from maskedmod.errors import UserError
from maskedmod.features.inputs import batches
from maskedmod.features.opened import open_input
from maskedmod.recipe.build import build_modality

nx = pytest.importorskip("networkx")
geometric = pytest.importorskip("torch_geometric.data")
X = torch.arange(12.0).reshape(4, 3)
EDGES = torch.tensor([[0, 1, 2, 2], [1, 0, 1, 1]])


@pytest.fixture
def modality() -> Modality:
    return build_modality({"modality": {"graph": {"features": 3}}})


def data(**given: Any) -> Any:
    return geometric.Data(**{"x": X, "edge_index": EDGES, **given})


@pytest.mark.parametrize("x", [X.to_sparse(), X.bfloat16(), X.long(), X.clone().requires_grad_()])
def test_values_of_any_type_and_layout(x: torch.Tensor) -> None:
    graph = convert(data(x=x))
    assert graph.nodes.dtype == np.float32 and graph.nodes.tolist() == X.tolist()
    assert graph.edges.tolist() == [[1, 0, 2], [0, 1, 1]] and graph.removed == {"duplicate edges": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (geometric.Data(), "no edge_index"),
        (geometric.Data(x=X), "no edge_index"),
        (data(x=X[:0], edge_index=EDGES[:, :0]), "has no node"),
        (data(x=X.reshape(4, 3, 1)), r"x has the shape \(4, 3, 1\)"),
        (data(edge_index=EDGES.T), r"edges int64 \[4, 2\]; expected whole numbers \[2, E\]"),
        (data(edge_index=EDGES + 0.5), r"edges float32 \[2, 4\]"),
        (data(edge_index=EDGES + 3), "edge 0 joins 3 and 4; expected node numbers 0 to 3"),
        (data(edge_attr=torch.ones(3)), "4 edges and attributes of 3"),
        (geometric.HeteroData(), "expected a graph, got HeteroData"),
        (geometric.Batch.from_data_list([data(), data()]), "to_data_list"),
    ],
)
def test_objects_that_are_no_graph(given: Any, message: str) -> None:
    with pytest.raises(BadSample, match=message):
        convert(given)


def test_a_batch_and_a_data_set_are_several_samples_in_python(modality: Modality) -> None:
    class Small(geometric.InMemoryDataset):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.data, self.slices = self.collate([data(), data(), data()])

    for given in (Small(), geometric.Batch.from_data_list([data()] * 3)):
        (batch,) = batches(modality, given, 8)
        assert batch["cu_seqlens"].tolist() == [0, 4, 8, 12]
    with pytest.raises(UserError, match="item 0: expected a graph, got HeteroData"):
        list(batches(modality, geometric.HeteroData(), 8))


def test_what_is_left_out_of_an_object_is_told_in_python(modality: Modality) -> None:
    with pytest.warns(UserWarning, match="1 of 1 samples were changed in reading, first item 0: 1 duplicate edges left out"):
        list(batches(modality, data(), 8))


def test_sources_of_objects_say_what_they_leave_out(modality: Modality) -> None:
    source = Pyg(data())
    assert len(source.everything(modality)) == 1
    assert source.notes == ["Data: 4 nodes, 1 of them without neighbours, 3 directed edges", "Data: 1 duplicate edges left out"]
    loop = nx.Graph([(0, 1), (1, 1)])
    listed = Graphs([loop, loop])
    listed.everything(modality)
    said, left, _ = listed.notes
    assert said == "data.path: 2 graphs, 4 nodes, 0 of them without neighbours, 4 directed edges" and "2 self-loops" in left


def test_values_of_some_graphs_alone_are_an_error(modality: Modality) -> None:
    bare = geometric.Data(edge_index=EDGES, num_nodes=4)
    with pytest.raises(UserError, match="graph 0 has no values 'x' of nodes, list graph 1 has"):
        Pyg([bare, data()]).everything(modality)
    with pytest.raises(UserError, match="graph 0 is a int; expected a graph of NetworkX"):
        Graphs([3]).everything(modality)


@pytest.mark.parametrize("ending", ["graphml", "gexf", "gml"])
def test_an_edge_to_a_node_that_is_not_listed(ending: str, tmp_path: Path, modality: Modality) -> None:
    file = tmp_path / f"path.{ending}"
    getattr(nx, f"write_{ending}")(nx.path_graph(3), file)
    assert len(Graphs(str(file)).everything(modality)[0].data) == 3
    text = file.read_text()
    wrong = text.replace("target 2", "target 7") if ending == "gml" else text.replace('target="2"', 'target="7"')
    assert wrong != text
    file.write_text(wrong)
    expected = "undefined target 7" if ending == "gml" else "an edge names node '7', which is not among its 3 nodes"
    with pytest.raises(UserError, match=f"path.{ending} cannot be read as a graph: .*{expected}"):
        Graphs(str(file)).everything(modality)


@pytest.mark.parametrize("key", ["edges", "links"])
def test_node_link_files_old_and_new(key: str, tmp_path: Path, modality: Modality) -> None:
    file = tmp_path / "path.json"
    content = nx.node_link_data(nx.path_graph(3), edges=key)
    file.write_text(json.dumps(content))
    (record,) = Graphs(str(file)).everything(modality)
    assert record.data.edges.tolist() == [[1, 0, 2, 1], [0, 1, 1, 2]]
    content[key].append({"source": 0, "target": 7})
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="an edge names node 7, which is not among its 3 nodes"):
        Graphs(str(file)).everything(modality)
    with pytest.raises(UserError, match=r"notes.txt cannot be read as a graph; expected a file ending in .graphml"):
        (tmp_path / "notes.txt").write_text("")
        Graphs(str(tmp_path / "notes.txt")).everything(modality)


def test_sources_of_graphs_are_embedded_whole(tmp_path: Path, modality: Modality) -> None:
    path = nx.path_graph(3)
    nx.set_node_attributes(path, {0: 5, 1: 6, 2: 7}, "age")
    nx.write_gml(path, tmp_path / "path.gml")
    tree = {"modality": {"graph": {}}, "data": {"demo": {}}}
    records, notes = open_input(None, ["data=graphs", f"data.path={tmp_path}", "data.values=[age]"], tree, modality)
    assert [record.data.nodes.tolist() for record in records] == [[[5], [6], [7]]] and "3 nodes" in notes[0]
    with pytest.raises(UserError, match="other files are named by input="):
        open_input(None, ["data=folder", f"data.path={tmp_path}"], tree, modality)

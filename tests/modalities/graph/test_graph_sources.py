"""Files of graphs: the published sets as they are published, and every way of spoiling them."""

from __future__ import annotations

import gzip
import json
import os
import pickle
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from maskedmod.core.modality import Modality
from maskedmod.data.graphs.pickles import read_pickle
from maskedmod.data.sources.edges import Edges
from maskedmod.data.sources.graphs import Graphs
from maskedmod.data.sources.ogb import Ogb
from maskedmod.data.sources.planetoid import Planetoid
from maskedmod.data.sources.pyg import Pyg
from maskedmod.data.sources.tu import Tu
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality
from tests.conftest import shared


@pytest.fixture
def modality() -> Modality:
    return build_modality({"modality": {"graph": {}}})


def test_cora_is_as_published(modality: Modality) -> None:
    source = Planetoid(str(shared("data/graphs/planetoid")))
    (record,) = source.records("train", modality)  # type: ignore[misc]
    graph, parts = record.data, record.extra["parts"]
    assert graph.nodes.shape == (2708, 1433) and graph.edges.shape == (2, 2 * 5278)
    assert np.bincount(record.label).tolist() == [351, 217, 418, 818, 426, 298, 180]
    assert [len(parts[name]) for name in ("train", "val", "test")] == [140, 500, 1000]
    assert np.bincount(np.array(record.label)[parts["train"]]).tolist() == [20] * 7
    assert parts["test"].tolist() == list(range(1708, 2708)) and graph.nodes.sum() == 49216
    assert "302 duplicate edges left out" in source.notes[1]
    assert source.records("val", modality)[0].data is graph  # type: ignore[index]


def planetoid(folder: Path, **changed: Any) -> Path:
    """A graph of 8 nodes in Planetoid's files: 2 to train, 3 known, test nodes 3, 4 and 6; 5 is in no file."""
    parts: dict[str, Any] = {
        "x": sparse.csr_matrix(np.eye(2, 4)), "allx": sparse.csr_matrix(np.eye(3, 4)), "tx": sparse.csr_matrix(np.ones((3, 4))),
        "y": np.eye(2), "ally": np.eye(3)[:, :2], "ty": np.array([[0, 1], [1, 0], [0, 1]]),
        "graph": defaultdict(list, {0: [1, 1, 0], 1: [0], 6: [3], 5: []}),
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    for name, value in {**parts, **changed}.items():
        if name != "index":
            (folder / f"ind.toy.{name}").write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=2))
    (folder / "ind.toy.test.index").write_text(changed.get("index", "4\n3\n6\n"))
    return folder


def test_planetoid_fills_test_nodes_that_are_in_no_file(tmp_path: Path, modality: Modality) -> None:
    source = Planetoid(str(planetoid(tmp_path)))
    (record,) = source.everything(modality)
    assert record.label == [0, 1, None, 0, 1, None, 1]
    assert record.data.nodes.toarray().sum(1).tolist() == [1, 1, 1, 4, 4, 0, 4]
    assert record.data.edges.T.tolist() == [[1, 0], [0, 1], [6, 3], [3, 6]]
    assert record.extra["parts"]["test"].tolist() == [3, 4, 6]
    assert source.notes[0].endswith("7 nodes, 3 of them without neighbours, 4 directed edges")
    assert source.notes[1].endswith("1 self-loops, 1 duplicate edges left out")


class Nasty:
    def __reduce__(self) -> Any:
        return os.mkdir, ("made_by_a_pickle",)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"graph": {0: [9]}}, "ind.toy: edge 0 joins 0 and 9; expected node numbers 0 to 6"),
        ({"x": b"no pickle"}, "ind.toy.x cannot be read as a pickle of arrays"),
        ({"index": "4\nthree\n6"}, "ind.toy.test.index cannot be read: .*three"),
        ({"graph": [1, 2]}, "ind.toy.graph holds a list; expected lists of neighbours by node"),
        ({"tx": [1, 2]}, "ind.toy.tx holds a list; expected a table"),
        ({"ally": np.eye(2)}, r"ind.toy.ally has the shape \(2, 2\), ind.toy.allx \(3, 4\)"),
        ({"index": "4\n3\n"}, "ind.toy.test.index names 2 nodes from 3 on; expected 3 from 3 on"),
    ],
)
def test_spoilt_planetoid_files(changed: dict[str, Any], message: str, tmp_path: Path, modality: Modality) -> None:
    with pytest.raises(UserError, match=message):
        Planetoid(str(planetoid(tmp_path, **changed))).records("train", modality)


def test_pickles_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, content in enumerate([Nasty(), {"a": [Nasty()]}]):
        path = tmp_path / f"{number}.pickle"
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match="asks for .*mkdir, which is no part of an array"):
            read_pickle(path)
    assert not (tmp_path / "made_by_a_pickle").exists()


@pytest.mark.parametrize(
    ("name", "graphs", "nodes", "edges", "width", "classes"),
    [("MUTAG", 188, 3371, 7442, 7, [63, 125]), ("IMDB-BINARY", 1000, 19773, 193062, 136, [500, 500])],
)
def test_tu_sets_are_as_published(
    name: str, graphs: int, nodes: int, edges: int, width: int, classes: list[int], modality: Modality
) -> None:
    source = Tu(str(shared("data/graphs/TUDataset")), name, val_fraction=0.0)
    records = source.records("train", modality)
    assert isinstance(records, list) and len(records) == graphs
    assert sum(len(r.data) for r in records) == nodes and sum(r.data.edges.shape[1] for r in records) == edges
    assert {r.data.nodes.shape[1] for r in records} == {width}
    assert np.unique([r.label for r in records], return_counts=True)[1].tolist() == classes
    if name == "IMDB-BINARY":
        assert any("193062 duplicate edges left out" in note for note in source.notes)
        degree = np.bincount(records[0].data.edges[1], minlength=len(records[0].data))
        assert records[0].data.nodes.argmax(1).tolist() == degree.tolist()


TU = {
    "A": "1, 2\n2, 1\n3, 4\n4, 3\n4, 4\n", "graph_indicator": "1\n1\n2\n2\n2\n", "graph_labels": "1\n-1\n",
    "node_labels": "0\n4\n4\n0\n7\n", "edge_labels": "1\n1\n2\n2\n2\n",
}  # fmt: skip


def tu(folder: Path, **changed: str) -> str:
    for name, text in {**TU, **changed}.items():
        (folder / f"toy_{name}.txt").write_text(text)
    return str(folder)


def test_tu_reads_labels_edges_and_nodes_without_neighbours(tmp_path: Path, modality: Modality) -> None:
    first, second = Tu(tu(tmp_path), edges="given").everything(modality)
    assert (first.label, second.label) == (1, -1)
    assert second.data.nodes.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]] and second.data.edges.tolist() == [[1, 0], [0, 1]]
    assert first.data.edge_attr.tolist() == [[1, 0]] * 2 and second.data.edge_attr.tolist() == [[0, 1]] * 2
    assert second.data.removed == {"self-loops": 1}
    degrees = [r.data.nodes.argmax(1).tolist() for r in Tu(tu(tmp_path), nodes="degree").everything(modality)]
    assert degrees == [[1, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"A": "1, 2\n3, 6\n"}, "toy_A.txt row 2 joins 3 and 6; expected nodes 1 to 5"),
        ({"A": "1, 2\n2, 3\n"}, "toy_A.txt row 2 joins nodes of graphs 1 and 2"),
        ({"A": "1, 2\n2, x\n"}, "toy_A.txt row 2 is '2 x'; expected 2 whole numbers"),
        ({"A": "1, 2\n2\n"}, "toy_A.txt row 2 is '2'; expected 2 whole numbers"),
        ({"A": ""}, "toy_A.txt is empty"),
        ({"graph_indicator": "1\n1\n3\n3\n3\n"}, "toy_graph_indicator.txt: graph 2 has no node"),
        ({"graph_labels": "1\n"}, "toy_graph_labels.txt has 1 rows, .*indicator.txt 2 graphs"),
        ({"node_labels": "1\n2\n"}, "toy_node_labels.txt has 2 rows, expected 5"),
    ],
)
def test_spoilt_tu_files(changed: dict[str, str], message: str, tmp_path: Path, modality: Modality) -> None:
    with pytest.raises(UserError, match=message):
        Tu(tu(tmp_path, **changed)).records("train", modality)


def test_a_table_of_edges_with_nodes_and_features(modality: Modality) -> None:
    root = shared("data/graphs/musae_facebook") / "facebook"
    source = Edges(f"{root}_edges.csv", f"{root}_target.csv", f"{root}.json", label_column="page_type")
    (record,) = source.everything(modality)
    assert record.data.nodes.shape == (22470, 4714) and record.data.edges.shape == (2, 2 * (171002 - 179))
    assert np.unique(record.label, return_counts=True)[1].tolist() == [6495, 6880, 5768, 3327]
    assert "179 self-loops left out" in source.notes[1]


def table(folder: Path, edges: str, nodes: str | None = None, features: Any = None, **arguments: Any) -> Edges:
    (folder / "edges.csv").write_text(edges)
    if nodes is not None:
        (folder / "nodes.csv").write_text(nodes)
        arguments["nodes"] = str(folder / "nodes.csv")
    if features is not None:
        (folder / "features.json").write_text(features if isinstance(features, str) else json.dumps(features))
        arguments["features"] = str(folder / "features.json")
    return Edges(str(folder / "edges.csv"), **arguments)


def test_names_values_labels_and_parts_of_a_node_table(tmp_path: Path, modality: Modality) -> None:
    nodes = "name,age,size,label,part\nann,1,2.5,x,train\nbob,3,4,y,test\ncid,0,0,,val\n"
    source = table(tmp_path, "from,to\nbob,ann\n", nodes, value_columns=("age", "size"), split_column="part")
    (record,) = source.everything(modality)
    assert record.data.nodes.tolist() == [[1, 2.5], [3, 4], [0, 0]] and record.label == ["x", "y", None]
    assert {part: rows.tolist() for part, rows in record.extra["parts"].items()} == {"train": [0], "test": [1], "val": [2]}
    assert record.data.edges.T.tolist() == [[1, 0], [0, 1]]


def test_edges_alone_give_degrees_in_the_order_of_names(tmp_path: Path, modality: Modality) -> None:
    (record,) = table(tmp_path, "a,b\n10,9\n9,11\n").everything(modality)
    assert record.data.nodes.argmax(1).tolist() == [2, 1, 1] and record.label is None
    (record,) = table(tmp_path, "a,b\n10,9\n9,11\n", directed=True).everything(modality)
    assert record.data.edges.T.tolist() == [[1, 0], [0, 2]]


@pytest.mark.parametrize(
    ("edges", "nodes", "features", "arguments", "message"),
    [
        ("a,b\n1,2\n1,3\n", "id\n1\n2\n", None, {}, "edges.csv row 1 names node '3', which the node table does not have"),
        ("a,b\n", "id\n", None, {}, "edges.csv: has no node"),
        ("a\n1\n", None, None, {}, "edges.csv has one column, 'a'; expected two"),
        ("a,b\n1,2\n", "id\n1\n2\n1\n", None, {}, "nodes.csv: node '1' is there twice"),
        ("a,b\n1,2\n", "id,v\n1,3\n2,x\n", None, {"value_columns": ("v",)}, "nodes.csv row 1: v is 'x'; expected a number"),
        ("a,b\n1,2\n", "id\n1\n2\n", {"1": [0], "5": [1]}, {}, "features.json has features of node '5'"),
        ("a,b\n1,2\n", "id\n1\n2\n", {"1": [-1]}, {}, "features.json: features of node '1' are .*; expected a list of whole"),
        ("a,b\n1,2\n", "id\n1\n2\n", "{", {}, "features.json cannot be read as JSON"),
        ("a,b\n1,2\n", "id\n1\n2\n", None, {"columns": ("a", "c")}, "column 'c'"),
        ("a,b\n1,2\n", None, None, {"columns": ("a", "a")}, "expected the two ends of an edge"),
        ("0,1\n2,3\n", None, None, {}, "edges.csv begins with 0, 1: column names or an edge"),
        ("a,b\n0,1\n,2\n", None, None, {}, "edges.csv row 1: a is empty; expected the name of a node"),
        ("a,b\n1,2\n", None, {"1": []}, {}, "features.json has no feature of any node"),
    ],
)
def test_spoilt_tables(
    edges: str, nodes: str | None, features: Any, arguments: dict[str, Any], message: str, tmp_path: Path, modality: Modality
) -> None:
    with pytest.raises(UserError, match=message):
        table(tmp_path, edges, nodes, features, **arguments).records("train", modality)


def ogb(folder: Path, **changed: str) -> str:
    """Two graphs of 2 and 3 nodes."""
    files = {
        "raw/edge": "0,1\n0,1\n1,2\n", "raw/num-node-list": "2\n3\n", "raw/num-edge-list": "1\n2\n",
        "raw/node-feat": "1,0\n0,1\n2,0\n0,2\n3,3\n", "raw/graph-label": "1,\n0,1\n", "split/random/train": "1\n",
        "split/random/valid": "0\n", "split/random/test": "0\n",
    }  # fmt: skip
    for name, text in {**files, **{key.replace("_", "/", 1): text for key, text in changed.items()}}.items():
        path = folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    return str(folder)


def test_ogb_files_of_many_graphs(tmp_path: Path, modality: Modality) -> None:
    source = Ogb(ogb(tmp_path))
    (train,), (val,) = source.records("train", modality), source.records("val", modality)  # type: ignore[misc]
    assert train.data.nodes.tolist() == [[2, 0], [0, 2], [3, 3]] and train.data.edges.T.tolist() == [
        [1, 0],
        [0, 1],
        [2, 1],
        [1, 2],
    ]
    assert train.label == [0, 1] and val.label == [1, None] and len(val.data) == 2


def test_ogb_files_of_one_graph(tmp_path: Path, modality: Modality) -> None:
    one = {"raw_num-node-list": "5\n", "raw_num-edge-list": "3\n", "raw_graph-label": "0\n", "raw_node-label": "2\n0\n1\n\n2\n"}
    path = ogb(tmp_path, **{**one, "raw_node-label": "2\n0\n1\nnan\n2\n"})
    (record,) = Ogb(path, directed=True).everything(modality)
    assert record.label == [2, 0, 1, None, 2] and record.extra["parts"]["train"].tolist() == [1]
    assert record.data.edges.T.tolist() == [[0, 1], [1, 2]] and record.data.removed == {"duplicate edges": 1}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"raw_edge": "0,1\n0,1\n1,3\n"}, "edge.csv.gz, graph 1: edge 2 joins 1 and 3; expected node numbers 0 to 2"),
        ({"raw_edge": "0,1\n0,1\n"}, "edge.csv.gz has 2 rows, expected 3"),
        ({"raw_node-feat": "1,0\n"}, "node-feat.csv.gz has 1 rows, expected 5"),
        ({"raw_num-edge-list": "4\n-1\n"}, "num-edge-list.csv.gz row 2 is -1; expected a number from 0 on"),
        ({"split_random/valid": "7\n"}, "valid.csv.gz names 7 of 2"),
        ({"split_other/train": "0\n"}, "split has other, random; choose one with data.split="),
    ],
)
def test_spoilt_ogb_files(changed: dict[str, str], message: str, tmp_path: Path, modality: Modality) -> None:
    with pytest.raises(UserError, match=message):
        Ogb(ogb(tmp_path, **changed)).records("train", modality)


def data(n: int, *edges: tuple[int, int], **more: Any) -> Any:
    """What a Data object of PyTorch Geometric shows."""
    return SimpleNamespace(num_nodes=n, edge_index=torch.tensor(edges).reshape(-1, 2).T, **more)


def test_objects_of_pytorch_geometric(modality: Modality) -> None:
    masks = {f"{part}_mask": torch.tensor([i == k for i in range(3)]) for k, part in enumerate(("train", "val", "test"))}
    nodes = data(3, (0, 1), (1, 0), x=torch.eye(3), y=torch.tensor([2, 0, 1]), **masks)
    (record,) = Pyg([nodes]).everything(modality)
    assert record.label == [2, 0, 1] and [record.extra["parts"][p].tolist() for p in ("train", "val", "test")] == [[0], [1], [2]]
    assert modality.read(record).edges.T.tolist() == [[1, 0], [0, 1]]
    graphs = Pyg([data(2, (0, 1), (1, 0), y=torch.tensor([1])), data(4, (0, 1), (2, 1), y=torch.tensor([0]))])
    first, second = graphs.everything(modality)
    assert (first.label, second.label) == (1, 0) and second.data.nodes.argmax(1).tolist() == [0, 2, 0, 0]
    with pytest.raises(UserError, match="graph 0: edge 0 joins 0 and 5"):
        Pyg([data(2, (0, 5))]).records("train", modality)


def test_networkx_graphs_and_files_of_them(tmp_path: Path, modality: Modality) -> None:
    import networkx as nx

    karate = nx.karate_club_graph()
    assert len(modality.read(Graphs([karate]).everything(modality)[0])) == 34
    for folder, size in (("rings", 5), ("paths", 4)):
        (tmp_path / folder).mkdir()
        graph = nx.cycle_graph(size) if folder == "rings" else nx.path_graph(size)
        nx.set_node_attributes(graph, {i: {"a": i, "b": 0.5} for i in graph})
        nx.write_graphml(graph, tmp_path / folder / "one.graphml")
        (tmp_path / folder / "two.json").write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    records = Graphs(str(tmp_path), values=("a", "b")).everything(modality)
    assert [r.label for r in records] == ["paths", "paths", "rings", "rings"]
    assert all(records[i].data.nodes[:, 0].tolist() == list(range(len(records[i].data))) for i in range(4))
    assert [r.data.edges.shape[1] for r in records] == [6, 6, 10, 10]
    (tmp_path / "rings" / "bad.gml").write_text("graph [")
    with pytest.raises(UserError, match=r"bad.gml cannot be read as a graph"):
        Graphs(str(tmp_path)).records("train", modality)

"""Tables of edges of other programs: which columns are the ends, whether the first line is one, what parts the cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from maskedmod.modalities.graph import Graph

from maskedmod.data.sources.edges import Edges
from maskedmod.errors import UserError

NAMES = ["alice,bob", "bob,carol", "carol,dave", "dave,erin"]


def read(path: Path, text: str, name: str = "edges.csv", **more: Any) -> tuple[int, int, list[str]]:
    """Nodes, undirected edges, and what was said."""
    (path / name).write_bytes(text.encode())
    source = Edges(str(path / name), **more)
    graph = source.records("train", Graph())[0].data
    return graph.nodes.shape[0], graph.edges.shape[1] // 2, source.notes


@pytest.mark.parametrize(
    ("text", "nodes", "edges"),
    [
        ("\n".join(NAMES), 5, 4),
        ("P12345,Q67890\nP12345,O11111\n", 3, 2),
        ("alice,bob,0.5\ncarol,dave,0.25\n", 4, 2),
        ("0,1\n1,2\n2,3\n", 4, 3),
        ("100 101\n101 102\n", 3, 2),
        ("0\t1\n1\t2\n", 3, 2),
        ("a;b\nb;c\n", 3, 2),
        ("a   b\nb \t c\n", 3, 2),
        ("# comment\n# more\n0\t1\n# within\n1\t2\n", 3, 2),
        ("% sym unweighted\n1 2\n2 3\n", 3, 2),
        ("\ufeffalice,bob\r\nbob,carol\r\n", 3, 2),
        ("alice,bob\rbob,carol\r", 3, 2),
        ('"Smith, A","Wu, B"\n"Wu, B","Li, C"\n', 3, 2),
    ],
)
def test_no_line_of_names(text: str, nodes: int, edges: int, tmp_path: Path) -> None:
    found = read(tmp_path, text)
    assert found[:2] == (nodes, edges)
    assert any("the first line is an edge" in note for note in found[2])


@pytest.mark.parametrize(
    "text",
    [
        ",source,target\n0,100,101\n1,101,102\n2,102,103\n3,103,104\n4,104,100\n",
        "Unnamed: 0,Source,Target\n0,100,101\n1,101,102\n2,102,103\n3,103,104\n4,104,100\n",
        "index,one,other\n1,100,101\n2,101,102\n3,102,103\n4,103,104\n5,104,100\n",
        "weight,to,from\n1,100,101\n2,101,102\n3,102,103\n1,103,104\n9,104,100\n",
        ",a_node,b_node\n0,100,101\n1,101,102\n2,102,103\n3,103,104\n4,104,100\n",
        '"source" "target"\n"1" 100 101\n"2" 101 102\n"3" 102 103\n"4" 103 104\n"5" 104 100\n'.replace('"', ""),
        "source,target\n100,101\n101,102\n102,103\n103,104\n104,100\n",
        "who,whom\n100,101\n101,102\n102,103\n103,104\n104,100\n",
        "# Nodes: 5 Edges: 5\n# FromNodeId\tToNodeId\n100\t101\n101\t102\n102\t103\n103\t104\n104\t100\n",
    ],
)
def test_columns_that_are_the_ends(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text)[:2] == (5, 5)


def test_what_is_asked_for_is_done(tmp_path: Path) -> None:
    text = "\n".join(NAMES)
    assert read(tmp_path, text, header=True)[:2] == (4, 3)
    assert read(tmp_path, "p,q\nr,s\n", header=False)[:2] == (4, 2)
    assert read(tmp_path, "a|b\nb|c\n", delimiter="|")[:2] == (3, 2)
    assert read(tmp_path, "x y\n0 1\n1 2\n", "edges.tsv")[:2] == (3, 2)
    assert read(tmp_path, "w,a,b\n1,7,8\n2,8,9\n", columns=("a", "b"))[:2] == (3, 2)
    assert read(tmp_path, "1,7,8\n5,8,9\n", header=False, columns=("column 2", "column 3"))[:2] == (3, 2)
    notes = read(tmp_path, "person,friend\nann,ben\nben,cid\n")[2]
    assert any("person, friend, is taken for column names; data.header=false" in note for note in notes)
    assert any("3 lines of comments" in note for note in read(tmp_path, "# a\n# b\n# c\n0 1\n1 2\n")[2])


def test_what_cannot_be_decided_or_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="begins with 0, 1: column names or an edge"):
        read(tmp_path, "0,1\n100,101\n101,102\n")
    assert read(tmp_path, "0,1\n100,101\n101,102\n", header=True)[:2] == (3, 2)
    with pytest.raises(UserError, match="one column, 'a'; expected two"):
        read(tmp_path, "a\n1\n")
    with pytest.raises(UserError, match=r"row 1 has 3 cells, expected 2"):
        read(tmp_path, "source,target\n1,2\n1,2,3\n")
    with pytest.raises(UserError, match="is empty"):
        read(tmp_path, "# nothing\n\n")
    with pytest.raises(UserError, match="row 1: target is empty"):
        read(tmp_path, "source,target\n1,2\n3,\n")


def test_the_node_table_has_row_numbers_too(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("\ufeff,id,label\n0,100,x\n1,101,y\n2,102,x\n", encoding="utf-8")
    (tmp_path / "edges.csv").write_text(",source,target\n0,100,101\n1,101,102\n")
    (record,) = Edges(str(tmp_path / "edges.csv"), str(tmp_path / "nodes.csv")).everything(Graph())
    assert (
        len(record.data) == 3 and record.data.edges.tolist() == [[1, 0, 2, 1], [0, 1, 1, 2]] and record.label == ["x", "y", "x"]
    )

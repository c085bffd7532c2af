"""Files of points and meshes: what is read, and what is refused with which words."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from maskedmod.modalities.points.formats.pcd import _unpacked
from maskedmod.modalities.points.reading import Part, read_cloud, read_shape
from maskedmod.modalities.points.surface import sample_surface

from maskedmod.core.modality import BadSample, Record, changes
from tests.conftest import shared

POINTS = np.round(np.random.default_rng(0).uniform(-1, 1, (50, 3)), 3)
PART = Part(count=32, least=8, centre="none", mesh="surface", drop_nan=False)
SQUARE = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]


def ply(order: str, points: np.ndarray = POINTS, faces: str = "", extra: str = "") -> bytes:
    kind = {"<": "binary_little_endian", ">": "binary_big_endian"}.get(order, "ascii")
    head = f"ply\nformat {kind} 1.0\ncomment made here\nelement vertex {len(points)}\nproperty double x\nproperty double y\n"
    head += f"property uchar red\nproperty double z\n{extra}end_header\n"
    if order:
        table = np.zeros(len(points), [("x", order + "f8"), ("y", order + "f8"), ("red", "u1"), ("z", order + "f8")])
        table["x"], table["y"], table["z"] = points.T
        return head.encode() + table.tobytes()
    return (head + "".join(f"{x} {y} 7 {z}\n" for x, y, z in points) + faces).encode()


@pytest.mark.parametrize("order", ["", "<", ">"])
def test_ply(order: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ply"
    file.write_bytes(ply(order))
    assert np.array_equal(read_shape(file).points, POINTS)
    file.write_bytes(ply(order)[:-40])
    with pytest.raises(BadSample, match="cut off: 4[0-9] of 50 (rows|lines) of element vertex|vertex: "):
        read_shape(file)


@pytest.mark.parametrize("order", ["", "<", ">"])
@pytest.mark.parametrize("mixed", [False, True])
def test_ply_faces(order: str, mixed: bool, tmp_path: Path) -> None:
    """Triangles alone are read at once, polygons of several kinds row by row."""
    polygons = [[0, 1, 2], [0, 2, 3], [0, 1, 2, 3]] if mixed else [[0, 1, 2], [0, 2, 3]]
    extra = f"element face {len(polygons)}\nproperty list uchar int vertex_indices\n"
    raw = ply(order, np.array(SQUARE, float), extra=extra)
    for corners in polygons:
        raw += (
            struct.pack(f"{order}B{len(corners)}i", len(corners), *corners)
            if order
            else (f"{len(corners)} {' '.join(map(str, corners))}\n".encode())
        )
    file = tmp_path / "mesh.ply"
    file.write_bytes(raw)
    faces = read_shape(file).faces
    assert faces is not None
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], *([[0, 1, 2], [0, 2, 3]] if mixed else [])]
    file.write_bytes(raw[:-5])
    with pytest.raises(BadSample, match=r"cut off|faces of|no integer|a face begins"):
        read_shape(file)


def off(head: str = "OFF\n4 2 0\n", faces: str = "3 0 1 2\n3 0 2 3\n") -> str:
    return head + "".join(f"{x} {y} {z}\n" for x, y, z in SQUARE) + faces


@pytest.mark.parametrize("head", ["OFF\n4 2 0\n", "OFF4 2 0\n", "OFF 4 2 0\n", "# made here\nOFF\n\n4 2\n", "COFF\n4 2 0\n"])
def test_off(head: str, tmp_path: Path) -> None:
    """Also the header of ModelNet40, whose counts follow the word at once."""
    file = tmp_path / "a.off"
    file.write_text(off(head))
    shape = read_shape(file)
    assert np.array_equal(shape.points, SQUARE) and shape.faces is not None and shape.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("PLY\n4 2 0\n", "is no OFF file"),
        ("OFF\nfour 2 0\n", "broken OFF header: expected numbers of vertices, faces and edges, found 'four 2 0'"),
        ("OFF\n4\n0 0 0\n", "broken OFF header"),
        ("OFF\n400 2 0\n0 0 0\n", "cut off: the header promises 400 vertices and 2 faces, 1 lines follow"),
        (off(faces="3 0 1 2\n3 0 1 9\n"), r"a face names vertex 9, the file has 4 \(0 to 3\)"),
        (off(faces="3 0 1 2\nx 0 1 2\n"), "a face begins with 'x'"),
        (off().replace("1 1 0", "1 one 0"), "vertices: "),
    ],
)  # fmt: skip
def test_broken_off(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "a.off"
    file.write_text(text)
    with pytest.raises(BadSample, match=words):
        read_shape(file)


def pcd(kind: str, body: bytes) -> bytes:
    head = "# .PCD v0.7\nVERSION 0.7\nFIELDS i x y z\nSIZE 2 4 4 4\nTYPE U F F F\nCOUNT 1 1 1 1\nWIDTH 50\nHEIGHT 1\n"
    return f"{head}VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 50\nDATA {kind}\n".encode() + body


def test_pcd(tmp_path: Path) -> None:
    file, single = tmp_path / "a.pcd", POINTS.astype(np.float32)
    table = np.zeros(50, [("i", "<u2"), ("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    table["x"], table["y"], table["z"] = single.T
    columns = b"".join(table[name].tobytes() for name in ("i", "x", "y", "z"))
    # LZF: 100 zero bytes as a literal and a copy that reaches into itself, then literals of up to 32 bytes
    rest = [columns[i : i + 32] for i in range(100, len(columns), 32)]
    packed = b"\x00\x00" + bytes([7 << 5, 99 - 9, 0]) + b"".join(bytes([len(part) - 1]) + part for part in rest)
    bodies = {
        "ascii": "".join(f"1 {x} {y} {z}\n" for x, y, z in single).encode(),
        "binary": table.tobytes(),
        "binary_compressed": struct.pack("<II", len(packed), len(columns)) + packed,
    }
    for kind, body in bodies.items():
        file.write_bytes(pcd(kind, body))
        assert np.allclose(read_shape(file).points, single, atol=1e-7), kind
        file.write_bytes(pcd(kind, body[:-30]))
        with pytest.raises(BadSample, match="cut off|points: "):
            read_shape(file)
    with pytest.raises(BadSample, match="damaged"):
        _unpacked(struct.pack("<II", 3, 9) + b"\x21\xff\x00")


@pytest.mark.parametrize(("name", "sign"), [("a.xyz", " "), ("a.txt", ","), ("a.pts", "\t"), ("a.asc", ";")])
def test_text(name: str, sign: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text("# a comment\nx y z intensity\n" + "".join(f"{sign.join(map(str, p))}{sign}0.5\n" for p in POINTS))
    with changes() as heard:
        assert np.array_equal(read_shape(file).points, POINTS)
    assert heard == ["1 lines before the points left out"]
    file.write_text(file.read_text() + "1 2\n")
    with pytest.raises(BadSample, match="points: "):
        read_shape(file)


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", POINTS)
    np.savez(tmp_path / "a.npz", label=np.int64(3), points=POINTS)
    np.save(tmp_path / "object.npy", np.array([{"a": 1}]), allow_pickle=True)
    assert np.array_equal(read_shape(tmp_path / "a.npy").points, POINTS)
    assert np.array_equal(read_shape(tmp_path / "a.npz").points, POINTS)
    with pytest.raises(BadSample, match="not a readable array file"):
        read_shape(tmp_path / "object.npy")
    with pytest.raises(BadSample, match=r"array of shape \(50, 2\)"):
        read_shape(POINTS[:, :2])
    faces = read_shape({"vertices": np.array(SQUARE), "faces": np.array([[0, 1, 2]])}).faces
    assert faces is not None and faces.tolist() == [[0, 1, 2]]
    with pytest.raises(BadSample, match="faces name vertices 0 to 7; there are 4"):
        read_shape({"vertices": np.array(SQUARE), "faces": np.array([[0, 1, 7]])})


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (POINTS[:3], "3 different points, a group has 8"),
        (np.ones((100, 3)), "all 100 points are the same: a cloud without extent"),
        (np.repeat(POINTS[:5], 4, axis=0), "5 different points, a group has 8"),
        (np.where(np.arange(150).reshape(50, 3) == 31, np.nan, POINTS), "1 of 50 points are NaN or infinite"),
        (POINTS[:0], "holds no points"),
    ],
)  # fmt: skip
def test_clouds_that_cannot_be_used(points: np.ndarray, words: str) -> None:
    with pytest.raises(BadSample, match=words):
        read_cloud(Record(points, "a"), PART)


def test_nan_is_left_out_when_asked() -> None:
    spoilt = np.where(np.arange(150).reshape(50, 3) == 31, np.nan, POINTS)
    part = Part(count=49, least=8, centre="none", mesh="surface", drop_nan=True)
    with changes() as heard:
        cloud = read_cloud(Record(spoilt, "a"), part)
    assert np.isfinite(cloud).all() and heard == ["1 of 50 points left out: NaN or infinite"]


def test_number_of_points() -> None:
    """Of a longer cloud every point at most once, of a shorter one every point at least once; a seed draws anew."""
    few = read_cloud(Record(POINTS, "a"), PART)
    assert few.shape == (32, 3) and len(np.unique(few, axis=0)) == 32
    many = read_cloud(Record(POINTS[:20], "a"), PART)
    assert many.shape == (32, 3) and len(np.unique(many, axis=0)) == 20
    assert np.array_equal(few, read_cloud(Record(POINTS, "a"), PART))
    assert not np.array_equal(few, read_cloud(Record(POINTS, "a", extra={"seed": 5}), PART))


def test_map_coordinates_keep_their_digits() -> None:
    """float32 has steps of half a metre at 5,000 km: the centre is taken off before."""
    far = POINTS + np.array([431_000.0, 5_412_000.0, 120.0])
    part = Part(count=50, least=8, centre="centroid", mesh="surface", drop_nan=False)
    assert np.allclose(read_cloud(Record(far, "a"), part), read_cloud(Record(POINTS, "a"), part), atol=1e-6)


def test_surface_by_area() -> None:
    """Two triangles of areas 1 and 9; points lie in their planes and inside."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 5], [3, 0, 5], [0, 6, 5]], float)
    drawn = sample_surface(points, np.array([[0, 1, 2], [3, 4, 5]]), 20_000, np.random.default_rng(0))
    upper = drawn[:, 2] == 5
    assert abs(upper.mean() - 0.9) < 0.01 and set(drawn[:, 2]) == {0.0, 5.0}
    inside = drawn[upper]
    assert (inside[:, 0] / 3 + inside[:, 1] / 6 <= 1 + 1e-9).all()
    assert np.allclose(inside[:, :2].mean(0), [1, 2], atol=0.05)
    with pytest.raises(BadSample, match="2 triangles without area"):
        sample_surface(np.zeros((6, 3)), np.array([[0, 1, 2], [3, 4, 5]]), 5, np.random.default_rng(0))


@pytest.mark.parametrize("set_name", ["modelnet_samples", "geometric_shapes"])
def test_real_files(set_name: str) -> None:
    """Every file of the set, meshes by their surface; a PLY and a PCD of one object hold the same points."""
    root = shared("data/pointclouds") / set_name
    files: list[Any] = [file for file in sorted(root.rglob("*")) if file.suffix in (".off", ".ply", ".pcd")]
    for file in files:
        assert read_cloud(Record(file, str(file)), PART).shape == (32, 3)
    assert len(files) >= 5
    if set_name == "modelnet_samples":
        same = [read_shape(root / f"flower_pot.{ending}").points for ending in ("ply", "pcd")]
        assert same[0].shape == (2048, 3) and np.allclose(*same, atol=1e-5)

"""Clouds that cannot be used, by command: one line that names the file and what is wrong, or counted and left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from maskedmod.modalities.points import Points
from maskedmod.modalities.points.formats.off import read_off
from maskedmod.modalities.points.formats.pcd import read_pcd
from maskedmod.modalities.points.formats.ply import read_ply
from maskedmod.modalities.points.reading import Part, read_cloud

from maskedmod.cli import main
from maskedmod.core.modality import BadSample, Record, changes
from maskedmod.features.inputs import records

WORDS = [
    "recipe=point_mae", "preset=tiny", "data=folder", "modality.points=64", "modality.groups=8", "modality.group_size=8",
    "encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=24", "head.heads=2",
    "train.steps=2", "train.batch_size=4", "train.warmup_steps=1", "train.val_batches=1", "train.baseline_batches=1",
    "train.tensorboard=false", "train.pictures_every=0",
]  # fmt: skip
DRAW = np.random.default_rng(0)
CLOUD = DRAW.standard_normal((80, 3))
PLY = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 80\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
)
BAD = {
    "three.xyz": (b"0 0 0\n1 0 0\n0 1 0\n", "3 different points, a group has 8"),
    "nan.xyz": (b"".join(b"%f %f nan\n" % (x, y) for x, y, _ in CLOUD), "80 of 80 points are NaN or infinite"),
    "same.xyz": (b"1 2 3\n" * 90, "all 90 points are the same: a cloud without extent"),
    "cut.ply": (PLY + CLOUD.astype("<f4").tobytes()[:-7], "cut off: 79 of 80 rows of element vertex are there"),
    "head.off": (b"OFF\nmany 2 0\n" + b"0 0 1\n" * 9, "broken OFF header"),
}


@pytest.mark.parametrize("name", BAD)
def test_named_or_left_out(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "clouds"
    folder.mkdir()
    for i in range(9):
        np.save(folder / f"{i}.npy", DRAW.standard_normal((80, 3)))
    content, words = BAD[name]
    (folder / name).write_bytes(content)
    told = [*WORDS, f"data.path={folder}", "data.val_pattern=0.npy"]
    assert main(["train", *told, f"out={tmp_path / 'a'}", "train.steps=3"]) != 0
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert name in line and words in line
    assert main(["train", *told, f"out={tmp_path / 'b'}", "train.steps=3", "train.bad_samples=skip"]) == 0
    found = [json.loads(row) for row in (tmp_path / "b" / "bad_samples.jsonl").read_text().splitlines()]
    assert found and all(name in json.dumps(row) and words in json.dumps(row) for row in found)


PCD = b"FIELDS _ x y z _\nSIZE 1 4 4 4 1\nTYPE U F F F U\nCOUNT 4 1 1 1 2\nPOINTS 80\nDATA binary\n"
ROWS = b"".join(b"\x01\x02\x03\x04" + row.astype("<f4").tobytes() + b"\x05\x06" for row in CLOUD)


def test_fields_that_fill_up_rows() -> None:
    """The Point Cloud Library calls all of them ``_``."""
    np.testing.assert_array_equal(read_pcd(PCD + ROWS).points, CLOUD.astype(np.float32))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"COUNT 4 1 1 1 2", b"COUNT 4 1 1", "COUNT is missing or has another number of words"),
        (b"COUNT 4 1", b"COUNT 4 a", "COUNT 4 a 1 1 2, expected whole numbers"),
        (b"SIZE 1 4", b"SIZE 1 3", "TYPE F of SIZE 3 is no number"),
        (b"x y z", b"x y x", "FIELDS _ x y x _ names one twice"),
        (b"x y z", b"x y i", "PCD points have no z"),
    ],
)
def test_broken_pcd_header(old: bytes, new: bytes, words: str) -> None:
    with pytest.raises(BadSample, match=words):
        read_pcd(PCD.replace(old, new) + ROWS)


def test_ply_property_twice() -> None:
    with pytest.raises(BadSample, match="a property of element vertex is named twice"):
        read_ply(PLY.replace(b"float y", b"float x") + bytes(960))


def test_text_that_is_not_ascii() -> None:
    lines = "\n".join(f"{x} {y} {z}" for x, y, z in CLOUD)
    head = PLY.decode().replace("binary_little_endian 1.0", "ascii 1.0\ncomment \u00e9glise")
    np.testing.assert_array_equal(read_ply((head + lines).encode()).points, CLOUD)
    np.testing.assert_array_equal(read_off(("\ufeffOFF\n80 0 0\n" + lines).encode()).points, CLOUD)
    with pytest.raises(BadSample, match="no text"):
        read_off(b"OFF\n\xff\xfe")


def test_lines_left_over_are_said() -> None:
    with changes() as heard:
        read_off(b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n3 0 1 2\n3 0 1 2\n")
    assert heard == ["2 lines after the faces left out"]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (CLOUD * 1e300, "squared distances need less"),
        (CLOUD * 1e-30, "squared distances need more"),
        (np.tile(CLOUD[:5], (60, 1)), "5 different points, a group has 8"),
        (
            CLOUD.round(1) * 1e-9 + 1.0,
            "different points, a group has 8",
        ),
    ],
)
def test_clouds_without_groups(points: np.ndarray, words: str) -> None:
    with pytest.raises(BadSample, match=words):
        read_cloud(Record(points, "a"), Part(count=64, least=8, centre="none", mesh="surface", drop_nan=False))


class Open3D:
    vertices, triangles = CLOUD, np.array([[0, 1, 2], [3, 4, 5]])


class Geometric:
    pos, face = CLOUD, np.array([[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize("mesh", [{"vertices": CLOUD, "faces": Open3D.triangles}, Open3D(), Geometric()])
def test_faces_are_not_lost(mesh: object) -> None:
    """As the user gives a mesh: a mapping is not a row of a table of which a column is taken."""
    modality = Points(points=64, groups=8, group_size=8, centre="none")
    (record,) = records(modality, mesh)
    corners = CLOUD[Open3D.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    off = np.abs(np.einsum("pc,fc->pf", modality.read(record), normals) - np.einsum("fc,fc->f", corners[:, 0], normals))
    assert (off.min(1) < 1e-5).all()

"""``maskedmod embed``: order, bad inputs, formats, memory, and an output that is the same after any interruption."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.cli import main
from maskedmod.embed import embed, run
from maskedmod.embed.parts import Part, Parts
from maskedmod.embed.reading import Row
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.report import Report

SMALL = ["encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
TRAIN = ["train.steps=2", "train.batch_size=4", "train.warmup_steps=0", "train.val_batches=1", "train.baseline_batches=1"]
QUIET = ["train.tensorboard=false", "data.samples=8"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    words = ["recipe=mae", "preset=demo", "modality.size=32", "modality.patch_size=8", f"out={out}", *SMALL, *TRAIN, *QUIET]
    assert main(["train", *words]) == 0
    return out


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 files in 2 folders: number 5 is text, 17 is empty, 33 is cut off, 20 is grey, 21 has transparency."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for i in range(40):
        path = folder / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        picture = Pillow.fromarray(draw.integers(0, 256, (36, 40, 3), dtype=np.uint8))
        picture.convert({20: "L", 21: "RGBA"}.get(i, "RGB")).save(path)
        if i in (5, 17, 33):
            path.write_bytes({5: b"some text", 17: b"", 33: path.read_bytes()[:900]}[i])
    return folder


def names(photos: Path) -> list[str]:
    return sorted(str(path) for path in photos.rglob("*.png"))


def test_order_and_bad_inputs(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    out = tmp_path / "features.parquet"
    done = embed(checkpoint, photos, out, batch_size=4, part_records=8)
    assert (done.rows, done.rejected, done.altered) == (40, 3, 2)
    table = parquet.read_table(out)
    assert table.column("key").to_pylist() == names(photos)
    assert set(table.column("label").to_pylist()) == {"a", "b"}
    assert parquet.ParquetFile(out).num_row_groups == 5
    features = np.stack(table.column("features").to_numpy())
    bad = np.isnan(features).all(1)
    assert bad.sum() == 3 and not np.isnan(features[~bad]).any()
    lines = [json.loads(line) for line in done.listed.read_text().splitlines()]
    rejected = {Path(line["key"]).name: line for line in lines if line["what"] == "rejected"}
    assert set(rejected) == {"05.png", "17.png", "33.png"} and all(bad[line["row"]] for line in rejected.values())
    assert "not an image file" in rejected["05.png"]["reason"] and "empty (0 bytes)" in rejected["17.png"]["reason"]
    assert "damaged or cut off" in rejected["33.png"]["reason"]
    assert table.column("rejected").to_pylist()[rejected["17.png"]["row"]] == rejected["17.png"]["reason"]
    altered = {Path(line["key"]).name: line["reason"] for line in lines if line["what"] == "altered"}
    assert altered == {"20.png": "L converted to RGB", "21.png": "RGBA converted to RGB, transparency dropped"}
    model = maskedmod.load(checkpoint)
    good = [name for name, wrong in zip(names(photos), bad, strict=True) if not wrong]
    torch.testing.assert_close(torch.from_numpy(features[~bad]), model.embed(good), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", [".parquet", ".npy", ".safetensors"])
def test_stopped_anywhere_and_resumed(
    ending: str, checkpoint: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of a part and, at the end, in the middle of the output: the files are those of one pass."""
    settings: dict[str, Any] = {"batch_size": 4, "part_records": 8}
    whole, again = tmp_path / f"one{ending}", tmp_path / f"two{ending}"
    embed(checkpoint, photos, whole, **settings)
    reads = iter(range(100))

    def until(limit: int) -> Any:
        def stopped(*args: Any) -> Any:
            if next(reads) >= limit:
                raise KeyboardInterrupt
            return kept(*args)

        return stopped

    kept = run._features
    monkeypatch.setattr(run, "_features", until(5))
    with pytest.raises(KeyboardInterrupt):
        embed(checkpoint, photos, again, **settings)
    assert len(list((tmp_path / f"two{ending}.parts").glob("*.npy"))) == 2 and not again.exists()
    monkeypatch.setattr(run, "_features", kept)
    with pytest.raises(UserError, match="pool was 'mean', now 'cls'"):
        embed(checkpoint, photos, again, pool="cls", **settings)
    monkeypatch.setattr(Part, "filled", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        embed(checkpoint, photos, again, **settings)
    monkeypatch.undo()
    done = embed(checkpoint, photos, again, **settings)
    assert done.resumed == 40 and again.read_bytes() == whole.read_bytes()
    for kind in ("rejected.jsonl", *(() if ending == ".parquet" else ("rows.jsonl",))):
        assert Path(f"{again}.{kind}").read_bytes() == Path(f"{whole}.{kind}").read_bytes()
    assert not list(tmp_path.glob("*.parts")) and not list(tmp_path.glob(".*")) and not list(tmp_path.glob("*.part"))
    assert embed(checkpoint, photos, again, **settings).resumed == 40
    with pytest.raises(UserError, match="exists already and is of other settings"):
        embed(checkpoint, photos, again, layer=0, **settings)
    assert embed(checkpoint, photos, again, layer=0, resume=False, **settings).resumed == 0


def test_killed_process(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    """SIGKILL once the first part is there, then the same command."""
    words = ["embed", f"checkpoint={checkpoint}", f"input={photos}", "batch_size=1", "workers=0"]
    code = (
        "import sys, time; from maskedmod.embed import run; kept = run._features\n"
        "run._features = lambda *a: (time.sleep(0.05), kept(*a))[1]\n"
        "run.PART_RECORDS = 4\n"
        "from maskedmod.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = tmp_path / "killed.npy"
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words, f"output={out}"], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    for _ in range(1200):
        if (tmp_path / "killed.npy.parts" / "00000000.npy").exists() or child.poll() is not None:
            break
        time.sleep(0.05)
    child.kill()
    _, said = child.communicate()
    assert child.returncode == -9, said
    parts = len(list((tmp_path / "killed.npy.parts").glob("*.npy")))
    assert 1 <= parts < 10 and not out.exists() and said == b""  # no bar where there is no terminal
    done = embed(checkpoint, photos, out, batch_size=1, part_records=4)
    assert done.resumed == 4 * parts
    embed(checkpoint, photos, tmp_path / "one.npy", batch_size=1, part_records=4)
    assert out.read_bytes() == (tmp_path / "one.npy").read_bytes()


def test_formats_agree_and_workers_change_nothing(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet
    from safetensors.torch import load_file

    for ending in ("npy", "safetensors", "parquet"):
        embed(checkpoint, photos, tmp_path / f"a.{ending}", pool="none", workers=2 if ending == "npy" else 0, batch_size=8)
    array = np.load(tmp_path / "a.npy")
    assert array.shape == (40, 16, 24) and array.dtype == np.float32
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["features"].numpy(), array)
    column = parquet.read_table(tmp_path / "a.parquet").column("features").to_pylist()
    np.testing.assert_array_equal(np.array(column, np.float32), array)
    rows = [json.loads(line) for line in (tmp_path / "a.npy.rows.jsonl").read_text().splitlines()]
    assert [row["key"] for row in rows] == names(photos) and [row["row"] for row in rows] == list(range(40))


def test_parquet_in_and_one_file_and_the_validation_set(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    files = names(photos)
    cells = [{"bytes": Path(file).read_bytes(), "path": None} for file in files]
    table = arrow.table({"image": cells, "label": list(range(40))})
    parquet.write_table(table, tmp_path / "train.parquet", row_group_size=16)
    done = embed(checkpoint, tmp_path / "train.parquet", tmp_path / "rows.npy")
    embed(checkpoint, photos, tmp_path / "files.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), np.load(tmp_path / "files.npy"))
    row = json.loads((tmp_path / "rows.npy.rows.jsonl").read_text().splitlines()[7])
    assert done.rejected == 3 and row["label"] == 7 and row["key"].endswith("train.parquet row 7")
    (tmp_path / "tables").mkdir()
    (tmp_path / "train.parquet").rename(tmp_path / "tables" / "x.parquet")
    assert embed(checkpoint, tmp_path / "tables", tmp_path / "b.npy").rows == 40
    assert embed(checkpoint, files[0], tmp_path / "c.npy").rows == 1
    assert embed(checkpoint, None, tmp_path / "d.npy").rows == 64


def test_data_sets_of_hugging_face(checkpoint: Path, tmp_path: Path) -> None:
    arrow, _ = pytest.importorskip("pyarrow"), pytest.importorskip("datasets")
    import io

    import pyarrow.parquet as parquet

    raw = io.BytesIO()
    Pillow.new("RGB", (32, 32), (9, 99, 199)).save(raw, format="PNG")
    table = arrow.table({"image": [{"bytes": raw.getvalue(), "path": None}] * 6})
    parquet.write_table(table, tmp_path / "a.parquet")
    words = ["data=hf", "data.path=parquet", f"data.data_files={tmp_path / 'a.parquet'}"]
    for streaming in ("false", "true"):
        out = tmp_path / f"{streaming}.npy"
        assert embed(checkpoint, None, out, data=[*words, f"data.streaming={streaming}"], part_records=4, batch_size=2).rows == 6
    np.testing.assert_array_equal(np.load(tmp_path / "true.npy"), np.load(tmp_path / "false.npy"))
    with pytest.raises(UserError, match="files are named by input="):
        embed(checkpoint, None, tmp_path / "x.npy", data=["data=folder", "data.path=x"])


def test_one_part_in_memory_at_a_time(checkpoint: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part is on disk before the next one begins, and the output is written part by part."""
    sizes, waiting = [], []
    kept = Parts.write

    def spy(self: Parts, number: int, part: Part) -> None:
        waiting.append(number == self.count)
        sizes.append((len(part.rows), len(part.good)))
        kept(self, number, part)

    monkeypatch.setattr(Parts, "write", spy)
    embed(checkpoint, photos, tmp_path / "a.safetensors", batch_size=4, part_records=8)
    assert len(sizes) == 5 and all(waiting) and all(rows == 8 and good <= 8 for rows, good in sizes)


def test_windows_of_recordings_are_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile = pytest.importorskip("soundfile")
    tree = resolve(["recipe=audio_mae", "modality={audio: {mel_bins: 32, frames: 64, patch_size: 8, fit: windows}}", *SMALL])
    fresh = Loaded(build_model(tree).eval(), Report("fresh"), "fresh", tree)
    monkeypatch.setattr("maskedmod.embed.run.load", lambda path: fresh)
    clips = tmp_path / "clips"
    clips.mkdir()
    for i, seconds in enumerate((0.5, 2.0, 0.0, 1.3)):
        wave = np.random.default_rng(i).standard_normal((int(seconds * 22050), 1 + i % 2)) * 0.1
        soundfile.write(clips / f"{i}.wav", wave, 22050)
    done = embed("fresh", clips, tmp_path / "a.npy", batch_size=2, part_records=2)
    keys = [json.loads(line)["key"] for line in (tmp_path / "a.npy.rows.jsonl").read_text().splitlines()]
    assert done.rows == len(keys) == 1 + 4 + 1 + 2 and done.rejected == 1 and keys == sorted(keys)
    lines = [json.loads(line) for line in done.listed.read_text().splitlines()]
    assert "resampled from 22050 to 16000 Hz" in lines[0]["reason"] and "2 channels averaged" in lines[1]["reason"]


def test_features_of_unequal_shape() -> None:
    part = Part([Row("a")], np.zeros((1, 3, 2), np.float32))
    with pytest.raises(UserError, match="pool=mean gives all one shape"):
        part.filled((4, 2))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["input={photos}", "output={tmp}/a.npy"], "name a run folder or weights: checkpoint=PATH"),
        (["checkpoint={run}", "input={photos}"], "name a .parquet, .npy or .safetensors file: output=PATH"),
        (
            ["checkpoint={run}", "input={photos}", "output={tmp}/a.csv"],
            "expected a name that ends in .parquet, .npy, .safetensors",
        ),
        (["checkpoint={run}", "input={tmp}/nothing", "output={tmp}/a.npy"], "does not exist"),
        (["checkpoint={run}", "input={photos}", "output={tmp}/a.npy", "pool=largest"], "accepted are mean, sum, max"),
        (["checkpoint={run}", "input={photos}", "output={tmp}/a.npy", "layer=9"], "has blocks 0 to 0"),
        (["checkpoint={run}", "input={photos}", "output={tmp}/a.npy", "layers=1"], "did you mean layer?"),
        (["checkpoint={run}", "input={photos}", "output={tmp}/a.npy", "batch_size=0"], "integer of at least 1"),
        (["checkpoint={run}", "input={photos}/b/05.png", "output={tmp}/a.npy"], "nothing of the input"),
    ],
)
def test_words_that_do_not_fit(
    words: list[str], message: str, checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(run=checkpoint, photos=photos, tmp=tmp_path) for word in words]
    capsys.readouterr()
    assert main(["embed", *filled]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1] and lines[-1].startswith("maskedmod: error: ")

"""Memory and resumption of ``maskedmod embed`` over 50,000 images of CIFAR-10 in Parquet.

    python tests/bench/embed_memory.py [rows=50000] [width=64] [depth=2] [kill_at=0.5]

Three passes, each in a process of its own: one over ``rows`` images, one that is killed (SIGKILL) once ``kill_at`` of them are on
disk, and one that goes on from there. A pass over a hundredth of the rows tells what the model and the libraries take by
themselves. Where the data have fewer rows, they are repeated. Prints rows, seconds and peak resident memory of each, and whether
the two outputs are equal byte for byte; ends with 1 where they are not, or memory above the small pass is 2 GiB or more.
Data: ``images/cifar10`` in ``MASKEDMOD_SHARED`` (default: ``../shared/data``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {"rows": "50000", "width": "64", "depth": "2", "kill_at": "0.5"}
CHILD = "import sys; from maskedmod.cli import main; sys.exit(main(sys.argv[1:]))"
LIMIT = 2 << 30


def data() -> Path:
    """The folder of CIFAR-10's Parquet files."""
    place = Path(os.environ.get("MASKEDMOD_SHARED", ROOT.parent / "shared"))
    for found in (place / "data" / "images" / "cifar10", place / "images" / "cifar10"):
        if found.is_dir():
            return found
    raise SystemExit("CIFAR-10 is not here; set MASKEDMOD_SHARED to the folder that has data/images/cifar10")


def repeated(folder: Path, rows: int) -> tuple[Path, int]:
    """One Parquet file of ``rows`` images, from the files of the data set one after another, again and again -> file, images."""
    import pyarrow.parquet as parquet

    files = [parquet.ParquetFile(file) for file in sorted(data().glob("*.parquet"), reverse=True)]  # train first
    own, written = sum(file.metadata.num_rows for file in files), 0
    target = folder / f"images_{rows}.parquet"
    columns = ["image", "label"] if "label" in files[0].schema_arrow.names else ["image"]
    with parquet.ParquetWriter(target, files[0].read_row_group(0, columns).schema) as out:
        while written < rows:
            for file in files:
                for batch in file.iter_batches(1000, columns=columns):
                    part = batch.slice(0, min(len(batch), rows - written))
                    if len(part):
                        out.write_batch(part.cast(out.schema))
                    written += len(part)
    return target, own


def start(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", CHILD, "embed", *words], env=environment, cwd=folder)


def timed(words: list[str], folder: Path) -> tuple[float, int]:
    """Run to the end -> seconds, peak resident memory in bytes."""
    before = time.perf_counter()
    child = start(words, folder)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"embed ended with {child.returncode}")
    return time.perf_counter() - before, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def killed(words: list[str], folder: Path, parts: Path, rows: int) -> tuple[float, int]:
    """Kill once ``rows`` rows are on disk -> seconds, rows on disk."""
    before = time.perf_counter()
    child = start(words, folder)
    while _finished(parts) < rows:
        if child.poll() is not None:
            raise SystemExit("embed ended before it was killed")
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return time.perf_counter() - before, _finished(parts)


def _finished(parts: Path) -> int:
    count = 0
    while (parts / f"{count:08d}.npy").is_file():
        count += 1
    return count * 1024


def main(words: list[str]) -> int:
    """See above."""
    given = {**DEFAULTS, **dict(word.split("=", 1) for word in words)}
    rows, share = int(given["rows"]), float(given["kill_at"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, own = repeated(folder, rows)
        few, _ = repeated(folder, max(64, rows // 100))
        model = [f"encoder.depth={given['depth']}", f"encoder.width={given['width']}", "encoder.heads=2", "head.depth=1"]
        training = [
            "train.steps=5",
            "train.warmup_steps=0",
            "train.val_batches=1",
            "train.baseline_batches=1",
            "train.batch_size=16",
        ]
        make = ["train", "recipe=mae", "preset=tiny", "data=parquet", f"data.path={few}", "out=run", *model, *training]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-c", CHILD, *make], check=True, env=environment, cwd=folder, capture_output=True)
        common = ["checkpoint=run", f"input={table}"]
        small = timed(["checkpoint=run", f"input={few}", "output=small.npy"], folder)
        whole = timed([*common, "output=one.npy"], folder)
        cut, there = killed([*common, "output=two.npy"], folder, folder / "two.npy.parts", int(rows * share))
        rest = timed([*common, "output=two.npy"], folder)
        kinds = ("npy", "npy.rows.jsonl", "npy.rejected.jsonl")
        equal = all((folder / f"one.{kind}").read_bytes() == (folder / f"two.{kind}").read_bytes() for kind in kinds)
    mib = 1 << 20
    print(f"{rows} rows ({min(rows, own)} different images), ViT of depth {given['depth']}, width {given['width']}, one thread")
    print(f"{'pass':<22}{'rows':>8}{'seconds':>10}{'rows/s':>8}{'peak MiB':>10}")
    for title, count, (seconds, peak) in (("a hundredth", max(64, rows // 100), small), ("one pass", rows, whole)):
        print(f"{title:<22}{count:>8}{seconds:>10.1f}{count / seconds:>8.0f}{peak / mib:>10.0f}")
    print(f"{'killed':<22}{there:>8}{cut:>10.1f}{there / cut:>8.0f}{'':>10}")
    print(f"{'resumed':<22}{rows - there:>8}{rest[0]:>10.1f}{(rows - there) / rest[0]:>8.0f}{rest[1] / mib:>10.0f}")
    above = max(whole[1], rest[1]) - small[1]
    print(f"above the small pass: {above / mib:.0f} MiB; outputs equal byte for byte: {'yes' if equal else 'NO'}")
    return 0 if equal and above < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A run folder belongs to one command at a time, and one that came to nothing leaves none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from maskedmod.errors import UserError

LOCK = ".lock"


def new_folder(base: str, runs: Path = Path("runs")) -> Path:
    """``runs/base``, or ``runs/base-2`` and so on: made here, so that two commands at the same moment never get the same."""
    runs.mkdir(exist_ok=True)
    number = 1
    while True:
        path = runs / (base if number == 1 else f"{base}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """The folder for this command alone: UserError when another one is writing it. A folder that was made for this command is
    taken away again when this ends with an error before a first step was written."""
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out} is a file; name a folder")
    fresh = not out.exists() or not any(out.iterdir())
    above = [parent for parent in out.parents if not parent.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError(f"out={out} is being written by another command; wait for it, or name another folder") from None
    except OSError as error:
        raise UserError(f"out={out} cannot be written: {error}") from error
    done = False
    try:
        yield
        done = True
    finally:
        if fresh and not done and not _begun(out):
            shutil.rmtree(out, ignore_errors=True)
            with suppress(OSError):
                for parent in above:
                    parent.rmdir()
        with suppress(OSError):
            (out / LOCK).unlink()  # before it is released: whoever holds it open meanwhile is told that it is taken
        lock.release()


def _begun(out: Path) -> bool:
    """Whether a step was written down or saved."""
    metrics = out / "metrics.jsonl"
    return (metrics.is_file() and metrics.stat().st_size > 0) or any(out.glob("checkpoints/step_*"))

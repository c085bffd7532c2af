"""What a run folder says in a few lines: recipe, step of steps, last losses, checkpoints, evaluations. Imports nothing heavy, and
reads of the metrics only what it needs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.file import load_tree
from maskedmod.report.files import json_object

DEPTH = 4
"""Folders below one another in which runs are looked for."""


@dataclass(frozen=True)
class Overview:
    """``step``: the last one in the metrics, of ``steps`` (None: the run is measured in epochs). ``last``, ``validated``: last
    line of the metrics with a loss, and with a validation. ``when``: of the last change, seconds since 1970."""

    run: Path
    tree: dict[str, Any]
    step: int
    last: dict[str, Any]
    validated: dict[str, Any]
    when: float

    @property
    def recipe(self) -> str:
        """``mae, preset tiny``."""
        name = Path(str(self.tree.get("recipe") or self.run.name)).stem
        return f"{name}, preset {self.tree['preset']}" if self.tree.get("preset") else name

    @property
    def length(self) -> str:
        """``of 400``, ``of 3 epochs``, or nothing."""
        train = self.tree.get("train") or {}
        if train.get("steps"):
            return f"of {train['steps']}"
        return f"({train['epochs']} epochs asked for)" if train.get("epochs") else ""

    @property
    def loss(self) -> str:
        """``val_loss 0.8123, the mean's 0.9512``, or what there is of it."""
        if "val_loss" in self.validated:
            mean = self.validated.get("val_mean_baseline")
            return f"val_loss {self.validated['val_loss']:.4g}" + ("" if mean is None else f", the mean's {mean:.4g}")
        return f"loss {self.last['loss']:.4g}, not validated" if "loss" in self.last else "no step yet"

    def line(self) -> str:
        """All of it in a line."""
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.when))
        return f"{self.recipe}; step {self.step} {self.length}".rstrip() + f"; {self.loss}; {day}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        train = self.tree.get("train") or {}
        return {
            "run": str(self.run), "recipe": self.tree.get("recipe"), "preset": self.tree.get("preset"), "step": self.step,
            "steps": train.get("steps"), "epochs": train.get("epochs"), "loss": self.last.get("loss"),
            "val_loss": self.validated.get("val_loss"), "val_mean_baseline": self.validated.get("val_mean_baseline"),
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.when)),
        }  # fmt: skip


def is_run(path: str | Path) -> bool:
    """Whether a path is a run folder."""
    return (Path(path) / "recipe.yaml").is_file()


def overview(run: Path) -> Overview:
    """Of one run folder. UserError when its recipe cannot be read."""
    metrics = run / "metrics.jsonl"
    last, validated = _last(metrics, b'"loss"'), _last(metrics, b'"val_loss"')
    newest = metrics if metrics.is_file() else run / "recipe.yaml"
    step = max(int(line.get("step") or 0) for line in (last, validated))
    return Overview(run, load_tree(run / "recipe.yaml"), step, last, validated, newest.stat().st_mtime)


def below(folder: Path) -> Iterator[Path]:
    """Run folders in a folder, by name; those in a run folder are not looked for. UserError when there is no such folder."""
    if not folder.is_dir():
        raise UserError(f"folder {folder} does not exist; maskedmod ls runs DIR lists the runs below another one")
    for here, folders, files in os.walk(folder):
        folders.sort()
        deep = len(Path(here).relative_to(folder).parts) >= DEPTH
        if "recipe.yaml" in files or deep:
            folders.clear()
        if "recipe.yaml" in files:
            yield Path(here)


def checkpoints(run: Path) -> list[str]:
    """Names of the complete checkpoints of a run, oldest first."""
    return sorted(path.parent.name for path in run.glob("checkpoints/step_*/meta.json"))


def evaluations(run: Path) -> dict[str, dict[str, Any]]:
    """What ``eval*.json`` of a run hold, by file; what cannot be read is empty. ``eval.json``, which repeats the newest of the
    others, is left out where it does."""
    found = {file.name: json_object(file) for file in sorted(run.glob("eval*.json"))}
    if any(name != "eval.json" and one == found.get("eval.json") for name, one in found.items()):
        del found["eval.json"]
    return found


def _last(metrics: Path, key: bytes) -> dict[str, Any]:
    """The last whole line of a JSON-lines file that has a key; nothing where there is none."""
    text = metrics.read_bytes() if metrics.is_file() else b""
    end = len(text)
    while (at := text.rfind(key + b":", 0, end)) >= 0:
        start = text.rfind(b"\n", 0, at) + 1
        stop = text.find(b"\n", at)
        try:
            line = json.loads(text[start : len(text) if stop < 0 else stop])
        except ValueError:  # cut by a crash
            line = None
        if isinstance(line, dict):
            return line
        end = start
    return {}

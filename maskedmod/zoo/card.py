"""The model card: what the model is, how it was trained, what it scored, how it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.file import dump
from maskedmod.recipe.layering import chosen
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.run_folder import find
from maskedmod.zoo.writing import Written

ESM = """import argparse

import esm
import torch

with torch.serialization.safe_globals([argparse.Namespace]):  # its settings are one, as in all files of fair-esm
    model, alphabet = esm.pretrained.load_model_and_alphabet_local("DIR/{}")"""
LIBRARY = {"hf": "transformers", "timm": "timm", "pth": "pytorch", "state": "pytorch"}


def card(loaded: Loaded, source: str, layout: str, written: Written, files: Sequence[Path], command: str) -> str:
    """``README.md`` of a converted model. ``source``: what was converted, of which a run folder tells its data and scores."""
    run = Path(source) if loaded.layout == "run" else None
    name = str(loaded.tree.get("recipe") or source)
    kind = chosen(loaded.tree.get("modality"))
    parts = [
        _front(written, str(kind)),
        f"# {name}",
        f"A masked model of {kind} data, written by maskedmod in layout `{layout}`"
        + (f" from a training run of recipe `{name}`." if run is not None else f" from `{source}`."),
        "## Use",
        _fenced(_use(layout, written, files), "python"),
        *(["## Left out", "\n".join(f"- {note}" for note in written.notes)] if written.notes else []),
        *([] if run is None else _of_run(run, loaded)),
        "## Recipe",
        _fenced(dump({key: value for key, value in loaded.tree.items() if key not in ("out", "resume")}), "yaml"),
        "## Command",
        _fenced(command),
    ]
    return "\n\n".join(parts) + "\n"


def _front(written: Written, kind: str) -> str:
    lines = [f"library_name: {LIBRARY[written.style]}", "tags:", "- masked-modeling", "- maskedmod", f"- {kind}"]
    return "\n".join(["---", *lines, "---"])


def _fenced(text: str, language: str = "") -> str:
    return f"```{language}\n{text.strip()}\n```"


def _use(layout: str, written: Written, files: Sequence[Path]) -> str:
    """Lines of Python that read the files."""
    if written.style == "hf":
        model, remote = written.config["architectures"][0], ""
        if "auto_map" in written.config:  # its code is on the hub and not in transformers
            model, remote = "AutoModelForMaskedLM", ", trust_remote_code=True"
        return f'from transformers import {model}\n\nmodel = {model}.from_pretrained("DIR"{remote})'
    if written.style == "timm":
        arguments = ", ".join(f"{key}={value!r}" for key, value in written.config["model_args"].items())
        first = f'timm.create_model("{written.config["architecture"]}", num_classes=0, checkpoint_path="DIR/model.safetensors",'
        return f"import timm\n\nmodel = {first}\n    {arguments})"
    if layout == "fair_esm":
        return ESM.format(files[0].name)
    return f'import torch\n\nweights = torch.load("DIR/{files[0].name}", weights_only=True)'


def _of_run(run: Path, loaded: Loaded) -> list[str]:
    """Data, training and scores of a run folder."""
    home, saved = find(run)
    facts = _json(home / "environment.json")
    lines = [f"- data: `{json.dumps(loaded.tree.get('data'))}`"]
    if isinstance(facts.get("samples"), dict):
        lines.append("- samples: " + ", ".join(f"{split} {count}" for split, count in facts["samples"].items()))
    lines.append(f"- checkpoint: {saved.name}")
    lines += [f"- {name}: {value}" for name, value in _last_losses(home).items()]
    scores = [_score(path) for path in sorted(home.glob("eval*.json")) if path.name != "eval.json"]
    scores = scores or [_score(path) for path in home.glob("eval.json")]
    table = ["| protocol | metric | mean | deviation | baselines |", "|---|---|---|---|---|", *filter(None, scores)]
    return ["## Training", "\n".join(lines), "## Scores", "\n".join(table) if any(scores) else "Not evaluated."]


def _last_losses(home: Path) -> dict[str, Any]:
    """The last numbers of ``metrics.jsonl`` that a reader asks for."""
    wanted, found = ("step", "loss", "val_loss", "val_mean_baseline"), {}
    file = home / "metrics.jsonl"
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        row = json.loads(line)
        found.update({key: row[key] for key in wanted if key in row})
    return found


def _score(path: Path) -> str:
    found = _json(path)
    if "metric" not in found:
        return ""
    others = "; ".join(f"{name} {row['mean']:.4g}" for name, row in (found.get("baselines") or {}).items())
    deviation = "" if found.get("std") is None else f"{found['std']:.2g}"
    return f"| {found['protocol']} | {found['metric']} | {found['mean']:.4g} | {deviation} | {others} |"


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}

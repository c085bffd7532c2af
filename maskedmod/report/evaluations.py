"""The part of the report with evaluations: every ``eval*.json`` in the run folder as a table beside its baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskedmod.report.files import json_object
from maskedmod.report.page import grid_table, note, section

PLAIN = ("rmse", "spearman")
"""Metrics that are no shares and are not written in percent."""
FIRST = "pre-trained"


def evaluations(run: Path) -> str:
    """One table a file: pre-trained features and each baseline, mean and deviation of every metric, the verdicts below."""
    found = [(file, json_object(file)) for file in sorted(run.glob("eval*.json"))]
    return section("Evaluation", "".join(_one(file, result) for file, result in found))


def _one(file: Path, result: dict[str, Any]) -> str:
    baselines, split = result.get("baselines"), result.get("split")
    if not isinstance(result.get("metrics"), dict) or not isinstance(baselines, dict):
        return note(f"{file.name} cannot be read", "bad")
    metrics = list(result["metrics"])
    rows = [(FIRST, result["metrics"]), *((name, one.get("metrics") or {}) for name, one in baselines.items())]
    cells = [[name, *(_cell(values.get(metric) or {}, metric) for metric in metrics)] for name, values in rows]
    where = split if isinstance(split, dict) else {}
    sizes = f", {where.get('train')} samples to learn from, {where.get('test')} to judge on" if where.get("test") else ""
    seeds = result.get("seeds")
    many = f"; {len(seeds)} seeds" if isinstance(seeds, list) and len(seeds) > 1 else ""
    title = f"protocol {result.get('protocol', '?')}: {where.get('name', '')}{sizes}{many}"
    verdicts = [str(line) for line in result.get("verdicts") or []]
    notes = "".join(note(line, "bad" if "NOT beat" in line or "less than two" in line else "good") for line in verdicts)
    return grid_table(["features", *metrics], cells, title) + notes


def _cell(values: dict[str, Any], metric: str) -> str:
    mean, std = values.get("mean"), values.get("std")
    if not isinstance(mean, int | float):
        return ""

    def written(value: float) -> str:
        return f"{value:.4g}" if metric in PLAIN else f"{100 * value:.2f} %"

    return f"{written(mean)} ± {written(std)}" if isinstance(std, int | float) else written(mean)

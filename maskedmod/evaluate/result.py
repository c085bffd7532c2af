"""What an evaluation found: the table, the verdict in words, ``eval.json``."""

from __future__ import annotations

import json
import math
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskedmod.evaluate.metrics import LOWER_IS_BETTER


@dataclass(frozen=True)
class Row:
    """One kind of features. ``trials``: metrics of every trial (checkpoint or seed, and fold); ``chosen``: what each chose."""

    name: str
    trials: list[dict[str, float]]
    chosen: list[dict[str, Any]]

    def mean(self, metric: str) -> float:
        """Mean over the trials."""
        return statistics.fmean(trial[metric] for trial in self.trials)

    def std(self, metric: str) -> float | None:
        """Sample standard deviation over the trials; None with a single one."""
        values = [trial[metric] for trial in self.trials]
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Result:
    """``rows``: pre-trained first, then the baselines. ``split``: name, sizes and hashes. ``facts``: checkpoints, seeds, pool."""

    protocol: str
    split: dict[str, Any]
    rows: list[Row]
    facts: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def metric(self) -> str:
        """The metric that decides."""
        return next(iter(self.rows[0].trials[0]))

    def verdicts(self) -> list[str]:
        """One line per baseline: whether the pre-trained features beat it, and by how much against the deviation."""
        return [self._verdict(baseline) for baseline in self.rows[1:]]

    def _verdict(self, baseline: Row) -> str:
        metric, trained = self.metric, self.rows[0]
        gain = trained.mean(metric) - baseline.mean(metric)
        gain = -gain if metric in LOWER_IS_BETTER else gain
        spreads = [std for std in (trained.std(metric), baseline.std(metric)) if std is not None]
        by = f"{metric} {_number(trained.mean(metric), metric)} against {_number(baseline.mean(metric), metric)}"
        if not gain > 0:
            return f"pre-training does NOT beat {baseline.name}: {by}"
        if not spreads:
            return f"pre-training beats {baseline.name}: {by}, one trial each, so with no deviation"
        sure = gain > 2 * max(spreads)
        return f"pre-training beats {baseline.name}{'' if sure else ', but by less than two standard deviations'}: {by}"

    def text(self) -> str:
        """The table with its split and verdicts, for people."""
        metrics = list(self.rows[0].trials[0])
        width = max(len(row.name) for row in self.rows)
        lines = [f"protocol {self.protocol}; split: {self.split['name']}"]
        for part in ("train", "val", "test"):
            if self.split.get(part):
                lines.append(f"  {part:<5} {self.split[part]:>7} samples, sha256 {self.split[f'{part}_sha256']}")
        if len({cut["test_sha256"] for cut in self.split.get("cuts", [])}) > 1:
            lines.append("  of seed 0; every seed draws its own, see eval.json")
        if self.split["folds"]:
            lines.append(f"  judged by {self.split['folds']} folds over all of them")
        lines += ["", f"{'':<{width}}  " + "  ".join(f"{metric:>16}" for metric in metrics) + "  trials"]
        for row in self.rows:
            cells = [_cell(row.mean(metric), row.std(metric), metric) for metric in metrics]
            lines.append(f"{row.name:<{width}}  " + "  ".join(f"{cell:>16}" for cell in cells) + f"  {len(row.trials):>6}")
        return "\n".join([*lines, "", *self.verdicts(), *(f"note: {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """Plain data; shares are fractions, what is undefined is null."""
        metric, trained = self.metric, self.rows[0]
        return _plain({
            "protocol": self.protocol,
            "split": self.split,
            "metric": metric,
            "mean": trained.mean(metric),
            "std": trained.std(metric),
            **self.facts,
            "metrics": _summary(trained),
            "trials": trained.trials,
            "chosen": trained.chosen,
            "baselines": {row.name: {"metric": metric, "mean": row.mean(metric), "std": row.std(metric), "metrics": _summary(row),
                                     "trials": row.trials, "chosen": row.chosen} for row in self.rows[1:]},
            "verdicts": self.verdicts(),
            "notes": self.notes,
        })  # fmt: skip

    def write(self, path: Path) -> Path:
        """Write ``eval.json`` whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        os.replace(part, path)
        return path


def _summary(row: Row) -> dict[str, Any]:
    return {metric: {"mean": row.mean(metric), "std": row.std(metric)} for metric in row.trials[0]}


def _number(value: float, metric: str) -> str:
    """Shares in percent, errors and correlations as they are."""
    return f"{value:.4g}" if metric in ("rmse", "spearman") else f"{100 * value:.2f}"


def _cell(mean: float, std: float | None, metric: str) -> str:
    return _number(mean, metric) if std is None else f"{_number(mean, metric)} +- {_number(std, metric)}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

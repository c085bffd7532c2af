"""The part of the report on features: the probe's curve, their health in words and numbers, and their map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskedmod.report.charts import Line, chart, number
from maskedmod.report.featuremap import draw_map
from maskedmod.report.files import json_object
from maskedmod.report.page import details, grid_table, note, section

COLLAPSED_STD = 0.01
"""Deviation of unit-length features (1 is well, 0 is collapse) under which the report warns."""
COMMON_STD = 0.1
"""Deviation under which a mean that all samples share outweighs what tells them apart; classifiers take it out."""
FEW_DIRECTIONS = 2.0
"""Effective rank under which the report warns."""
SHOWN = (
    ("feature_rank", "directions in use"),
    ("rankme", "RankMe"),
    ("feature_std", "spread"),
    ("alignment", "alignment"),
    ("uniformity", "uniformity"),
)


def features(run: Path, lines: Sequence[dict[str, Any]]) -> str:
    """The section; nothing when the run measured no features and wrote no map."""
    measured = [line for line in lines if isinstance(line.get("feature_rank"), int | float)]
    parts = [probe_chart(lines)]
    if measured:
        parts.append("".join(note(text, kind) for text, kind in words(measured)))
        parts.append(_numbers(measured))
    return section("Features", "".join([*parts, _map(run)]))


def probe_chart(lines: Sequence[dict[str, Any]]) -> str:
    """Accuracy of the probe over the run; nothing without one."""
    key, label = probe_key(lines)
    probed = [line for line in lines if key in line]
    if len(probed) < 2:
        return ""
    steps = [line["step"] for line in probed]
    curves = [Line("on the encoder's features", steps, [100 * line[key] for line in probed], "c1", "dots")]
    common = [100 * line["probe_majority"] for line in probed if "probe_majority" in line]
    if len(common) == len(steps):
        curves.append(Line("always the commonest class", steps, common, "c3", "dashed"))
    return chart(curves, f"probe: {label}, percent", floor=0.0)


def probe_key(lines: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """The metric of the probe in these lines, and what it is called."""
    if any("probe_map" in line for line in lines):
        return "probe_map", "mean average precision"
    return "probe_top1", "accuracy"


def words(measured: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the last numbers mean -> sentences, each with good, bad or nothing."""
    first, last = measured[0], measured[-1]
    said = []
    key, label = probe_key(measured)
    probed = [line for line in measured if key in line]
    if probed:
        said.append(_probe_words(probed, key, label))
    rank, width, samples = last["feature_rank"], last.get("width"), last.get("samples")
    of = f" of {width}" if width else ""
    few = rank < FEW_DIRECTIONS
    text = f"Features use {number(round(rank, 1))}{of} directions (effective rank over {samples} samples)"
    if few:
        text += ": collapsed to almost one line"
    elif len(measured) > 1 and abs(rank / first["feature_rank"] - 1) > 0.05:
        way = "up" if rank > first["feature_rank"] else "down"
        text += f"; {way} from {number(round(first['feature_rank'], 1))} at step {first['step']}"
    said.append((f"{text}.", "bad" if few else ""))
    spread = last.get("feature_std")
    if isinstance(spread, int | float):
        near = spread < COLLAPSED_STD
        text = f"Features of different samples are spread by {number(spread)} (1: over all directions, 0: all the same)"
        more = (
            ": nearly collapsed" if near else ": a mean that all samples share outweighs the rest" if spread < COMMON_STD else ""
        )
        said.append((f"{text}{more}.", "bad" if near else ""))
    close = last.get("alignment")
    if isinstance(close, int | float):
        text = f"Two sights of one sample lie {number(close)} apart (squared distance of unit-length features)"
        if isinstance(last.get("pair_distance"), int | float):
            text += f", two different samples {number(last['pair_distance'])}"
        said.append((f"{text}.", ""))
    return said


def _probe_words(probed: Sequence[dict[str, Any]], key: str, label: str) -> tuple[str, str]:
    last, best = probed[-1], max(probed, key=lambda line: line[key])
    text = f"A probe on the frozen features reaches {100 * last[key]:.1f} % {label}"
    beaten = None
    if "probe_majority" in last:
        beaten = last[key] > last["probe_majority"]
        text += f" (always the commonest class: {100 * last['probe_majority']:.1f} %)"
    if len(probed) > 1:
        text += (
            f"; {100 * probed[0][key]:.1f} % at step {probed[0]['step']}, {100 * best[key]:.1f} % at best, at step {best['step']}"
        )
    return f"{text}.", "" if beaten is None else "good" if beaten else "bad"


def _numbers(measured: Sequence[dict[str, Any]]) -> str:
    """First, a few between, and last."""
    most = 8
    if len(measured) > most:
        measured = [measured[i * (len(measured) - 1) // (most - 1)] for i in range(most)]
    columns = [(key, label) for key, label in SHOWN if any(key in line for line in measured)]
    rows = [
        [f"{line['step']:,}", *(number(line[key]) if isinstance(line.get(key), int | float) else "" for key, _ in columns)]
        for line in measured
    ]
    explained = (
        "Measured on validation samples, mean over their tokens. Directions in use: effective rank of the features less their "
        "mean; RankMe: the same with it. Spread: 1 is well, 0 is collapse. Alignment: lower is closer. Uniformity: lower is "
        "more even."
    )
    return details(
        "Feature health in numbers",
        grid_table(["step", *(label for _, label in columns)], rows) + f'<p class="soft">{explained}</p>',
    )


def _map(run: Path) -> str:
    found = json_object(run / "feature_map.json")
    try:
        drawn = draw_map(found)
    except (TypeError, ValueError, IndexError):
        return note("feature_map.json cannot be read", "bad")
    if not drawn:
        return ""
    shares = [f"{share:.0%}" for share in found.get("share", [])]
    names, shown, samples = found.get("names") or [], len(found["points"]), found.get("samples")
    few = f"{shown} of {samples}" if samples and samples != shown else f"{shown}"
    colour = "coloured by label" if len(names) <= 12 else f"{len(names)} classes, too many to colour"
    text = f"{few} validation samples in the two directions of largest variance ({' and '.join(shares)} of it)"
    return f"<p>Map of the features: {text}{f', {colour}' if len(names) > 1 else ''}.</p>{drawn}"

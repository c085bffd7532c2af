"""report.html of a run folder: what was trained on what, how it went, how it looks, and how to repeat it."""

from __future__ import annotations

import shlex
from html import escape
from pathlib import Path

from maskedmod.report.charts import Line, chart, number, smooth, thin
from maskedmod.report.evaluations import evaluations
from maskedmod.report.features import features, probe_key
from maskedmod.report.files import duration, flat, json_lines, json_object, text, weights, yaml_tree
from maskedmod.report.page import code, details, note, page, section, table, tiles
from maskedmod.report.pictures import pictures


def write_report(run_dir: str | Path) -> Path:
    """Write ``report.html`` into a run folder from what lies there -> its path. The page holds all it shows. Parts that the
    run did not write are left out, so that an interrupted run gets a report too."""
    run = Path(run_dir)
    facts = Facts(run)
    parts = [head(facts), findings(facts), evaluations(run), pictures(run), curves(facts), features(run, facts.lines)]
    body = "".join([*parts, samples(run), settings(facts)])
    target, partial = run / "report.html", run / ".report.html.part"
    partial.write_text(page(facts.title, body), encoding="utf-8")
    partial.replace(target)
    return target


class Facts:
    """What the files of a run say. Missing or damaged ones are empty."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.recipe_text = text(run / "recipe.yaml")
        self.tree = yaml_tree(self.recipe_text)
        self.environment = json_object(run / "environment.json")
        self.lines = json_lines(run / "metrics.jsonl")
        self.train = [line for line in self.lines if "loss" in line]
        self.rates = [line for line in self.lines if "samples_per_s" in line]
        self.val = [line for line in self.lines if "val_loss" in line]
        self.findings = [line for line in self.lines if "finding" in line]
        self.steps = max((int(line["step"]) for line in self.lines if "step" in line), default=0)
        name = Path(str(self.tree.get("recipe") or run.name)).stem
        preset = self.tree.get("preset")
        self.title = f"{name}{f', preset {preset}' if preset else ''}"

    def block(self, slot: str) -> str:
        """Name of the block in a slot, or nothing."""
        node = self.tree.get(slot)
        return str(next(iter(node))) if isinstance(node, dict) and node else ""

    def seconds(self) -> float:
        """Training time: what the environment recorded, else from the rates (validation and checkpoints not counted)."""
        known = self.environment.get("seconds")
        if isinstance(known, int | float):
            return float(known)
        batch = (self.tree.get("train") or {}).get("batch_size") or 0
        total, before = 0.0, 0
        for line in self.rates:
            total += (line["step"] - before) * batch / line["samples_per_s"]
            before = line["step"]
        return total

    def parameters(self) -> int:
        """Trainable parameters as recorded, else all weights in the newest checkpoint."""
        known = self.environment.get("parameters")
        if isinstance(known, int):
            return known
        saved = sorted((self.run / "checkpoints").glob("step_*/model.safetensors"))
        return weights(saved[-1]) if saved else 0


def head(facts: Facts) -> str:
    """Title, the sentence, and the numbers that matter most."""
    data = (facts.tree.get("data") or {}).get(facts.block("data")) or {}
    named = str(data.get("path") or data.get("name") or facts.block("data"))
    source = "the built-in sample" if facts.block("data") == "demo" else named
    blocks = ("mask", "encoder", "target", "head", "loss", "teacher")
    words = ", ".join(f"{facts.block(slot)} {slot}" for slot in blocks if facts.block(slot))
    parts = [f"<h1>{escape(facts.title)}</h1>"]
    if modality := facts.block("modality"):
        parts.append(
            f"<p>Masked modelling of <b>{escape(modality)}</b> on {escape(source)}{_counts(facts)}: {escape(words)}.</p>"
        )
    device = str(facts.environment.get("device") or "")
    rate = facts.rates[-1]["samples_per_s"] if facts.rates else 0
    wanted = (facts.tree.get("train") or {}).get("steps")
    unfinished = isinstance(wanted, int) and facts.steps < wanted
    parts.append(
        tiles(
            [
                _validation(facts),
                ("training loss", number(facts.train[-1]["loss"]) if facts.train else "", "last step"),
                _probe(facts),
                ("steps", f"{facts.steps:,}" if facts.steps else "", f"of {wanted:,}: not finished" if unfinished else "done"),
                ("parameters", number(facts.parameters()) if facts.parameters() else "", ""),
                ("time", duration(facts.seconds()), device),
                ("throughput", f"{number(round(rate))}/s" if rate else "", "samples"),
            ]
        )
    )
    return "".join(parts)


def _counts(facts: Facts) -> str:
    """`` (1,024 samples to train on, 64 to validate)``, as recorded."""
    known = facts.environment.get("samples")
    if not isinstance(known, dict) or not isinstance(known.get("train"), int):
        return ""
    held_out = f", {known['val']:,} to validate" if known.get("val") else ""
    return f" ({known['train']:,} samples to train on{held_out})"


def _probe(facts: Facts) -> tuple[str, str, str]:
    key, label = probe_key(facts.lines)
    probed = [line for line in facts.lines if key in line]
    if not probed:
        return ("probe", "", "")
    return (f"probe, {label}", f"{100 * probed[-1][key]:.1f} %", "on frozen features")


def _validation(facts: Facts) -> tuple[str, str, str]:
    if not facts.val:
        return ("validation loss", "", "")
    last = facts.val[-1]
    mean = last.get("val_mean_baseline")
    remark = ""
    if mean:
        share = 1 - last["val_loss"] / mean
        remark = f"{abs(share):.0%} {'below' if share >= 0 else 'above'} predicting the mean ({number(mean)})"
    return ("validation loss", number(last["val_loss"]), remark)


def findings(facts: Facts) -> str:
    """What the health checks said."""
    if not facts.lines:
        return section("Health", note("The run wrote no metrics."))
    if not facts.findings:
        return section("Health", note("No findings: losses were finite, predictions and features stayed varied.", "good"))
    return section("Health", "".join(note(f"Step {line.get('step', '?')}: {line['finding']}", "bad") for line in facts.findings))


def curves(facts: Facts) -> str:
    """Loss, learning rate, gradient norm, throughput."""
    x, y = thin([line["step"] for line in facts.train], [line["loss"] for line in facts.train])
    lines = [Line("training", x, y, "c1")]
    if len(y) >= 120:
        lines = [Line("training", x, y, "c1", "faint"), Line("training, smoothed", x, smooth(y, len(y) // 60), "c1")]
    steps = [line["step"] for line in facts.val]
    lines.append(Line("validation", steps, [line["val_loss"] for line in facts.val], "c2", "dots"))
    based = [line for line in facts.val if line.get("val_mean_baseline") is not None]
    means = [line["val_mean_baseline"] for line in based]
    lines.append(Line("predicting the mean", [line["step"] for line in based], means, "c3", "dashed"))
    small = []
    for key, label in (("lr", "learning rate"), ("grad_norm", "gradient norm"), ("samples_per_s", "samples per second")):
        having = [line for line in facts.lines if key in line]
        points = thin([line["step"] for line in having], [line[key] for line in having], 300)
        small.append(chart([Line(label, *points)], label, floor=None if key == "grad_norm" else 0.0))
    return section("Loss", chart(lines, "loss", settle=0.05) + f'<div class="charts">{"".join(small)}</div>')


def samples(run: Path) -> str:
    """Samples that were left out because they could not be read."""
    bad = json_lines(run / "bad_samples.jsonl")
    if not bad:
        return section("Data", "<p>Every sample could be read.</p>")
    rows = {str(line.get("key")): line.get("reason", "") for line in bad[:20]}
    more = f"<p>The first 20 of {len(bad)}; all are in bad_samples.jsonl.</p>" if len(bad) > 20 else ""
    said = f"{len(bad)} samples could not be read and were left out."
    return section("Data", note(said, "bad") + details("Which, and why", table(rows) + more))


def settings(facts: Facts) -> str:
    """The command, the resolved recipe, the environment."""
    command = facts.environment.get("command") or ""
    parts = [f"<p>To repeat this run:</p>{code(str(command))}" if command else ""]
    if facts.recipe_text:
        parts.append("<p>Or from its resolved recipe, with every default written out:</p>")
        parts.append(code(f"maskedmod train recipe={shlex.quote(str(facts.run / 'recipe.yaml'))} out=ANOTHER_FOLDER"))
        parts.append(details("Resolved recipe", code(facts.recipe_text)))
    plain = {key: value for key, value in flat(facts.environment).items() if key != "command"}
    parts.append(details("Environment", table(plain)))
    measured = flat(json_object(facts.run / "statistics.json"))
    parts.append(details("Measured on the training data", table(measured)))
    return section("Settings", "".join(parts))

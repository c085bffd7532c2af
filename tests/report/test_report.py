"""The report holds all it shows, and copes with whatever state a run is in."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from maskedmod.report import write_report
from maskedmod.report.charts import Line, chart, number, smooth, thin

VOID = {"meta", "link", "img", "br"}


class Strict(HTMLParser):
    """Fails where tags do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(path: Path) -> Strict:
    page = Strict()
    page.feed(path.read_text())
    assert page.open == []
    return page


def fill(run: Path, steps: int = 200, finding: bool = False) -> None:
    """A run folder as training leaves it."""
    from PIL import Image

    lines = []
    for step in range(1, steps + 1):
        line = {"step": step, "loss": 1 / math.sqrt(step), "main": 1 / math.sqrt(step), "lr": 1e-3 * (1 - step / steps)}
        if step % 10 == 0:
            line |= {"grad_norm": 2.0 + math.sin(step), "samples_per_s": 640.0, "memory_gb": 1.0}
        lines.append(line)
        if step % 50 == 0:
            lines.append({"step": step, "val_loss": 1.1 / math.sqrt(step), "val_mean_baseline": 0.5})
    if finding:
        lines.append({"step": 20, "finding": "predictions are <identical>"})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9, "lo')
    (run / "recipe.yaml").write_text(
        "recipe: audio_mae\npreset: demo\nmodality: {audio: {frames: 128}}\nmask: {random: {ratio: 0.8}}\n"
        "data: {demo: {}}\ntrain: {steps: 200, batch_size: 64}\n"
    )
    environment: dict[str, Any] = {"command": "maskedmod train recipe=audio_mae", "device": "cpu", "parameters": 1234567}
    environment["versions"] = {"torch": "2"}
    (run / "environment.json").write_text(json.dumps(environment))
    (run / "pictures").mkdir()
    for name in ("step_00000100", "step_00000200"):
        Image.new("RGB", (2000, 300), (200, 30, 30)).save(run / "pictures" / f"{name}.png")


def test_full_report(tmp_path: Path) -> None:
    fill(tmp_path)
    page = read(write_report(tmp_path))
    words = " ".join(page.words)
    for part in ("audio_mae, preset demo", "the built-in sample", "1.23M", "200", "No findings", "Every sample could be read"):
        assert part in words, part
    assert "84% below predicting the mean (0.5)" in words
    assert "maskedmod train recipe=audio_mae" in words and "ratio: 0.8" in words and "versions.torch" in words
    assert "20 s" in words  # 200 steps of 64 samples at 640 samples a second
    assert page.sources and all(source.startswith("data:") for source in page.sources)
    text = (tmp_path / "report.html").read_text()
    assert text.count("<svg") == 4 and "<script" not in text and not re.search(r"url\((?!#)|@import|https?://", text)
    assert not list(tmp_path.glob(".*"))


def test_findings_and_bad_samples_are_told_and_escaped(tmp_path: Path) -> None:
    fill(tmp_path, finding=True)
    (tmp_path / "bad_samples.jsonl").write_text('{"key": "a<b>.wav", "reason": "0 bytes"}\n' * 25)
    words = " ".join(read(write_report(tmp_path)).words)
    assert "predictions are <identical>" in words and "No findings" not in words
    assert "25 samples could not be read" in words and "a<b>.wav" in words


@pytest.mark.parametrize("missing", ["metrics.jsonl", "recipe.yaml", "environment.json"])
def test_missing_and_damaged_parts(tmp_path: Path, missing: str) -> None:
    fill(tmp_path)
    (tmp_path / missing).unlink()
    read(write_report(tmp_path))
    (tmp_path / missing).write_text("{[\x00")
    (tmp_path / "pictures" / "step_00000200.png").write_bytes(b"half a file")
    assert "cannot be read" in " ".join(read(write_report(tmp_path)).words)


def test_empty_folder(tmp_path: Path) -> None:
    assert "no metrics" in " ".join(read(write_report(tmp_path)).words)


def test_unfinished_run_says_so(tmp_path: Path) -> None:
    fill(tmp_path, steps=60)
    assert "of 200: not finished" in " ".join(read(write_report(tmp_path)).words)


def test_chart_of_odd_values() -> None:
    assert chart([], "loss") == "" and chart([Line("a", [1.0], [float("nan")])], "loss") == ""
    for y in ([1.0], [0.0, 0.0], [5.0, 5.0], [-1.0, 2.0], [1e-9, 1e3], [1.0, float("inf"), 2.0]):
        picture = chart([Line("a", list(range(len(y))), y)], "loss")
        assert "nan" not in picture and "inf" not in picture and "<svg" in picture
    assert "logarithmic" in chart([Line("a", [0, 1], [0.01, 1.0])], "loss")


def test_first_steps_do_not_stretch_the_chart() -> None:
    steps = list(range(1, 101))
    losses = [9.0, 7.0] + [1.0 - step / 200 for step in steps[2:]]
    assert ">8</text>" in chart([Line("a", steps, losses)], "loss")
    settled = chart([Line("a", steps, losses)], "loss", settle=0.05)
    assert ">8</text>" not in settled and ">0.8</text>" in settled


def test_numbers_of_charts() -> None:
    assert [number(x) for x in (0, 0.25, 1200, 35000, 2e-5, 1234567)] == ["0", "0.25", "1,200", "35k", "2e-5", "1.23M"]
    assert thin([1, 2, 3, 4], [1, 3, 5, 7], most=2) == ([1.5, 3.5], [2, 6])
    assert smooth([4.0, 4.0, 4.0], 10) == pytest.approx([4.0, 4.0, 4.0])


def with_features(run: Path, last: dict[str, Any]) -> None:
    """A run with two probes; the second one's numbers are overwritten by ``last``."""
    fill(run)
    first = {"probe_top1": 0.3, "probe_majority": 0.1, "feature_rank": 9.0, "rankme": 8.0, "feature_std": 0.5, "uniformity": -1.0}
    first |= {"alignment": 0.1, "pair_distance": 0.4, "width": 192, "samples": 64}
    lines = [{"step": 100, **first}, {"step": 200, **first, **last}]
    with (run / "metrics.jsonl").open("a") as file:
        file.write("\n" + "".join(json.dumps(line) + "\n" for line in lines))


def test_features_in_words(tmp_path: Path) -> None:
    with_features(tmp_path, {"probe_top1": 0.41, "feature_rank": 37.2})
    words = " ".join(read(write_report(tmp_path)).words)
    assert "Features use 37.2 of 192 directions (effective rank over 64 samples); up from 9 at step 100." in words
    assert (
        "reaches 41.0 % accuracy (always the commonest class: 10.0 %); 30.0 % at step 100, 41.0 % at best, at step 200." in words
    )
    assert "Two sights of one sample lie 0.1 apart" in words and "two different samples 0.4" in words
    assert "collapsed" not in words and (tmp_path / "report.html").read_text().count("<svg") == 5


def test_collapsed_features_are_called_so(tmp_path: Path) -> None:
    with_features(tmp_path, {"probe_top1": 0.1, "feature_rank": 1.2, "feature_std": 0.005})
    text = write_report(tmp_path).read_text()
    assert "collapsed to almost one line" in text and "nearly collapsed" in text
    assert text.count('<p class="note bad">') == 3  # the probe is no better than the commonest class


def test_map_and_damaged_map(tmp_path: Path) -> None:
    fill(tmp_path)
    rows = [[0.0, 1.0, 0], [1.0, 0.5, 1], [2.0, 0.1, None]]
    (tmp_path / "feature_map.json").write_text(json.dumps({"names": ["<cat>", "dog"], "points": rows, "share": [0.6, 0.2]}))
    page = read(write_report(tmp_path))
    words = " ".join(page.words)
    assert "<cat>" in words and "60% and 20%" in words and (tmp_path / "report.html").read_text().count("<circle") >= 3
    for damaged in ('{"points": [[1, "x", 0], [1, 2, 0], [2, 2, 0]], "names": ["a"]}', '{"points": 5}', "[1"):
        (tmp_path / "feature_map.json").write_text(damaged)
        read(write_report(tmp_path))


def test_evaluations_beside_their_baselines(tmp_path: Path) -> None:
    fill(tmp_path)
    trained, other = ({"top1": {"mean": mean, "std": 0.002}} for mean in (0.5105, 0.4582))
    result = {"protocol": "linear", "metrics": trained, "baselines": {"random initialisation": {"metrics": other}}}
    result["split"] = {"name": "demo", "train": 100, "test": 64}
    result["verdicts"] = ["pre-training beats random initialisation"]
    (tmp_path / "eval.json").write_text(json.dumps(result))
    (tmp_path / "eval_knn.json").write_text("[]")
    words = " ".join(read(write_report(tmp_path)).words)
    assert "51.05 % ± 0.20 %" in words and "45.82 % ± 0.20 %" in words and "100 samples to learn from, 64 to judge on" in words
    assert "eval_knn.json cannot be read" in words


def test_what_it_was_trained_on(tmp_path: Path) -> None:
    fill(tmp_path)
    facts = json.loads((tmp_path / "environment.json").read_text())
    (tmp_path / "environment.json").write_text(json.dumps({**facts, "samples": {"train": 1024, "val": 64}}))
    assert "the built-in sample (1,024 samples to train on, 64 to validate)" in " ".join(read(write_report(tmp_path)).words)


def test_the_same_samples_stand_in_time_order(tmp_path: Path) -> None:
    from PIL import Image

    fill(tmp_path)
    rows = tmp_path / "pictures" / "rows"
    rows.mkdir()
    for name in ["0_original", "1_masked", *(f"step_{step:08d}" for step in range(1000, 21_000, 1000))]:
        Image.new("RGB", (400, 40), (20, 30, 200)).save(rows / f"{name}.png")
    text = write_report(tmp_path).read_text()
    steps = [int(step.replace(",", "")) for step in re.findall(r"<span>step ([\d,]+)</span>", text)]
    assert steps == sorted(steps) and steps[0] == 1000 and steps[-1] == 20_000 and len(steps) == 10

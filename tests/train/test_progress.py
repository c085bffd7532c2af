"""What a run says of its progress where no bar can live, and of a warm-up that does not fit it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maskedmod.train.metrics import clock
from maskedmod.train.run import _long_warmup
from maskedmod.train.schedule import Plan
from tests.train import toy


def test_plain_lines_outside_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("maskedmod.train.metrics.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("maskedmod.train.metrics.MOST_SECONDS", 0.0)
    toy.trainer(tmp_path, steps=8, log_every=4).fit()
    said = [line for line in capsys.readouterr().err.splitlines() if " of 8: loss " in line]
    form = r"step \d of 8: loss [\d.]+, \d+ samples/s, [\d.]+ GB, \d+ s left"
    assert len(said) >= 2 and all(re.fullmatch(form, line) for line in said), said
    assert said[-1].startswith("step 8 of 8: ") and said[-1].endswith(" 0 s left")


def test_a_short_run_says_no_more_than_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.trainer(tmp_path, steps=8, log_every=1).fit()
    assert "samples/s" not in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "text"), [(8.6, "9 s"), (250.0, "4 min 10 s"), (7500.0, "2 h 05 min")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_warm_up_of_more_than_a_quarter_is_said() -> None:
    assert not _long_warmup(Plan(toy.settings(steps=100, warmup_steps=25), 10))
    assert _long_warmup(Plan(toy.settings(steps=100, warmup_steps=150), 10)) == [
        "the learning rate warms up for 100 of 100 steps; train.warmup_steps=10 would be a tenth"
    ]
    assert _long_warmup(Plan(toy.settings(steps=20, warmup_epochs=1), 10))[0].startswith(
        "the learning rate warms up for 10 of 20"
    )

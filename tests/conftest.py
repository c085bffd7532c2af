"""Shared parts of the tests: one thread, the folder of recorded tensors and data, the count of parity cases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent
_CASES: list[str] = []


def shared(part: str = "") -> Path:
    """``MASKEDMOD_SHARED`` (default: ``../shared`` beside the repository), or a part of it; skips the test when it is absent."""
    path = Path(os.environ.get("MASKEDMOD_SHARED", ROOT.parent / "shared")) / part
    if not path.exists():
        pytest.skip(f"{path.name} is not here; set MASKEDMOD_SHARED to the folder that has it")
    return path


def parity_case(name: str) -> None:
    """Count one comparison with published code; the suite prints how many ran."""
    _CASES.append(name)


@pytest.fixture(autouse=True)
def _fixed_seed() -> Iterator[None]:
    torch.manual_seed(0)
    yield


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["parity_cases"] = list(_CASES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _CASES.extend(getattr(node, "workeroutput", {}).get("parity_cases", []))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    in_folder = "tests/parity/"
    passed = [r for r in terminalreporter.stats.get("passed", []) if r.nodeid.startswith(in_folder) and r.when == "call"]
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if r.nodeid.startswith(in_folder)]
    counted = f"{len(set(_CASES))} comparisons in {len(passed)} tests, {len(skipped)} skipped"
    terminalreporter.write_line(f"parity with published code: {counted}")

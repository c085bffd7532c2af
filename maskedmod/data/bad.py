"""Samples that cannot be used: the policy, the count and the list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from maskedmod.errors import UserError, one_line

Policy = Literal["raise", "skip"]


@dataclass(frozen=True)
class Bad:
    """One sample that could not be used. ``trace``: of an exception that its reader did not mean, the traceback."""

    key: str
    reason: str
    trace: str = ""


@dataclass
class BadLog:
    """``raise``: the first bad sample ends the run with a UserError that names it. ``skip``: it is replaced (training) or left
    out (validation), counted and written to ``path``, one JSON object ``{"key", "reason"}`` a line, once per key, with
    ``traceback`` where the reader failed in a way it did not mean.
    ``count`` is the number of failed readings in this process, ``first`` of them ``KEY: REASON``, ``keys`` the samples seen to be
    bad, earlier runs included."""

    policy: Policy = "raise"
    path: Path | None = None
    count: int = 0
    keys: set[str] = field(default_factory=set)
    first: str = ""

    def __post_init__(self) -> None:
        if self.policy not in ("raise", "skip"):
            raise UserError(f"bad={self.policy!r}: accepted are raise, skip")
        if self.path is not None and self.path.exists():
            self.keys.update(_keys(self.path))

    def add(self, found: Sequence[Bad]) -> None:
        """Take note of bad samples as the policy says."""
        for bad in found:
            if self.policy == "raise":
                hint = "train.bad_samples=skip leaves such samples out and lists them"
                raise UserError(f"{bad.key}: {one_line(bad.reason)} ({hint})")
            self.count += 1
            self.first = self.first or f"{bad.key}: {one_line(bad.reason)}"
            if bad.key in self.keys:
                continue
            self.keys.add(bad.key)
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    trace = {"traceback": bad.trace} if bad.trace else {}
                    file.write(json.dumps({"key": bad.key, "reason": one_line(bad.reason), **trace}) + "\n")


def _keys(path: Path) -> list[str]:
    """Keys of an earlier log; a last line that was cut off when a run was killed is passed over."""
    keys = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            keys.append(str(json.loads(line)["key"]))
        except (ValueError, KeyError, TypeError):
            continue
    return keys

"""Signals: SIGTERM, SIGUSR1 and Ctrl-C ask for a checkpoint and an orderly end after the current step."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

EXIT_INTERRUPTED = 75
"""Exit code of a run that was asked to stop and saved (EX_TEMPFAIL of sysexits.h: try again later)."""


EXIT_CTRL_C = 130
"""Exit code after Ctrl-C, as shells have it."""


class Interrupted(SystemExit):
    """Ends the program with code 75, after Ctrl-C with 130; the message says how to go on. ``by``: the signal (None: another
    process got it)."""

    def __init__(self, step: int, out: Path, by: int | None = None) -> None:
        super().__init__(EXIT_CTRL_C if by == signal.SIGINT else EXIT_INTERRUPTED)
        self.step, self.out, self.by = step, out, by

    def __str__(self) -> str:
        cause = "Ctrl-C" if self.by == signal.SIGINT else "a signal"
        return f"stopped by {cause} at step {self.step}, checkpoint saved; the same command with out={self.out} goes on"


class StopSignals:
    """``with StopSignals() as stop``: ``stop.asked`` turns True at the first signal, whose number is ``stop.by``; a second one
    acts as usual."""

    def __init__(self) -> None:
        self.asked = False
        self.by: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked, self.by = True, number
        if number == signal.SIGINT and sys.stderr.isatty():
            sys.stderr.write("\nsaving a checkpoint after this step; Ctrl-C again leaves at once\n")
        signal.signal(number, self._before[number])

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

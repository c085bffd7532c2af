"""Signals: SIGTERM and SIGUSR1 ask for a checkpoint and an orderly end after the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

EXIT_INTERRUPTED = 75
"""Exit code of a run that was asked to stop and saved (EX_TEMPFAIL of sysexits.h: try again later)."""


class Interrupted(SystemExit):
    """Ends the program with code 75; the message says how to go on."""

    def __init__(self, step: int) -> None:
        super().__init__(EXIT_INTERRUPTED)
        self.step = step

    def __str__(self) -> str:
        return f"stopped by a signal at step {self.step}, checkpoint saved; resume=auto continues"


class StopSignals:
    """``with StopSignals() as stop``: ``stop.asked`` turns True at the first signal; a second one acts as usual."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGUSR1):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, self._before[number])

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

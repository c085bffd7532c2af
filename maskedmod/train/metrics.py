"""What a run writes down while it trains: metrics.jsonl, TensorBoard, the progress bar.

Losses stay on the device until ``flush``; every step gets a line of its own at full precision, so that the loss lists of two
runs can be compared exactly. The last line of an interval also carries rates and memory.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from maskedmod.train.parallel import Parallel

FIRST_SECONDS, MOST_SECONDS = 10.0, 300.0
"""Until the first plain line of progress, and between two of them at most."""


class NotFiniteError(ValueError):
    """A loss or gradient that is NaN or infinite: ``step`` (1-based), accumulation ``part`` of this process (None: another
    process's)."""

    def __init__(self, step: int, part: int | None, what: str) -> None:
        super().__init__(f"{what} is not finite at step {step}")
        self.step, self.part, self.what = step, part, what


class Metrics:
    """Only the first process writes; all call ``add`` and ``flush``, which averages over processes."""

    def __init__(
        self, out: Path, parallel: Parallel, start: int, total: int, samples: int, tokens: int, tensorboard: bool
    ) -> None:
        """``start``: steps already done; later lines of an earlier attempt are taken out. ``samples``, ``tokens``: of a step."""
        self.parallel, self.samples, self.tokens = parallel, samples, tokens
        self.file, self.last_validation, self.last_probe = out / "metrics.jsonl", 0, 0
        self.total, self._pause = total, FIRST_SECONDS / 2
        self._next = time.perf_counter() + FIRST_SECONDS
        self._pending: list[tuple[int, float, list[dict[str, Tensor]]]] = []
        if parallel.main:
            out.mkdir(parents=True, exist_ok=True)
            self._truncate(start)
        self._lines = self.file.open("a") if parallel.main else None
        self.board = _board(out / "tensorboard", start) if tensorboard and parallel.main else None
        self.bar = tqdm(total=total, initial=start, disable=None if parallel.main else True, unit="step", dynamic_ncols=True)
        self.tick()

    def agree(self) -> None:
        """What the first process read of an earlier attempt, in every process: all of them decide by it what is still due."""
        self.last_validation, self.last_probe = self.parallel.share((self.last_validation, self.last_probe))

    def tick(self) -> None:
        """The clock for rates starts now (after a validation or a checkpoint)."""
        self._since = time.perf_counter()

    def add(self, step: int, lr: float, parts: list[dict[str, Tensor]]) -> None:
        """Remember the losses of a step (1-based), one dict per accumulation part, without reading them."""
        self._pending.append((step, lr, parts))
        self.bar.update(1)

    def flush(self, norm: Tensor | None) -> None:
        """Read and write what is pending. Raises NotFiniteError, after writing the steps before."""
        if not self._pending:
            return
        keys = list(self._pending[0][2][0])
        own = torch.stack([torch.stack([out[k].float() for k in keys]) for _, _, parts in self._pending for out in parts])
        own = own.reshape(len(self._pending), -1, len(keys))  # [steps, parts, keys]
        rows = self.parallel.mean(own.mean(1)).tolist()
        size = None if norm is None else float(norm)
        spent = time.perf_counter() - self._since
        lines = [
            {"step": step, **dict(zip(keys, row, strict=True)), "lr": lr}
            for (step, lr, _), row in zip(self._pending, rows, strict=True)
        ]
        bad = next((i for i, row in enumerate(rows) if not all(map(math.isfinite, row))), None)
        self._pending = []
        if bad is not None:
            self._write(lines[:bad])
            part = next((p for p, row in enumerate(own[bad].tolist()) if not all(map(math.isfinite, row))), None)
            raise NotFiniteError(lines[bad]["step"], part, "the loss")
        lines[-1].update(self._rates(len(lines), spent, size))
        self._tell(lines)
        self._write(lines)
        self._show(lines)
        if size is not None and not math.isfinite(size):
            raise NotFiniteError(lines[-1]["step"], 0, "the gradient norm")
        self.tick()

    def _rates(self, steps: int, spent: float, norm: float | None) -> dict[str, float]:
        rates: dict[str, float] = {} if norm is None else {"grad_norm": norm}
        rates["samples_per_s"] = steps * self.samples / spent
        if self.tokens:
            rates["tokens_per_s"] = steps * self.tokens / spent
        rates["memory_gb"] = memory_gb(self.parallel.device)
        return rates

    def event(self, step: int, numbers: Mapping[str, Any]) -> None:
        """A line of its own: validation, probe, finding."""
        if "val_loss" in numbers:
            self.last_validation = step
        if "feature_rank" in numbers:
            self.last_probe = step
        self._write([{"step": step, **numbers}])
        if self.board is not None:
            for key, number in numbers.items():
                if isinstance(number, float):
                    self.board.add_scalar(key, number, step)

    def say(self, text: str) -> None:
        """A line for the reader, beside the progress bar."""
        if self.parallel.main:
            tqdm.write(text, file=sys.stderr)
            sys.stderr.flush()

    def _write(self, lines: list[dict[str, Any]]) -> None:
        if self._lines is not None:
            self._lines.writelines(json.dumps(line) + "\n" for line in lines)
            self._lines.flush()

    def _show(self, lines: list[dict[str, Any]]) -> None:
        if self.bar.disable and self.board is None:
            return
        last = lines[-1]
        mean = sum(line["loss"] for line in lines) / len(lines)
        rate = f"{last['samples_per_s']:.0f} samples/s"
        self.bar.set_postfix_str(f"loss {mean:.4f}, {rate}, {last['memory_gb']:.2f} GB", refresh=False)
        if self.board is not None:
            for key, number in {**last, "loss": mean}.items():
                if key != "step":
                    self.board.add_scalar(key, number, last["step"])

    def _tell(self, lines: list[dict[str, Any]]) -> None:
        """Where no bar can live, a plain line: soon, and then ever more rarely."""
        now = time.perf_counter()
        if not self.parallel.main or not self.bar.disable or now < self._next:
            return
        self._pause = min(2 * self._pause, MOST_SECONDS)
        self._next = now + self._pause
        last, mean = lines[-1], sum(line["loss"] for line in lines) / len(lines)
        left = (self.total - last["step"]) * self.samples / last["samples_per_s"]
        self.say(
            f"step {last['step']} of {self.total}: loss {mean:.4f}, {last['samples_per_s']:.0f} samples/s, "
            f"{last['memory_gb']:.2f} GB, {clock(left)} left"
        )

    def _truncate(self, start: int) -> None:
        """Take out lines after ``start`` and one that a crash cut."""
        if not self.file.exists():
            return
        kept = []
        for text in self.file.read_text().splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            if line["step"] <= start and start > 0:
                kept.append(text + "\n")
                self.last_validation = line["step"] if "val_loss" in line else self.last_validation
                self.last_probe = line["step"] if "feature_rank" in line else self.last_probe
        fresh = self.file.with_suffix(".new")
        fresh.write_text("".join(kept))
        os.replace(fresh, self.file)

    def close(self) -> None:
        """Close files and the bar."""
        self.bar.close()
        if self.board is not None:
            self.board.close()
        if self._lines is not None:
            self._lines.close()


def _board(folder: Path, start: int) -> Any:
    """TensorBoard writer, or None when the package is absent."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=start + 1)  # type: ignore[no-untyped-call]


def clock(seconds: float) -> str:
    """``2 h 05 min``, ``4 min 10 s`` or ``9 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def memory_gb(device: torch.device) -> float:
    """Peak memory: of the device's allocator on CUDA, of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)

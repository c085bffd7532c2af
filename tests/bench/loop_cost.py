"""What our training loop costs beside a bare hand-written one, over the same tiny model and the same data, in one run.

    python tests/bench/loop_cost.py [rounds=7] [steps=140] [batch=32]

Rounds of the two loops alternate, so that a change of the machine's pace meets both. The first 20 steps of a round are not
counted. Prints steps per second of every round and the ratio of the medians, by the clock and by this process's CPU time, which
other programs disturb less. Ours writes its metrics and does its health checks.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from maskedmod.core.context import Context  # noqa: E402
from maskedmod.data.loader import Loader  # noqa: E402
from tests.train import toy  # noqa: E402

SKIPPED = 20


def data(batch: int) -> Loader:
    """The waves, in training order."""
    waves = toy.Waves()
    return Loader(waves.demo("train"), waves, batch, seed=3)


def now() -> tuple[float, float]:
    """The clock and this process's CPU time."""
    return time.perf_counter(), time.process_time()


def rate(steps: int, start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Steps per second by the clock and by CPU time."""
    return steps / (end[0] - start[0]), steps / (end[1] - start[1])


def bare(batch: int, steps: int) -> tuple[float, float]:
    """The loop one would write by hand -> steps per second."""
    model = toy.model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05, fused=True)
    generator = torch.Generator().manual_seed(0)
    batches = data(batch).batches()
    started = now()
    for step in range(steps):
        if step == SKIPPED:
            started = now()
        out = model(next(batches), Context(step=step, max_steps=steps, generator=generator))
        out["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return rate(steps - SKIPPED, started, now())


def ours(batch: int, steps: int) -> tuple[float, float]:
    """The same with the trainer, at its default intervals for logging and health checks -> steps per second."""
    moments: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        run = toy.trainer(Path(folder), toy.model(), steps=steps, batch_size=batch, log_every=20, checkpoint_every=0)
        original = run.model.after_step

        def after_step(ctx: Any) -> None:
            original(ctx)
            moments.append(now())

        run.module.after_step = after_step  # type: ignore[assignment]
        run.fit()
    return rate(steps - SKIPPED, moments[SKIPPED - 1], moments[-1])


def main(rounds: int = 7, steps: int = 140, batch: int = 32) -> float:
    """Run, print, return the ratio by the clock."""
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    say = logging.getLogger("loop_cost").info
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
    bare(batch, steps), ours(batch, steps)  # warms caches up
    for number in range(rounds):
        for name, loop in (("bare", bare), ("ours", ours)) if number % 2 else (("ours", ours), ("bare", bare)):
            found[name].append(loop(batch, steps))
        say("round %d: bare %.1f, ours %.1f steps/s", number + 1, found["bare"][-1][0], found["ours"][-1][0])
    ratios = []
    for i, clock in enumerate(("clock", "CPU time")):
        hand, trainer = (median(pair[i] for pair in found[name]) for name in ("bare", "ours"))
        ratios.append(trainer / hand)
        say("medians by %s: bare %.1f, ours %.1f steps/s; ratio %.3f", clock, hand, trainer, trainer / hand)
    return ratios[0]


if __name__ == "__main__":
    main(**{key: int(number) for key, number in (word.split("=") for word in sys.argv[1:])})

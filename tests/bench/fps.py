"""Farthest point sampling beside the usual batched loop: python tests/bench/fps.py clouds=32 points=8192 count=512 rounds=5

The usual loop is the one that most PyTorch ports of PointNet++ hold: points kept as [B, P, 3], a squared difference summed over
the last axis and a masked assignment in every step. Rounds of both alternate; medians of CPU and clock time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from maskedmod.modalities.points.geometry import farthest_points
from torch import Tensor


def usual(points: Tensor, count: int) -> Tensor:
    """Indices int64 ``[B, count]``, beginning at 0."""
    b, p, _ = points.shape
    chosen = torch.zeros(b, count, dtype=torch.long)
    distance = torch.full((b, p), 1e10)
    farthest = torch.zeros(b, dtype=torch.long)
    rows = torch.arange(b)
    for i in range(count):
        chosen[:, i] = farthest
        centre = points[rows, farthest, :].view(b, 1, 3)
        step = ((points - centre) ** 2).sum(-1)
        closer = step < distance
        distance[closer] = step[closer]
        farthest = distance.max(-1)[1]
    return chosen


def timed(run: Callable[[Tensor, int], Tensor], points: Tensor, count: int) -> tuple[float, float, Tensor]:
    clock, cpu = time.perf_counter(), time.process_time()
    found = run(points, count)
    return time.perf_counter() - clock, time.process_time() - cpu, found


def main(clouds: int = 32, points: int = 8192, count: int = 512, rounds: int = 5, threads: int = 2) -> None:
    torch.set_num_threads(threads)
    cloud = torch.rand(clouds, points, 3, generator=torch.Generator().manual_seed(0))
    ways: dict[str, Callable[[Tensor, int], Tensor]] = {"usual loop": usual, "maskedmod": farthest_points}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    indices = {name: run(cloud, count) for name, run in ways.items()}
    agree = float((indices["usual loop"] == indices["maskedmod"]).float().mean())
    for _ in range(rounds):
        for name, run in ways.items():
            clock, cpu, _ = timed(run, cloud, count)
            found[name].append((clock, cpu))
    print(f"{clouds} clouds, {count} of {points} points, {threads} threads, medians of {rounds}; equal indices: {agree:.2%}")
    for name, times in found.items():
        clock, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:12s} {clock:7.3f} s by the clock, {cpu:7.3f} s of CPU")
    ratio = [statistics.median(a[i] / b[i] for a, b in zip(*found.values(), strict=True)) for i in (0, 1)]
    print(f"ratio        {ratio[0]:7.1f}                 {ratio[1]:7.1f}")


if __name__ == "__main__":
    main(**{key: int(value) for key, value in (word.split("=") for word in sys.argv[1:])})

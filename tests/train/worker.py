"""Training runs in a process of its own, for tests that kill it or start two: ``worker.py FOLDER NAME,DISTRIBUTED,DIE_AT ...``.

The runs follow one another; at 0-based step DIE_AT (0: never) the last process gets the signal in the environment's DIE_BY.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from maskedmod.cli import leave
from maskedmod.core.context import Context
from maskedmod.train.parallel import processes
from maskedmod.train.stop import Interrupted
from tests.train import toy


def train(out: Path, distributed: str, die_at: int) -> None:
    """One run of the toy with EMA teacher."""
    with processes(toy.settings(distributed=distributed)) as parallel:
        net = toy.model("jepa", seed=parallel.rank)  # the first process's weights count
        run = toy.trainer(out, net, parallel=parallel, **toy.LONG)
        original = run.model.after_step

        def after_step(ctx: Context) -> None:
            original(ctx)
            if die_at and ctx.step == die_at and parallel.rank == parallel.world - 1:
                os.kill(os.getpid(), int(os.environ["DIE_BY"]))

        run.module.after_step = after_step
        run.fit()


def main(folder: Path, runs: list[list[str]]) -> None:
    """All runs; an interrupted last one ends the process as it would a user's."""
    torch.set_num_threads(1)
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    for i, (name, distributed, die_at) in enumerate(runs):
        try:
            train(folder / name, distributed, int(die_at))
        except Interrupted:
            if i + 1 == len(runs):
                raise
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
        leave(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [run.split(",") for run in sys.argv[2:]])

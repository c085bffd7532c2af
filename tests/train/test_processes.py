"""Runs in processes of their own: killed ones go on with the same losses, two processes train as one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import torch

from maskedmod.train.stop import EXIT_INTERRUPTED
from maskedmod.zoo import step_folder
from tests.train import toy

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, *runs: str, by: int, world: int = 1) -> list[int]:
    """``world`` workers side by side -> their exit codes."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "DIE_BY": str(int(by))}
    if world > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
    command = [sys.executable, "-m", "tests.train.worker", str(folder), *runs]
    running = [
        subprocess.Popen(command, cwd=ROOT, env={**env, "RANK": str(rank), "LOCAL_RANK": str(rank)} if world > 1 else env)
        for rank in range(world)
    ]
    return [process.wait(timeout=180) for process in running]


def validations(out: Path) -> list[dict[str, float]]:
    return [line for line in toy.lines(out) if "val_loss" in line]


def test_killed_and_terminated_runs_go_on_exactly(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert start(tmp_path, "cut,none,7", by=signal.SIGKILL) == [-signal.SIGKILL]
    assert [path.name for path in step_folder.complete(cut / "checkpoints")] == ["step_00000005"]
    assert start(tmp_path, "cut,none,8", by=signal.SIGTERM) == [EXIT_INTERRUPTED]
    assert step_folder.complete(cut / "checkpoints")[-1].name == "step_00000009"
    toy.trainer(cut, toy.model("jepa", seed=5), **toy.LONG).fit()
    toy.trainer(whole, toy.model("jepa"), **toy.LONG).fit()
    assert toy.losses(cut) == toy.losses(whole) and validations(cut) == validations(whole)


def test_two_processes_train_as_one_and_go_on_exactly(tmp_path: Path) -> None:
    """DDP and FSDP2, each: a whole run; one that stops at a signal to the second process; the rest of it; and a finished run
    again, of which only the first process knows that its last step was validated."""
    plan = (("whole", 0), ("cut", 6), ("cut", 0), ("whole", 0))
    runs = [f"{kind}_{name},{kind},{die}" for kind in ("ddp", "fsdp") for name, die in plan]
    assert start(tmp_path, *runs, by=signal.SIGUSR1, world=2) == [0, 0]
    for kind in ("ddp", "fsdp"):
        whole, cut = tmp_path / f"{kind}_whole", tmp_path / f"{kind}_cut"
        assert toy.losses(cut) == toy.losses(whole) and validations(cut) == validations(whole)
        assert len(toy.losses(whole)) == 12
    ddp, fsdp = (tmp_path / f"{kind}_whole" for kind in ("ddp", "fsdp"))
    torch.testing.assert_close(torch.tensor(toy.losses(fsdp)), torch.tensor(toy.losses(ddp)), rtol=1e-3, atol=1e-4)
    one, two = (step_folder.load_model(step_folder.complete(out / "checkpoints")[-1]) for out in (ddp, fsdp))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-2, atol=1e-3)

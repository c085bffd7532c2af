"""Rows of all processes."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from maskedmod.support.processes import gathered


def _worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    rows = torch.arange(float(2 * (rank + 1))).view(-1, 2) + 10 * rank
    torch.save(gathered(rows), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_rows_of_two_processes_of_unequal_number(tmp_path: Path) -> None:
    mp.spawn(_worker, (str(tmp_path),), nprocs=2)  # type: ignore[attr-defined]
    wanted = torch.tensor([[0.0, 1.0], [10.0, 11.0], [12.0, 13.0]])
    assert all(torch.equal(torch.load(tmp_path / f"{rank}.pt"), wanted) for rank in range(2))
    assert torch.equal(gathered(wanted), wanted)

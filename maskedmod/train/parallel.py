"""Processes and devices: one process, DDP or FSDP2, started by torchrun or directly."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from maskedmod.errors import UserError, one_line
from maskedmod.recipe.settings import TrainSettings
from maskedmod.train.stop import Interrupted


@dataclass
class Parallel:
    """This process's place: ``rank`` of ``world`` processes, its device, and how the model is spread over them."""

    device: torch.device
    kind: Literal["none", "ddp", "fsdp"] = "none"
    rank: int = 0
    world: int = 1
    _flag: Tensor = field(default_factory=lambda: torch.zeros(1))
    _asked: Any = None

    @property
    def main(self) -> bool:
        """True in the one process that writes files."""
        return self.rank == 0

    def wrap(self, model: nn.Module, units: Sequence[nn.Module]) -> nn.Module:
        """The module to call in training. DDP returns a wrapper, FSDP2 shards the model in place, unit by unit."""
        if self.kind == "ddp":
            ids = [self.device.index or 0] if self.device.type == "cuda" else None
            return nn.parallel.DistributedDataParallel(model, device_ids=ids)
        if self.kind == "fsdp":
            self._shard(model, units)
        return model

    def _shard(self, model: nn.Module, units: Sequence[nn.Module]) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        for tensor in model.state_dict().values():  # all start from the first process's weights, as with DDP
            dist.broadcast(tensor, src=0)
        mesh = init_device_mesh(self.device.type, (self.world,))
        for unit in units:
            fully_shard(unit, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for name in ("step", "score"):  # validation calls these beside forward
            if hasattr(model, name):
                register_fsdp_forward_method(model, name)

    @contextmanager
    def last_part(self, net: nn.Module, last: bool) -> Iterator[None]:
        """Gradients cross between processes in the last accumulation part alone."""
        if self.kind == "fsdp":
            net.set_requires_gradient_sync(last)  # type: ignore[operator]
        skip = self.kind == "ddp" and not last
        with net.no_sync() if skip else nullcontext():  # type: ignore[operator]
            yield

    def mean(self, values: Tensor) -> Tensor:
        """Mean over processes of small numbers."""
        if self.world > 1:
            dist.all_reduce(values)
            values = values / self.world
        return values

    def total(self, values: Tensor, most: bool = False) -> Tensor:
        """Sum over processes (``most``: the maximum)."""
        if self.world > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX if most else dist.ReduceOp.SUM)
        return values

    def agree(self, wish: bool) -> bool:
        """True in every process at the same call once one process wished it. The answer travels while the next step
        computes, so it comes one call late and nobody waits for it."""
        if self.world == 1:
            return wish
        said = False
        if self._asked is not None:
            self._asked.wait()
            said = bool(self._flag.item())
        self._flag.fill_(float(wish))
        self._asked = dist.all_reduce(self._flag, dist.ReduceOp.MAX, async_op=True)
        return said

    def settle(self) -> None:
        """Wait for the answer under way, before the group is used for other things or closed."""
        if self._asked is not None:
            self._asked.wait()
            self._asked = None

    def share(self, thing: Any) -> Any:
        """The first process's object, in every process."""
        if self.world == 1:
            return thing
        box = [thing]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def processes(settings: TrainSettings) -> Iterator[Parallel]:
    """Join the group that torchrun describes in the environment, and leave it at the end. UserError for ddp or fsdp without
    torchrun, and for several processes that know nothing of one another."""
    kind = settings.distributed
    started = "WORLD_SIZE" in os.environ
    if kind == "auto":
        kind = "ddp" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "none"
    if kind == "none":
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError("train.distributed=none, but torchrun started several processes; use auto, ddp or fsdp")
        yield Parallel(_device(settings.device, 0))
        return
    if not started:
        raise UserError(f"train.distributed={kind} needs torchrun: torchrun --nproc-per-node=N -m maskedmod train ...")
    device = _device(settings.device, int(os.environ.get("LOCAL_RANK", "0")))
    joined = not dist.is_initialized()
    if joined:
        # gloo beside nccl: stop flags and objects travel between CPUs without touching the GPU
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(minutes=30))
    try:
        try:
            yield Parallel(device, kind, dist.get_rank(), dist.get_world_size())
        except Interrupted:
            dist.barrier()
            raise
        dist.barrier()  # gloo aborts in a process that is still closing when its peer is gone
    finally:
        if joined:
            dist.destroy_process_group()


def _device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"train.device={name}: no such device; accepted are auto, cpu, cuda, cuda:1 and so on") from None
    if device.type not in ("cpu", "cuda"):
        _try(device)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"train.device={name}: torch sees no CUDA device; use train.device=cpu")
        if device.index is None:
            device = torch.device("cuda", local_rank)
        if device.index >= torch.cuda.device_count():
            raise UserError(f"train.device={device}: torch sees {torch.cuda.device_count()} CUDA devices, counted from 0")
        torch.cuda.set_device(device)
    return device


def _try(device: torch.device) -> None:
    """UserError for a kind of device that torch knows by name and cannot train on here."""
    try:
        torch.Generator(device)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"train.device={device}: torch cannot use it here ({one_line(str(error), 120)})") from None


def seed_all(seed: int, device: torch.device, generator: torch.Generator) -> None:
    """Seed the generators of a step: torch's own on the CPU and on ``device``, and ``generator``. A hundred times cheaper than
    torch.manual_seed, which on a machine without CUDA takes a stack trace for later."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)
    generator.manual_seed(seed)


def prepare_units(units: Sequence[nn.Module], settings: TrainSettings) -> None:
    """Activation checkpointing and torch.compile of every unit's forward: parameter names and the hooks that DDP and FSDP
    put around the unit stay as they are."""
    from functools import partial

    from torch.utils.checkpoint import checkpoint

    for unit in units:
        forward: Any = unit.forward
        if settings.activation_checkpointing:
            forward = partial(checkpoint, forward, use_reentrant=False)
        if settings.compile:
            try:
                forward = torch.compile(forward, backend=settings.compile_backend)
            except RuntimeError as error:  # a backend of this name does not exist
                raise UserError(f"train.compile_backend={settings.compile_backend}: {one_line(str(error), 200)}") from None
        if forward is not unit.forward:
            unit.forward = forward

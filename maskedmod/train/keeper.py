"""Saves a run's checkpoints and goes on from the newest one, in all processes together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskedmod.errors import UserError
from maskedmod.train import state
from maskedmod.train.parallel import Parallel
from maskedmod.zoo import step_folder


class Keeper:
    """Checkpoints of ``model`` and its optimisers in ``folder``, the newest ``keep``; ``notes`` go into every meta.json."""

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
        parallel: Parallel,
        keep: int,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.model, self.optimizers = folder, model, optimizers
        self.parallel, self.keep, self.notes = parallel, keep, dict(notes or {})

    def save(self, step: int, **meta: Any) -> None:
        """Write the checkpoint of ``step``. Raises UserError, in all processes, when it cannot be written."""
        tensors, states = state.gather(self.model, self.optimizers, self.parallel.kind == "fsdp")
        error = None
        if self.parallel.main:
            meta = {**self.notes, **meta, "step": step, "world": self.parallel.world}
            try:
                step_folder.save(self.folder, tensors, {"optimizers": states}, meta, self.keep)
            except UserError as caught:
                error = str(caught)
        error = self.parallel.share(error)
        if error is not None:
            raise UserError(error)

    def restore(self) -> tuple[int, list[str]]:
        """Put back the newest whole checkpoint -> steps done (0: there is none), and what the user should know."""
        found: Any = None
        if self.parallel.main:
            try:
                found = step_folder.newest(self.folder)
            except UserError as error:
                found = str(error)
        found = self.parallel.share(found)
        if isinstance(found, str):
            raise UserError(found)
        path, messages = found
        if path is None:
            return 0, []
        tensors, states, meta = step_folder.load(path)
        state.restore(self.model, self.optimizers, tensors, states["optimizers"], self.parallel.kind == "fsdp")
        if meta["world"] != self.parallel.world:
            messages.append(f"the run had {meta['world']} processes and has {self.parallel.world} now: its losses will differ")
        return int(meta["step"]), [*messages, f"going on from step {meta['step']}"]

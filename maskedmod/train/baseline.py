"""The mean predictor: what a model must beat. Per position the mean of each objective's target over the training data; for
targets that are ids, their frequencies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from maskedmod.core.mask_set import Where
from maskedmod.core.model import MaskedModel, Objective
from maskedmod.core.schedules import value
from maskedmod.core.step import Step, View
from maskedmod.errors import UserError
from maskedmod.train.parallel import Parallel


class MeanPredictor:
    """Sums of targets, added batch by batch. Dense layouts have one row a position, packed and pooled ones a single row; ids
    have one row of counts."""

    def __init__(self, model: MaskedModel) -> None:
        self.model = model
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor] = {}
        self.tables: dict[str, Tensor] = {}

    @property
    def moves(self) -> bool:
        """True when a target comes from a teacher: its mean changes while the model trains."""
        return any(one.target.needs_teacher for _, one in self._objectives())

    def reset(self) -> None:
        """Forget all sums."""
        self.sums, self.counts = {}, {}

    @torch.no_grad()
    def add(self, step: Step, counts: bool = True) -> None:
        """Take up the targets of one batch at all valid positions; with ``counts`` False only their shapes."""
        share = float(counts)
        for name, objective in self._objectives():
            for key in objective.views or tuple(step.views):
                view = step.views[key]
                where = _everywhere(view) if objective.region != "pooled" else Where(None)
                where = objective.target.places(step, key, where)
                goal = objective.target(step, key, where)
                if objective.target.discrete:
                    found = torch.bincount(_valid(goal, where).reshape(-1), minlength=objective.target.width)
                    self._grow(name, found[None].double(), torch.ones(1, device=goal.device, dtype=torch.float64), share)
                elif goal.ndim < 4:  # packed or pooled
                    rows = goal.new_full((1,), len(goal), dtype=torch.float64)
                    self._grow(name, goal.double().sum(0, keepdim=True), rows, share)
                else:
                    weight = torch.ones(goal.shape[:3], device=goal.device, dtype=torch.float64)
                    if where.weight is not None:
                        weight = weight * where.weight
                    # where(): padding may hold anything, also NaN, and 0 * NaN would stay
                    shares = torch.where(weight[..., None] > 0, goal.double(), 0.0)
                    self._grow(name, shares.sum((0, 1)), weight.sum((0, 1)), share)

    def _grow(self, name: str, sums: Tensor, counts: Tensor, share: float) -> None:
        sums, counts = sums * share, counts * share
        if name in self.sums:
            rows = max(len(sums), len(self.sums[name]))
            sums = _rows(sums, rows) + _rows(self.sums[name], rows)
            counts = _rows(counts, rows) + _rows(self.counts[name], rows)
        self.sums[name], self.counts[name] = sums, counts

    def finish(self, parallel: Parallel) -> None:
        """Make the tables, over all processes."""
        self.tables = {}
        for name, objective in self._objectives():
            rows = int(parallel.total(torch.tensor(len(self.sums[name]), device=parallel.device), most=True))
            sums = parallel.total(_rows(self.sums[name], rows))
            counts = parallel.total(_rows(self.counts[name], rows))[:, None]
            if objective.target.discrete:
                self.tables[name] = ((sums + 1.0) / (sums + 1.0).sum()).float()  # no id has probability 0
                continue
            everywhere = sums.sum(0) / counts.sum().clamp(min=1)
            self.tables[name] = torch.where(counts > 0, sums / counts.clamp(min=1), everywhere).float()
        self.reset()

    @torch.no_grad()
    def score(self, step: Step) -> Tensor:
        """The model's loss with the mean as prediction, for the same masks."""
        total = torch.zeros((), device=next(iter(self.tables.values())).device)
        for name, objective in self._objectives():
            losses = []
            for key in objective.views or tuple(step.views):
                where = objective.where(step, key)
                goal = objective.target(step, key, where)
                losses.append(objective.loss(self._predict(name, objective, goal, where), goal, where.weight))
            total = total + torch.stack(losses).mean() * value(objective.weight, step.ctx) * objective.sign
        return total

    def _predict(self, name: str, objective: Objective, goal: Tensor, where: Where) -> Tensor:
        table = self.tables[name]
        if objective.target.discrete:
            return table[0].log().expand(*goal.shape, -1)
        if len(table) == 1 or where.index is None:
            return objective.loss.of_mean(table.mean(0)).expand(goal.shape)
        rows = torch.cat([table, table.mean(0, keepdim=True)])  # positions that training never had get the overall mean
        return objective.loss.of_mean(rows)[where.index.clamp(max=len(table))]

    def _objectives(self) -> Iterator[tuple[str, Objective]]:
        for name, module in self.model.objectives.items():
            yield name, cast(Objective, module)

    def save(self, path: Path) -> None:
        """Write ``baseline.safetensors``: one float32 tensor ``[N, P]`` per objective, under its name."""
        from safetensors.torch import save_file

        save_file({name: table.cpu().contiguous() for name, table in self.tables.items()}, path)

    def load(self, path: Path, device: torch.device) -> None:
        """Read what ``save`` wrote."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            self.tables = {name: table.to(device) for name, table in load_file(path).items()}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} cannot be read ({error}); delete it, then it is measured again") from error


def _everywhere(view: View) -> Where:
    """All positions that a mask may hide; of dense tokens the others have weight 0. Class tokens and the like, which no model is
    asked for, would make ids look more predictable than they are."""
    maskable = view.rows.maskable()
    if view.rows.layout.packed:
        total = view.rows.shape[0]
        return Where(torch.arange(total, device=view.rows.device) if maskable is None else maskable.nonzero()[:, 0])
    m, n = view.rows.shape
    index = torch.arange(n, device=view.rows.device).expand(m, 1, n)
    return Where(index, None if maskable is None else maskable[:, None].float())


def _valid(goal: Tensor, where: Where) -> Any:
    return goal if where.weight is None else goal[where.weight > 0]


def _rows(x: Tensor, rows: int) -> Tensor:
    missing = rows - len(x)
    return x if missing == 0 else torch.cat([x, x.new_zeros(missing, *x.shape[1:])])

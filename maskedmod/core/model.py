"""MaskedModel: tokenize, mask, encode, predict. No block's and no modality's name stands in this file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.apply import Seen, apply
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.head import Head
from maskedmod.core.blocks.loss import Loss
from maskedmod.core.blocks.mask import Mask
from maskedmod.core.blocks.target import Target
from maskedmod.core.blocks.teacher import Teacher
from maskedmod.core.context import Context
from maskedmod.core.health import vital_signs
from maskedmod.core.mask_set import Region, Where
from maskedmod.core.modality import Modality
from maskedmod.core.schedules import Ramp, value
from maskedmod.core.step import Step, View
from maskedmod.core.tokens import Tokens


class Objective(nn.Module):
    """One named (target, head, loss) with its weight, sign, optimiser and region; a model has any number of them.
    ``mask``: of several masks per sample, the number of the one that it is for; None: all of them."""

    def __init__(
        self,
        target: Target,
        head: Head,
        loss: Loss,
        weight: float | Ramp = 1.0,
        sign: float = 1.0,
        optimizer: str = "main",
        region: Region = "masked",
        views: tuple[str, ...] | None = None,
        mask: int | None = None,
    ) -> None:
        super().__init__()
        self.target, self.head, self.loss = target, head, loss
        self.weight, self.sign, self.optimizer, self.region, self.views = weight, sign, optimizer, region, views
        self.mask = mask

    def forward(self, step: Step, view: str) -> tuple[Tensor, Tensor, Tensor]:
        """-> loss (a number), prediction and goal at this objective's region of one view."""
        where = self.where(step, view)
        goal = self.target(step, view, where)
        prediction = self.head(step.views[view], where)
        return self.loss(prediction, goal, where.weight), prediction, goal

    def where(self, step: Step, view: str) -> Where:
        """What is predicted: the tokens of the region, or the places that the target asks for in their stead."""
        mask = step.views[view].mask
        where = mask.where(self.region)
        return self.target.places(step, view, where if self.mask is None else mask.only(where, self.mask))


@dataclass
class Blocks:
    """What a model is made of; ``recipe/build.py`` makes it from a recipe, tests make it by hand."""

    modality: Modality
    mask: Mask
    encoder: Encoder
    objectives: dict[str, Objective]
    teacher: Teacher | None = None


class MaskedModel(nn.Module):
    """The sentence. ``forward(batch, ctx)`` gives a dict with ``loss`` and one entry per objective."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__()
        self.modality = blocks.modality
        self.mask = blocks.mask
        self.encoder = blocks.encoder
        self.teacher = blocks.teacher
        self.objectives = nn.ModuleDict(blocks.objectives)
        for objective in blocks.objectives.values():
            objective.head.bind(blocks.encoder)
            objective.target.bind(objective.head)
            objective.head.join({name: other.head for name, other in blocks.objectives.items()})
        self._hooked: list[Any] = [m for m in self.modules() if m is not self and hasattr(m, "after_step")]
        self._watched: list[tuple[str, Tensor, Tensor, Tensor]] = []
        self._check()

    def forward(self, batch: dict[str, Any], ctx: Context, watch: bool = False) -> dict[str, Tensor]:
        """One step's losses: ``loss`` (all objectives), one entry per objective, ``loss.<optimiser>`` when there are several.
        ``watch`` keeps what ``diagnose()`` looks at."""
        step = self.step(batch, ctx)
        return self.score(step, watch)

    def step(self, batch: dict[str, Any], ctx: Context) -> Step:
        """prepare, tokenize, then teacher -> mask -> student for every view."""
        batch = self.modality.prepare(batch, ctx)
        step = Step(self.modality, batch, ctx)
        for name, tokens in self.modality.tokenize(batch).items():
            step.views[name] = self.view(tokens, ctx, name=name)
        return step

    def view(self, tokens: Tokens, ctx: Context, mask: Any = None, teacher_mask: Any = None, name: str = "main") -> View:
        """Teacher, mask and student for one set of tokens, the view ``name``; ``mask`` may be given (published masks, pictures),
        and that of a teacher with a mask of its own."""
        looks = self.teacher is not None and (self.teacher.views is None or name in self.teacher.views)
        teacher = self._teach(Seen(tokens), "full") if looks else None
        rows = tokens.repeat(self.mask.per_sample if mask is None else mask.per_sample)
        if mask is None:
            mask = self.mask(rows, ctx.with_teacher(teacher))
        seen = apply(rows, mask, self.encoder.sees)
        if teacher is None and looks:
            teacher = self._teach(seen, "same")
        student = self.encoder(seen, self._taps("head"))
        if looks and self.teacher is not None and self.teacher.sees == "own":
            teacher = self._teach(apply(rows, teacher_mask or self.mask(rows, ctx), self.encoder.sees), "own")
        return View(tokens, rows, mask, student, teacher)

    def score(self, step: Step, watch: bool = False) -> dict[str, Tensor]:
        """Losses of all objectives over all their views."""
        out: dict[str, Tensor] = {}
        totals: dict[str, Tensor] = {}
        self._watched = []
        for name, objective in self._each():
            views = objective.views or tuple(step.views)
            losses = []
            for view in views:
                loss, prediction, goal = objective(step, view)
                losses.append(loss)
                if watch:
                    features = step.views[view].student.tokens
                    self._watched.append((name, prediction.detach(), goal.detach(), features.detach()))
            out[name] = torch.stack(losses).mean()
            signed = out[name] * (value(objective.weight, step.ctx) * objective.sign)
            totals[objective.optimizer] = totals[objective.optimizer] + signed if objective.optimizer in totals else signed
        out["loss"] = torch.stack(list(totals.values())).sum()
        if len(totals) > 1:
            out.update({f"loss.{name}": total for name, total in totals.items()})
        return out

    @torch.no_grad()
    def diagnose(self) -> dict[str, float]:
        """Vital signs of the last watched step, per objective: see ``health.vital_signs``."""
        signs: dict[str, float] = {}
        for name, prediction, goal, features in self._watched:
            objective = self.objectives[name]
            assert isinstance(objective, Objective)
            spread = not (objective.target.discrete or objective.target.fixed)
            found = vital_signs(prediction, goal if spread else None, features)
            signs.update({f"{name}.{key}": number for key, number in found.items()})
        self._watched = []
        return signs

    def after_step(self, ctx: Context) -> None:
        """State that changes once per optimiser step: the teacher, and any block that has an ``after_step`` of its own."""
        if self.teacher is not None:
            self.teacher.update(self.encoder, ctx)
        for module in self._hooked:
            module.after_step(ctx)

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups ``{params, names, decay, optimizer}``. Vectors, tokens and position tables take no weight decay."""
        groups: dict[tuple[str, bool], dict[str, Any]] = {}
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            decay = parameter.ndim > 1 and not name.rsplit(".", 1)[-1].endswith(("token", "tokens", "table"))
            key = (self._optimizer_of(name), decay)
            group = groups.setdefault(key, {"params": [], "names": [], "decay": decay, "optimizer": key[0]})
            group["params"].append(parameter)
            group["names"].append(name)
        return list(groups.values())

    def _optimizer_of(self, name: str) -> str:
        """Parameters of an objective go to its optimiser, those of a mask network to one called ``mask`` if there is one."""
        used = {objective.optimizer for _, objective in self._each()}
        parts = name.split(".")
        if parts[0] == "objectives":
            return dict(self._each())[parts[1]].optimizer
        if parts[0] in used:
            return parts[0]
        return "main"

    def units(self) -> list[nn.Module]:
        """What to compile, shard and recompute one by one."""
        heads = [unit for _, objective in self._each() for unit in objective.head.units()]
        return [*self.encoder.units(), *heads]

    def _check(self) -> None:
        """What blocks need of one another, before anything is computed."""
        used = self.mask.needs_teacher or any(objective.target.needs_teacher for _, objective in self._each())
        if self.teacher is not None and not used:
            raise ValueError("a teacher is named, but neither the mask nor a target uses it; take it out with teacher=null")
        if self.teacher is None and self.mask.needs_teacher:
            raise ValueError("this mask needs a teacher; add teacher=ema or another")
        for name, objective in self._each():
            if self.teacher is None and objective.target.needs_teacher:
                raise ValueError(f"objective {name}: its target needs a teacher; add teacher=ema or another")
            if objective.head.reads_hidden and self.encoder.sees == "visible" and objective.region in ("masked", "all"):
                raise ValueError(
                    f"objective {name}: its head reads hidden positions, but the encoder sees visible tokens only; use "
                    f"encoder.sees=mask_token, head=mae_decoder, or region=visible"
                )

    def _each(self) -> list[tuple[str, Objective]]:
        return [(name, module) for name, module in self.objectives.items() if isinstance(module, Objective)]

    def _taps(self, of: str) -> list[str]:
        """Taps that heads want of the student, or targets of the teacher."""
        wanted: dict[str, None] = {}
        for _, objective in self._each():
            wanted.update(dict.fromkeys(objective.head.taps if of == "head" else objective.target.teacher_taps))
        return list(wanted)

    def _teach(self, seen: Seen, moment: str) -> Any:
        if self.teacher is None or self.teacher.sees != moment:
            return None
        with torch.no_grad():
            seen = seen if moment == "own" else replace(seen, hidden=None)
            return self.teacher(seen, self._taps("target"))

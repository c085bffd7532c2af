"""The training loop: one for all models, on the CPU, one GPU, DDP and FSDP2."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.optimizer import Optimizer
from maskedmod.core.context import Context, step_seed
from maskedmod.errors import UserError
from maskedmod.recipe.settings import TrainSettings
from maskedmod.support.devices import to_device
from maskedmod.train.health import Health, save_batch
from maskedmod.train.keeper import Keeper
from maskedmod.train.metrics import Metrics, NotFiniteError
from maskedmod.train.oom import explained
from maskedmod.train.parallel import Parallel, prepare_units, seed_all
from maskedmod.train.protocol import Batches, Trainable
from maskedmod.train.schedule import Plan
from maskedmod.train.stop import Interrupted, StopSignals
from maskedmod.train.update import Updates
from maskedmod.train.validate import Numbered, Validator


class Trainer:
    """Trains ``model`` into the run folder ``out``; goes on from its newest checkpoint when ``resume``."""

    def __init__(
        self,
        model: nn.Module,
        train_loader: Batches,
        held_out: Numbered | None,
        settings: TrainSettings,
        optimizers: Mapping[str, Optimizer] | Optimizer,
        out: Path,
        seed: int = 0,
        *,
        parallel: Parallel | None = None,
        resume: bool = True,
        tokens_per_sample: int = 0,
        pictures: Callable[[int], None] | None = None,
        probe: Callable[[int, bool], Mapping[str, Any]] | None = None,
        means: Numbered | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """``train_loader`` gives batches of ``settings.part_size(world)`` samples, ``held_out`` those to validate on, ``means``
        those that the mean predictor is measured on. ``pictures(step)`` and ``probe(step, last)``, which gives numbers, are
        called by the first process when they are due; without ``probe_every`` the probe is due at the end alone. ``notes`` go
        into every checkpoint's meta.json."""
        self.settings, self.seed, self.out, self.loader = settings, seed, out, train_loader
        self.parallel = parallel or Parallel(torch.device("cpu"))
        self.pictures, self.probe, self.resume = pictures, probe, resume
        settings.part_size(self.parallel.world)
        self.plan = Plan(settings, train_loader.steps_per_epoch / settings.accumulate)
        self.module = model.to(self.parallel.device)
        self.model = cast(Trainable, self.module)
        units = self.model.units()
        prepare_units(units, settings)
        self.net = self.parallel.wrap(self.module, units)
        blocks = {"main": optimizers} if isinstance(optimizers, Optimizer) else optimizers
        self.updates = Updates(self.model.param_groups(), blocks, self.plan)
        if self.parallel.kind == "ddp" and len(self.updates.optimizers) > 1:
            raise UserError("several optimisers do not work with DDP, whose gradients are summed as one; use one process or fsdp")
        if self.parallel.kind == "fsdp" and not all(block.sharded for block in self.updates.blocks.values()):
            raise UserError("this optimiser needs whole tensors, which FSDP cuts up; use adamw, or train.distributed=ddp")
        self.keeper = Keeper(out / "checkpoints", self.module, self.updates.optimizers, self.parallel, settings.keep, notes)
        self.generator = torch.Generator(self.parallel.device)
        self.health = Health(settings.health_every, self.plan.total)
        self.validator = None
        if held_out is not None:
            self.validator = Validator(self.module, held_out, means, self.parallel, self.autocast)
        self.tokens = tokens_per_sample * settings.batch_size

    def fit(self) -> int:
        """Train to the end -> number of steps done. Raises Interrupted after a signal, UserError when the loss is not finite,
        memory or disk run out."""
        with explained(self.settings), StopSignals() as stop:
            start, messages = self.keeper.restore() if self.resume else (0, [])
            total = self.plan.total
            self.metrics = Metrics(
                self.out, self.parallel, start, total, self.settings.batch_size, self.tokens, self.settings.tensorboard
            )
            self.metrics.agree()
            try:
                for message in messages:
                    self.metrics.say(message)
                self._prepare(start)
                self._loop(start, total, stop)
            except NotFiniteError as error:
                raise self._explain(error) from error
            finally:
                self.metrics.close()
            return total

    def _prepare(self, start: int) -> None:
        self.module.train()
        missed = start > 0 and self._due(start, self.plan.val_every) and self.metrics.last_validation < start
        if self.validator is not None and (missed or start < self.plan.total):
            self.validator.prepare(self.out / "baseline.safetensors")
            if missed:  # the checkpoint was written, but the run ended before its validation
                self._validate(start)
        if start > 0 and self._due(start, self.settings.probe_every or 0) and self.metrics.last_probe < start:
            self._probe(start)
        self.metrics.tick()

    def _loop(self, start: int, total: int, stop: StopSignals) -> None:
        s = self.settings
        check_now = self.parallel.device.type == "cpu" and self.parallel.world == 1  # reading costs nothing there
        batches = self.loader.batches(start * s.accumulate)
        for step in range(start, total):
            done = step + 1
            watch = self.health.due(done)
            flush = done % s.log_every == 0 or done == total
            parts, norm = self._step(step, batches, watch, flush)
            self.metrics.add(done, self.plan.lr(step), parts)
            stopping = self.parallel.agree(stop.asked) and done < total
            save = self._due(done, s.checkpoint_every) or stopping
            validate = self._due(done, self.plan.val_every)
            broken = check_now and not math.isfinite(parts[-1]["loss"].item())
            draw = self.pictures is not None and self.plan.pictures_at(done)
            probe = self.probe is not None and self._due(done, s.probe_every or 0)
            if flush or save or validate or watch or broken or draw or probe:
                self.metrics.flush(norm)
            if watch:
                self._find(done, self.health.read(self.model.diagnose()))
            if save:
                self.keeper.save(done, epoch=done / self.plan.steps_per_epoch, seed=self.seed)
            if stopping:
                self.parallel.settle()
                ended = Interrupted(done, self.out, stop.by)
                self.metrics.say(str(ended))
                raise ended
            if validate:
                self._validate(done)
            if draw:
                self._draw(done)
            if probe:
                self._probe(done)
            if save or validate or draw or probe:
                self.metrics.tick()
        self.parallel.settle()

    def _step(self, step: int, batches: Iterator[dict[str, Any]], watch: bool, measure: bool) -> tuple[list[Any], Tensor | None]:
        """One optimiser step -> losses of every accumulation part and the gradient norm, still on the device."""
        parts: list[dict[str, Tensor]] = []
        count = self.settings.accumulate
        for part in range(count):
            last = part + 1 == count
            ctx = self.context(step, part)
            batch = to_device(next(batches), self.parallel.device)
            with self.parallel.last_part(self.net, last):
                with self.autocast():
                    out = self.net(batch, ctx, watch=watch and last)
                self.updates.backward(out, step, count)
            parts.append({key: loss.detach() for key, loss in out.items()})
        norm = self.updates.step(step, self.settings.clip, measure)
        self.model.after_step(ctx)
        return parts, norm

    def context(self, step: int, part: int = 0) -> Context:
        """The moment of 0-based ``step``, with torch and the device's generator seeded from it: resuming needs no saved state."""
        seed = step_seed(self.seed, step, self.parallel.rank, part)
        seed_all(seed, self.parallel.device, self.generator)
        per_epoch = self.plan.steps_per_epoch
        return Context(
            step, self.plan.total, step / per_epoch, per_epoch, self.seed, part, self.parallel.rank, self.parallel.world, True,
            self.generator,
        )  # fmt: skip

    def autocast(self) -> Any:
        """bfloat16 where the settings say so."""
        if self.settings.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.parallel.device.type, torch.bfloat16)

    def _due(self, done: int, every: int) -> bool:
        return done == self.plan.total or (every > 0 and done % every == 0)

    def _validate(self, done: int) -> None:
        if self.validator is None:
            return
        numbers = self.validator.run(self.context(done), self.out / "baseline.safetensors")
        self.metrics.event(done, numbers)
        shown = ", ".join(
            f"{key} {number:.5g}" for key, number in sorted(numbers.items()) if len(numbers) > 3 or key != "val_main"
        )
        self.metrics.say(f"step {done}: {shown}")
        self._find(done, self.health.compare(done, numbers))

    def _draw(self, done: int) -> None:
        if self.pictures is not None and self.parallel.main:
            self.pictures(done)

    def _probe(self, done: int) -> None:
        """Features of the first process's model; the others wait at their next exchange."""
        if self.probe is None or not self.parallel.main:
            return
        numbers = self.probe(done, done == self.plan.total)
        if numbers:
            self.metrics.event(done, numbers)
            shown = {key: number for key, number in numbers.items() if key.startswith("probe_")}
            if shown:
                self.metrics.say(f"step {done}: {', '.join(f'{key} {number:.4f}' for key, number in shown.items())}")

    def _find(self, done: int, findings: list[str]) -> None:
        for text in findings:
            self.metrics.event(done, {"finding": text})
            self.metrics.say(f"step {done}: health: {text}")

    def _explain(self, error: NotFiniteError) -> UserError:
        """Save the batch that broke the run: batches are a function of the step, so it is simply read again."""
        saved = ""
        if error.part is not None:
            name = "failed_batch.safetensors" if self.parallel.main else f"failed_batch_rank{self.parallel.rank}.safetensors"
            batches = self.loader.batches((error.step - 1) * self.settings.accumulate + error.part)
            saved = f"; its batch is in {save_batch(self.out / name, next(batches))}"
        self.metrics.event(error.step, {"finding": str(error)})
        return UserError(f"{error}: training stops{saved}; try a lower train.lr, train.clip=1.0 or train.precision=fp32")

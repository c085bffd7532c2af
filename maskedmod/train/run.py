"""One recipe from start to end: data, statistics, model, training, pictures, report."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from maskedmod.core.modality import Modality
from maskedmod.core.model import MaskedModel
from maskedmod.data.bad import BadLog
from maskedmod.data.budget import BudgetOrder, packing_report
from maskedmod.data.groups import Groups
from maskedmod.data.loader import Loader
from maskedmod.data.statistics import measure
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality, build_model, build_optimizer, build_settings, build_source
from maskedmod.recipe.settings import TrainSettings
from maskedmod.recipe.start import Start
from maskedmod.reconstruct.run import drawable, reconstruct_run
from maskedmod.report.write import write_report
from maskedmod.train.claim import claimed
from maskedmod.train.folder import add_facts, open_run, write
from maskedmod.train.initial import start_from
from maskedmod.train.parallel import Parallel, processes
from maskedmod.train.pictures import RunPictures
from maskedmod.train.probe import OnlineProbe
from maskedmod.train.schedule import Plan
from maskedmod.train.trainer import Trainer
from maskedmod.zoo.load import Checkpoints
from maskedmod.zoo.run_folder import statistics


def train(tree: dict[str, Any]) -> Path:
    """Train one resolved recipe tree -> its run folder. Goes on from the newest checkpoint in ``out`` unless ``resume=never``.
    Raises UserError for whatever a user can mend, Interrupted after a signal."""
    settings = build_settings(tree)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    if not tree.get("out"):
        raise UserError("out is missing: name the run folder with out=DIR")
    out = Path(tree["out"])
    with processes(settings) as parallel, ExitStack() as held:
        _together(parallel, lambda: held.enter_context(claimed(out)))
        notes = _together(parallel, lambda: open_run(out, tree))
        trainer = _trainer(tree, settings, parallel, out, notes)
        trainer.fit()
        _together(parallel, lambda: _finish(out, trainer))
    return out


def _together(parallel: Parallel, work: Callable[[], Any]) -> Any:
    """What the first process finds or makes, in every process; its UserError too."""
    outcome: tuple[Any, str | None] = (None, None)
    if parallel.main:
        try:
            outcome = (work(), None)
        except UserError as error:
            outcome = (None, str(error))
    found, problem = parallel.share(outcome)
    if problem is not None:
        raise UserError(problem)
    return found


def _trainer(tree: dict[str, Any], settings: TrainSettings, parallel: Parallel, out: Path, notes: list[str]) -> Trainer:
    seed, size = int(tree.get("seed", 0)), settings.part_size(parallel.world)
    modality, source = build_modality(tree), build_source(tree)
    records = {split: source.records(split, modality) for split in ("train", "val")}
    bad = BadLog(settings.bad_samples, out / "bad_samples.jsonl")

    def measured() -> dict[str, Any]:
        return _statistics(out / "statistics.json", lambda: measure(records["train"], modality, modality.measured_on, bad=bad))

    modality.statistics.update(_together(parallel, measured))
    torch.manual_seed(seed)
    model = build_model(tree, modality, Checkpoints())
    lines = [*notes, *getattr(source, "notes", []), *modality.remarks()]
    if tree.get("init") and not (out / "checkpoints").exists():
        lines += start_from(model, tree["init"]).lines(Start.of(tree["init"]).checkpoint)
    shared: dict[str, Any] = {
        "rank": parallel.rank, "world": parallel.world, "workers": settings.workers, "bad": settings.bad_samples,
        "bad_path": out / "bad_samples.jsonl", "batch_tokens": settings.part_tokens(parallel.world),
    }  # fmt: skip
    loader = Loader(records["train"], modality, size, seed=seed, **shared)
    per_sample = math.prod(modality.spec.grid or (0,))
    if isinstance(loader.order, BudgetOrder):
        lines += packing_report(loader.order, modality)
        settings = replace(settings, batch_size=max(1, round(loader.order.samples_per_step * settings.accumulate)))
        per_sample = round(loader.order.lengths.mean())
    held_out, means = _groups(records, modality, settings, shared)
    if held_out is None:
        lines.append("no validation data: the run is not validated")
    lines += _long_warmup(Plan(settings, loader.steps_per_epoch / settings.accumulate))
    if parallel.main:
        for line in [f"run folder {out}", *lines]:
            _say(line)
        add_facts(
            out, device=str(parallel.device), parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            samples={split: len(held) for split, held in records.items() if hasattr(held, "__len__")},
        )  # fmt: skip
    return Trainer(
        model, loader, held_out, settings, build_optimizer(tree), out, seed,
        parallel=parallel, resume=tree.get("resume", "auto") == "auto", tokens_per_sample=per_sample,
        pictures=_pictures(model, records, parallel, out),
        probe=_probe(model, records, settings, parallel, out), means=means, notes={"recipe": str(tree.get("recipe", ""))},
    )  # fmt: skip


def _long_warmup(plan: Plan) -> list[str]:
    """A warm-up that was meant for a longer run keeps the learning rate below its peak."""
    if 4 * plan.warmup <= plan.total:
        return []
    better = f"train.warmup_steps={max(1, plan.total // 10)} would be a tenth"
    return [f"the learning rate warms up for {min(plan.warmup, plan.total)} of {plan.total} steps; {better}"]


def _groups(
    records: dict[str, Any], modality: Modality, settings: TrainSettings, shared: dict[str, Any]
) -> tuple[Groups | None, Groups | None]:
    """What is validated on, and what the mean predictor is measured on; None where there is none."""
    if not _any(records["val"]):
        return None, None
    given = {key: value for key, value in shared.items() if key != "batch_tokens"} | {"packed": bool(shared["batch_tokens"])}
    samples = max(1, settings.batch_size // settings.accumulate)
    most = None if settings.val_batches is None else settings.val_batches * samples
    held_out = Groups(records["val"], modality, most=most, **given)
    if not settings.baseline_batches:
        return held_out, None
    return held_out, Groups(records["train"], modality, most=settings.baseline_batches * samples, mixed=True, **given)


def _any(records: Any) -> bool:
    """Streams have no length; that one exists means that there is data."""
    return records is not None and (not hasattr(records, "__len__") or len(records) > 0)


def _statistics(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Those of the run, measured once: what is trained and what goes on must be normalised alike."""
    if path.exists():
        return statistics(path.parent)
    found = measure()
    if found:
        write(path, json.dumps(found, indent=1))
    return found


def _pictures(model: MaskedModel, records: dict[str, Any], parallel: Parallel, out: Path) -> RunPictures | None:
    """None where the first process does not hold the whole model."""
    held_out = records["val"] if _any(records["val"]) else records["train"]
    if parallel.kind == "fsdp" or not drawable(model) or not hasattr(held_out, "__getitem__"):
        return None
    return RunPictures(model, held_out, out, parallel.device)


def _probe(
    model: MaskedModel, records: dict[str, Any], settings: TrainSettings, parallel: Parallel, out: Path
) -> OnlineProbe | None:
    """None where the first process does not hold the whole model; UserError when a probe was asked for there."""
    if parallel.kind == "fsdp":
        if settings.probe_every:
            raise UserError("train.probe_every needs the whole model in one process; use train.distributed=ddp, or probe_every=0")
        return None
    return OnlineProbe(model, records, settings, out)


def _finish(out: Path, trainer: Trainer) -> None:
    """Pictures of the last checkpoint and the report; what was left out is said."""
    bad = BadLog("skip", out / "bad_samples.jsonl")  # what all loaders and processes wrote, validation and earlier runs included
    if bad.keys:
        _say(f"{len(bad.keys)} {'sample' if len(bad.keys) == 1 else 'samples'} could not be read and left out: {bad.path}")
    if drawable(trainer.module):  # type: ignore[arg-type]
        try:
            reconstruct_run(out)
        except ValueError as error:  # a picture that cannot be drawn takes nothing from a run that is trained
            _say(f"no pictures: {error}")
        else:
            if isinstance(trainer.pictures, RunPictures):
                trainer.pictures(trainer.plan.total, whole=False)
    _say(f"report: {write_report(out)}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

"""One recipe from start to end: data, statistics, model, training, pictures, report."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from maskedmod.core.model import MaskedModel
from maskedmod.data.bad import BadLog
from maskedmod.data.budget import BudgetOrder, packing_report
from maskedmod.data.loader import Loader
from maskedmod.data.statistics import measure
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_modality, build_model, build_optimizer, build_settings, build_source
from maskedmod.recipe.settings import TrainSettings
from maskedmod.recipe.start import Start
from maskedmod.reconstruct.run import drawable, reconstruct_run
from maskedmod.report.write import write_report
from maskedmod.train.folder import add_facts, open_run, write
from maskedmod.train.initial import start_from
from maskedmod.train.parallel import Parallel, processes
from maskedmod.train.pictures import RunPictures
from maskedmod.train.probe import OnlineProbe
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
    with processes(settings) as parallel:
        _together(parallel, lambda: open_run(out, tree))
        trainer = _trainer(tree, settings, parallel, out)
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


def _trainer(tree: dict[str, Any], settings: TrainSettings, parallel: Parallel, out: Path) -> Trainer:
    seed, size = int(tree.get("seed", 0)), settings.part_size(parallel.world)
    modality, source = build_modality(tree), build_source(tree)
    records = {split: source.records(split, modality) for split in ("train", "val")}
    bad = BadLog(settings.bad_samples, out / "bad_samples.jsonl")

    def measured() -> dict[str, Any]:
        return _statistics(out / "statistics.json", lambda: measure(records["train"], modality, modality.measured_on, bad=bad))

    modality.statistics.update(_together(parallel, measured))
    torch.manual_seed(seed)
    model = build_model(tree, modality, Checkpoints())
    lines = [*getattr(source, "notes", []), *modality.remarks()]
    if tree.get("init") and not (out / "checkpoints").exists():
        lines += start_from(model, tree["init"]).lines(Start.of(tree["init"]).checkpoint)
    shared: dict[str, Any] = {
        "rank": parallel.rank, "world": parallel.world, "workers": settings.workers, "bad": settings.bad_samples,
        "bad_path": out / "bad_samples.jsonl", "batch_tokens": settings.part_tokens(parallel.world),
    }  # fmt: skip
    loader = Loader(records["train"], modality, size, seed=seed, **shared)
    held_out = Loader(records["val"], modality, size, shuffle=False, crop=True, **shared) if _any(records["val"]) else None
    per_sample = math.prod(modality.spec.grid or (0,))
    if isinstance(loader.order, BudgetOrder):
        lines += packing_report(loader.order, modality)
        settings = replace(settings, batch_size=max(1, round(loader.order.samples_per_step * settings.accumulate)))
        per_sample = round(loader.order.lengths.mean())
    if held_out is None:
        lines.append("no validation data: the run is not validated")
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
        probe=_probe(model, records, settings, parallel, out), notes={"recipe": str(tree.get("recipe", ""))},
    )  # fmt: skip


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

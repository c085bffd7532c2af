"""One network trained on labels, from the first step to its answers; done once, however often it is asked for."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Record
from maskedmod.data.batches import read
from maskedmod.data.loader import Loader
from maskedmod.errors import UserError
from maskedmod.evaluate.features import Pool
from maskedmod.evaluate.labels import Labels
from maskedmod.finetune import lora, saved
from maskedmod.finetune.classifier import Classifier, Net, Rows, features
from maskedmod.finetune.goals import Goal
from maskedmod.finetune.labelled import Labelled
from maskedmod.finetune.mixing import Mixing
from maskedmod.finetune.options import LORA, Options
from maskedmod.support.devices import to_device
from maskedmod.train import folder
from maskedmod.train.parallel import Parallel
from maskedmod.train.trainer import Trainer


@dataclass(frozen=True)
class Work:
    """What one network learns. ``records``: of the training part, numbered by their place (``chosen.Chosen``), a row of
    ``labels`` each. ``rows``, ``pool``: see ``classifier.Net``. ``seed``: of the head's first weights, order, augmentation."""

    modality: Modality
    encoder: Encoder
    records: Sequence[Record]
    labels: Labels
    options: Options
    seed: int = 0
    pool: Pool = "mean"
    rows: Rows = "samples"
    device: str = "cpu"
    workers: int = 0


def finetune(work: Work, out: Path, facts: dict[str, Any] | None = None) -> Classifier:
    """Train into the folder ``out`` -> the trained network in evaluation mode. ``out/network.safetensors`` holds the judged
    weights, with adapters merged into them (the adapter alone is in ``out/adapter``), ``out/finetune.json`` the options and
    ``facts``, all of them plain data. A folder that was trained under the same facts is only read; one that was interrupted goes
    on; one of other facts is emptied unless it is finished. UserError for that, and for what else a user can mend."""
    model, rank = build(work), work.options.lora_rank
    fixed = {
        "seed": work.seed, "pool": work.pool, "rows": work.rows, "width": model.net.head.in_features,
        "outputs": model.net.head.out_features, "options": _learning(work),
    }  # fmt: skip
    if rank:
        fixed["trainable"], fixed["parameters"] = lora.learning(model, work.options)
    if _opened(out, folder.plain({**(facts or {}), **fixed})):
        saved.read(model, out)
        return model.to(work.device).eval()
    adapted = lora.attach(model, work.options, work.seed) if rank else None
    if rank:
        sys.stderr.write(f"{out.name}: {fixed['trainable']:,} of {fixed['parameters']:,} parameters learn\n")
    _fit(model, work, out)
    if adapted is not None:
        lora.settle(model, adapted, out)
    saved.save(model, out)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return model.eval()


def build(work: Work) -> Classifier:
    """The network before its first step; torch's random state is as before afterwards."""
    o = work.options
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(work.seed)
        goal = Goal(work.labels, o.smoothing)
        net = Net(work.encoder, work.pool, work.rows, _width(work), goal.outputs, o.frozen)
    return Classifier(work.modality, net, goal, Mixing(o.mixup, o.cutmix), o.augment, o.layer_decay, o.ema)


def answers(model: Classifier, records: Sequence[Record], batch_size: int, workers: int = 0) -> Tensor:
    """Scores or numbers for all ``records`` in their order, on the CPU. Raises UserError for one that cannot be read."""
    device = next(model.judged.parameters()).device
    loader = Loader(records, model.modality, batch_size, shuffle=False, workers=workers)
    return torch.cat([model.answers(to_device(batch, device)).cpu() for batch in loader.epoch_batches()])


def _fit(model: Classifier, work: Work, out: Path) -> None:
    settings = work.options.train_settings(len(work.records), work.device, work.workers)
    labelled = Labelled(work.modality, work.labels.y, work.rows != "samples")
    loader = Loader(
        work.records, labelled, settings.batch_size, seed=work.seed, workers=work.workers,  # type: ignore[arg-type]
        bad="skip", bad_path=out / "bad_samples.jsonl",
    )  # fmt: skip
    block, parallel = work.options.optimizer(), Parallel(torch.device(work.device))
    Trainer(model, loader, None, settings, block, out, work.seed, parallel=parallel).fit()


def _width(work: Work) -> int:
    """Width of what the linear layer reads, found on the first sample that can be read, which also tells whether samples mix."""
    for record in work.records:
        try:
            sample = read(work.modality, record, None)
        except BadSample:
            continue
        batch = work.modality.prepare(work.modality.collate([sample]), Context(training=False))
        tokens = next(iter(work.modality.tokenize(batch).values()))
        Mixing(work.options.mixup, work.options.cutmix).check(work.modality, batch, 1)
        with torch.no_grad():
            return features(work.encoder.eval(), tokens, work.modality, work.pool, work.rows).shape[-1]
    raise UserError("no sample of the training part can be read")


def _learning(work: Work) -> dict[str, Any]:
    """Options that change what is learned."""
    silent = ("threads", "task", *(() if work.options.lora_rank else LORA))
    return {key: value for key, value in asdict(work.options).items() if key not in silent}


def _opened(out: Path, facts: dict[str, Any]) -> bool:
    """Whether ``out`` holds the finished network of these facts; else it is ready to be trained into."""
    file = out / saved.FACTS
    if file.is_file():
        if json.loads(file.read_text(encoding="utf-8")) == facts:
            return (out / saved.WEIGHTS).is_file()
        if (out / saved.WEIGHTS).is_file():
            raise UserError(f"{out} holds a finished network of other settings; name another folder with output=, or remove it")
        sys.stderr.write(f"{out}: trained under other settings before, starts anew\n")
        shutil.rmtree(out)
    elif out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty and holds no fine-tuned network; name another folder with output=")
    out.mkdir(parents=True, exist_ok=True)
    folder.write(file, json.dumps(facts, indent=1))
    return False


def fingerprint(module: torch.nn.Module) -> str:
    """sha256 of all names and values: the same weights have the same."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

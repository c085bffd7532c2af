"""The table of a protocol that trains networks: pre-trained, from random weights, and the raw features."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.errors import UserError
from maskedmod.evaluate.chosen import Chosen
from maskedmod.evaluate.judge import build, probe_row
from maskedmod.evaluate.labels import Labels, encode
from maskedmod.evaluate.metrics import measure
from maskedmod.evaluate.prepare import Survey, survey, untrained
from maskedmod.evaluate.probes.linear import Linear
from maskedmod.evaluate.probes.probe import Known
from maskedmod.evaluate.result import Result, Row
from maskedmod.evaluate.settings import RANDOM, RAW, TRAINED, Settings
from maskedmod.evaluate.splits import Trial, digest
from maskedmod.evaluate.token_labels import BEYOND, UNKNOWN, encode_tokens, is_per_token, on_eligible
from maskedmod.evaluate.trials import facts, few, several, split_of, trials, unseen
from maskedmod.finetune.classifier import Rows
from maskedmod.finetune.options import Options
from maskedmod.finetune.raw import drawn, token_values
from maskedmod.finetune.saved import FACTS, knows_drop_path, with_drop_path
from maskedmod.finetune.trial import Work, answers, finetune, fingerprint
from maskedmod.support.compat import require
from maskedmod.train.folder import write


def evaluate_trained(
    checkpoints: Sequence[str | Path], protocol: str, data: Sequence[str], settings: Settings, options: Options, folder: Path
) -> Result:
    """Train a network per row, seed and fold into sub-folders of ``folder`` and judge its last weights. A repeated call with the
    same settings only trains what is not there. UserError for whatever a user can mend."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.lora_rank:
        require("peft", "lora")
    found = survey(checkpoints, data, settings, options.task == "numbers")
    labels, rows = _labels(found, options)
    cuts = trials(found.table, labels, settings)
    several(labels, cuts)
    bench = Bench(found, labels, rows, cuts, settings, options, folder)
    table = [bench.row(TRAINED), bench.row(RANDOM), bench.raw()]
    notes = [*found.table.notes, *bench.notes, *unseen(labels, cuts), *few(cuts)]
    return Result(protocol, split_of(found.table, settings), table, facts([str(path) for path in checkpoints], settings), notes)


@dataclass
class Bench:
    """All that is fixed over the trials of a table."""

    found: Survey
    labels: Labels
    rows: Rows
    cuts: list[Trial]
    settings: Settings
    options: Options
    folder: Path

    def __post_init__(self) -> None:
        self.notes = [f"networks are in {self.folder}"]
        smallest = min(len(cut.train) for cut in self.cuts)
        if smallest < self.options.batch_size:
            self.notes.append(f"batch_size is {smallest}, all training samples, and not {self.options.batch_size}")
        if self.options.drop_path and not knows_drop_path(self.found.tree):
            self.notes.append("this encoder has no drop_path: it is trained without")

    def row(self, name: str) -> Row:
        """All trials of one kind of first weights, dealt out to seeds as those of frozen features are."""
        count = len(self.found.loaded) if name == TRAINED else self.settings.seeds
        own = name == RANDOM or (count > 1 and count == self.settings.seeds)
        scores, chosen = [], []
        for number in range(count):
            for i, cut in enumerate(self.cuts):
                if own and cut.seed != number:
                    continue
                scores.append(self.trial(name, number, i))
                chosen.append(self._options(name).summary())
        return Row(name, scores, chosen)

    def trial(self, name: str, number: int, cut_number: int) -> dict[str, float]:
        """Metrics of one network."""
        cut, options = self.cuts[cut_number], self._options(name)
        loaded = self.found.loaded[number if name == TRAINED else 0]
        modality, encoder = loaded.model.modality, self._encoder(name, number)
        keys = self.found.table.keys
        out = self.folder / self._folder(name, number, cut_number)
        work = Work(
            modality, encoder, self._records(cut.train), replace(self.labels, y=self.labels.y[cut.train]), options, cut.seed,
            self.settings.pool, self.rows, self.settings.place, self.settings.workers,
        )  # fmt: skip
        facts = {
            "row": name, "start": fingerprint(encoder), "data": self.found.table.name,
            "train_sha256": digest([keys[i] for i in cut.train], keys), "test_sha256": digest([keys[i] for i in cut.test], keys),
            "task": self.labels.task, "classes": list(self.labels.names), "statistics": modality.statistics,
            "recipe": self.found.tree,
        }  # fmt: skip
        model, file = finetune(work, out, facts), out / "result.json"
        self._note_adapters(out)
        if file.is_file():  # left by an earlier call with the same facts: others empty the folder
            return dict(json.loads(file.read_text(encoding="utf-8")))
        found = self._judge(answers(model, self._records(cut.test), self.settings.batch_size, self.settings.workers), cut)
        write(file, json.dumps(found, indent=1))
        first = next(iter(found))
        sys.stderr.write(f"{out.name}: {first} {found[first]:.4f}\n")
        return found

    def _note_adapters(self, out: Path) -> None:
        o = self.options
        if o.lora_rank:
            told = json.loads((out / FACTS).read_text(encoding="utf-8"))
            line = (
                f"adapters of rank {o.lora_rank} on {', '.join(o.lora_targets)}: {told['trainable']:,} of {told['parameters']:,}"
            )
            if (note := f"{line} parameters learn") not in self.notes:
                self.notes.append(note)

    def raw(self) -> Row:
        """The raw features under the best probe there is for them; there is nothing in them to train."""
        if self.labels.task == "tokens":
            self.notes.append("raw features of tokens are their own values, judged by protocol=linear")
            return Row(RAW, *zip(*(self._raw_tokens(cut) for cut in self.cuts), strict=True))
        protocol = "ridge" if self.labels.task == "numbers" else "linear"
        self.notes.append(f"raw features have nothing to train: they are judged by protocol={protocol}")
        return probe_row(RAW, self.found.table, self.labels, build(protocol, {}), self.cuts, self.settings)

    def _raw_tokens(self, cut: Trial) -> tuple[dict[str, float], dict[str, Any]]:
        """Metrics and settings of a linear probe on the values of the tokens; tokens of one group are never parted."""
        modality, x, truth = self.found.loaded[0].model.modality, [], []
        for rows in (cut.train, cut.test):
            values = token_values(modality, self._records(rows), self.rows, self.settings.batch_size, self.settings.workers)
            labels = self.labels.y[rows]
            x.append(values)
            truth.append(labels[labels != BEYOND])
        picked = drawn(truth[0] >= 0, cut.seed)
        owner = [self.found.table.groups[i] for i in cut.train for _ in range(int((self.labels.y[i] != BEYOND).sum()))]
        known = Known(x[0][picked], Labels("classes", truth[0][picked], self.labels.names), [owner[int(i)] for i in picked])
        scores, setting = Linear().predict(known, x[1], cut.seed)
        return self._judge(scores, cut), setting

    def _options(self, name: str) -> Options:
        """Random first weights hold nothing that a lower rate near the input would keep: they learn at the full rate."""
        return replace(self.options, layer_decay=1.0) if name == RANDOM else self.options

    def _encoder(self, name: str, number: int) -> Encoder:
        one = self.found.loaded[number if name == TRAINED else 0]
        tree = with_drop_path(self.found.tree if name == RANDOM else one.tree, self.options.drop_path)
        encoder = untrained(tree, one.model.modality, number)
        if name == TRAINED:
            encoder.load_state_dict(self.found.encoders[number].state_dict())
        return encoder

    def _records(self, rows: Any) -> Chosen:
        return Chosen(self.found.parts, [self.found.places[i] for i in rows])

    def _folder(self, name: str, number: int, cut_number: int) -> str:
        cut = self.cuts[cut_number]
        words = [name.replace(" ", "_"), str(cut.seed)]
        if name == TRAINED and len(self.found.loaded) > 1:
            words.insert(1, f"run{number}")
        if self.settings.folds:
            words.append(f"fold{cut_number % self.settings.folds}")
        return "_".join(words)

    def _judge(self, out: Tensor, cut: Trial) -> dict[str, float]:
        truth = self.labels.y[cut.test]
        if self.labels.task != "tokens":
            return measure(self.labels.task, out, truth)
        flat = truth[truth >= UNKNOWN]
        return measure("classes", out[flat >= 0], flat[flat >= 0])


def _labels(found: Survey, options: Options) -> tuple[Labels, Rows]:
    """Encoded labels of all samples, and whether they belong to samples or to tokens."""
    raw, keys, task = found.table.labels, found.table.keys, options.task
    if task == "tokens" or (task == "auto" and is_per_token(raw)):
        _fit_for_tokens(found, options)
        labels = encode_tokens(raw, keys)
        return labels, "eligible" if on_eligible(labels, found.counts, keys) else "tokens"
    broken = any(isinstance(one, float) and math.isfinite(one) and not one.is_integer() for one in raw)
    numbers = task == "numbers" or (task == "auto" and broken)
    labels = encode(raw, numbers, keys)
    if task not in ("auto", labels.task):
        raise UserError(f"task={task}: the labels are {labels.task}; one of them is {raw[0]!r}")
    return labels, "samples"


def _fit_for_tokens(found: Survey, options: Options) -> None:
    if options.mixup or options.cutmix:
        raise UserError("labels of tokens cannot be mixed: set mixup=0 cutmix=0")
    if options.augment and any(one.model.modality.augment is not None for one in found.loaded):
        raise UserError("labels of tokens do not move along with an augmentation: set augment=no")

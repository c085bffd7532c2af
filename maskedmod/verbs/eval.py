"""maskedmod eval checkpoint=RUN protocol=knn|linear|ridge|svm|fewshot|finetune|linear_lars [data=... data.*=...] [key=value ...]

Judges frozen features, or a network that is trained from the encoder on labels. The table always has three rows: pre-trained,
the same encoder at random initialisation, and the modality's raw features. Every setting is chosen on the training part; the
test part is only looked at once.

  maskedmod eval checkpoint=runs/a protocol=knn                                     the run's own data
  maskedmod eval checkpoint=runs/a protocol=linear data=folder data.path=photos/    train and validation part of other data
  maskedmod eval checkpoint=runs/s0,runs/s1,runs/s2 protocol=linear                 runs of three seeds
  maskedmod eval checkpoint=runs/a protocol=svm folds=10 seeds=5                    folds over all samples
  maskedmod eval checkpoint=runs/a protocol=finetune epochs=20 mixup=0.8 cutmix=1   the whole network learns

checkpoint=PATH   a run folder, one checkpoint in it, or published weights; several with commas
protocol=NAME     knn (k=20 temperature=0.07), linear (grid=[C, ...], or solver=adam lr=0.01 weight_decay=1e-4 steps=300),
                  svm (grid, inner=5, machine=linear_svc|svc|svc_rbf, standardise=yes), ridge (grid=[alpha, ...], numbers),
                  fewshot (ways=5 shots=10 episodes=10 queries=20 classifier=svm|linear C=0.1),
                  finetune, linear_lars (a linear layer on the frozen encoder): epochs, steps, lr, base_lr, min_lr, warmup,
                  weight_decay, clip, augment=yes, task=auto, precision=fp32, threads; finetune also layer_decay=0.75,
                  drop_path=0.1, mixup=0, cutmix=0, smoothing=0.1, ema=0, and adapters: lora_rank=0, lora_alpha=16,
                  lora_dropout=0, lora_targets=[qkv,proj]
data=, data.*     laid over the run's recipe; the parts are the source's own (train, val)
modality=NAME     of weights of a sequence model: protein, molecule or text (default: told by the vocabulary)
vocabulary=FILE   its tokens (default: found beside the weights or one folder up); special={mask: X}: its special tokens by role;
                  prefix=, layout=, settings={...}: see docs/loading.md
modality.max_length=N, modality.overlap=N   of proteins: residues that the encoder sees at once, other than in training
seeds=3           random initialisations, and draws of the part that settings are chosen on
split=NAME        a named split over all samples in place of the source's: random, or one of the modality's (of molecules:
                  scaffold_deepchem, scaffold_pretrain_gnns, scaffold_random, scaffold_balanced)
folds=0           judge by folds over all samples in place of the source's split
level=sample      what is judged: samples, or with level=token each of their tokens: nodes of a graph, residues
pool=mean         mean over tokens, sum, max, mean_max (mean plus the largest value), cls (class token), both, axis (mean over
                  the first axis), grid (4 x 4 parts)
encoder=student   or teacher, where the method has one
samples=N         at most so many training samples, drawn with seed 0
output=FILE       default: eval.json in the run folder; eval_PROTOCOL.json is written beside it
json=true         print the result as one JSON object
batch_size=128    of the encoder, and of training;  workers=0 reading processes;  device=cpu|cuda
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.config import split_words
from maskedmod.verbs.words import print_json, switch
from maskedmod.zoo.how import HOW, how

PROTOCOLS = ("knn", "linear", "ridge", "svm", "fewshot", "finetune", "linear_lars")
KINDS: dict[str, Any] = {
    "pool": str, "level": str, "split": str, "encoder": str, "device": str, "seeds": int, "folds": int, "samples": int,
    "batch_size": int, "workers": int,
}  # fmt: skip
ARGUMENTS: dict[str, Any] = {
    "k": int, "temperature": float, "grid": list, "inner": int, "iterations": int, "epochs": float, "steps": int, "lr": float,
    "base_lr": float, "min_lr": float, "warmup": float, "weight_decay": float, "layer_decay": float, "drop_path": float,
    "mixup": float, "cutmix": float, "smoothing": float, "ema": float, "clip": float, "augment": bool, "task": str,
    "precision": str, "threads": int, "lora_rank": int, "lora_alpha": float, "lora_dropout": float, "lora_targets": tuple,
    "ways": int, "shots": int, "episodes": int, "queries": int, "classifier": str, "C": float, "machine": str,
    "standardise": bool, "solver": str,
}  # fmt: skip
KEYS = ("checkpoint", "protocol", "data", *HOW, *KINDS, *ARGUMENTS, "output")


def run(words: Sequence[str]) -> int:
    """Judge, print the table, write eval.json."""
    words, as_json = switch(words, "json")
    data = [word for word in words if word.startswith(("data=", "data.", "modality."))]
    given = dict(split_words([word for word in words if word not in data], KEYS))
    for key in ("checkpoint", "protocol"):
        if not given.get(key):
            raise UserError(f"{key} is missing: maskedmod eval checkpoint=RUN protocol=knn|linear|finetune|...")
    checkpoints = str(given["checkpoint"]).split(",")
    settings = {key: _typed(key, given[key], kind) for key, kind in KINDS.items() if key in given}
    arguments = {key: _typed(key, given[key], kind) for key, kind in ARGUMENTS.items() if key in given}
    from maskedmod.api.evaluate import TRAINED_PROTOCOLS, chosen, evaluate
    from maskedmod.evaluate.settings import Settings

    protocol, common = str(given["protocol"]), Settings(**settings, how=how(given))
    if protocol in TRAINED_PROTOCOLS and "batch_size" in settings:
        arguments["batch_size"] = settings["batch_size"]
    chosen(protocol, arguments)  # what is misspelt is said before anything is computed
    output = _output(given.get("output"), checkpoints[0])
    result = evaluate(checkpoints, protocol, data, common, output.parent / protocol, **arguments)
    result.write(output.with_name(f"{output.stem}_{protocol}.json"))
    written = result.write(output)
    if as_json:
        print_json({**result.to_json(), "file": written})
    else:
        print(f"{result.text()}\n\n{written}")
    return 0


def _typed(key: str, value: Any, kind: type) -> Any:
    """The value, an int taken for a float and one number for a list of it; UserError when it is of another kind."""
    if kind is float and type(value) is int:
        return float(value)
    if kind is list:
        numbers = value if isinstance(value, list) else [value]
        if all(type(number) in (int, float) for number in numbers):
            return [float(number) for number in numbers]
    elif kind is tuple:
        words = value if isinstance(value, list) else [value]
        if words and all(isinstance(word, str) for word in words):
            return tuple(words)
    elif type(value) is kind:
        return value
    what = {int: "an integer", float: "a number", str: "a word", bool: "yes or no",
            list: "a list of numbers such as [0.01,0.1,1]", tuple: "a list of names such as [qkv,proj]"}[kind]  # fmt: skip
    raise UserError(f"{key} expects {what}, got {value!r}")


def _output(wanted: Any, checkpoint: str) -> Path:
    """``output``, a file or a folder; else beside the recipe of the run, or here for weights that are no run."""
    if wanted is not None:
        path = Path(str(wanted))
        return path if path.suffix == ".json" else path / "eval.json"
    from maskedmod.api.evaluate import home

    return home(checkpoint) / "eval.json"

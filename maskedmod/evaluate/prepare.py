"""From checkpoints and data words to one table of features: training rows first, then test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.modality import Modality
from maskedmod.errors import UserError
from maskedmod.evaluate.features import Reader, encoder_reader
from maskedmod.evaluate.settings import RANDOM, RAW, TRAINED, Settings
from maskedmod.evaluate.table import Table, read_table
from maskedmod.evaluate.token_labels import counts
from maskedmod.evaluate.token_table import raw_token_reader, token_reader
from maskedmod.features.reading import reading
from maskedmod.recipe.build import build_encoder
from maskedmod.recipe.config import with_words
from maskedmod.zoo.load import load
from maskedmod.zoo.loaded import Loaded


def table(checkpoints: Sequence[str | Path], data: Sequence[str], settings: Settings, numbers: bool = False) -> Table:
    """Features of both parts under every checkpoint, every random initialisation and the modality's raw features. Rows without
    a label are left out and counted; ``numbers``: labels are numbers, of which -1 is one (see ``labels.minus_one_is_missing``).
    UserError when nothing is left, or when the two parts share a sample."""
    loaded, tree = _loaded(checkpoints, data, settings)
    passes = [(one.model.modality, _readers(i, one, tree, settings)) for i, one in enumerate(loaded)]
    found = read_table(tree, passes, settings, numbers=numbers)[0]
    found.notes.extend(_told(data))
    return found


@dataclass(frozen=True)
class Survey:
    """Everything but features of encoders. ``table``: its only row of features is that of the raw ones. ``encoders``: to be
    judged, one a checkpoint. ``parts``: records of the training and test part, under a named split of all samples;
    ``places[i]``: part and number there of the table's row i. ``counts`` ``[n, 2]``: see ``token_labels.counts``."""

    loaded: list[Loaded]
    encoders: list[nn.Module]
    tree: dict[str, Any]
    table: Table
    parts: list[Any]
    places: list[tuple[int, int]]
    counts: Tensor


def survey(checkpoints: Sequence[str | Path], data: Sequence[str], settings: Settings, numbers: bool = False) -> Survey:
    """Read all samples once. ``numbers`` and UserError as in ``table``; streams, whose samples cannot be read in any
    order, are refused too."""
    loaded, tree = _loaded(checkpoints, data, settings)
    encoders = [_judged(one, settings) for one in loaded]
    modality = loaded[0].model.modality

    def count(batch: dict[str, Any]) -> Tensor:
        return counts(next(iter(modality.tokenize(batch).values())), modality)

    readers: dict[str, Reader] = {f"{RAW}:0": modality.raw_features, "counts:0": count}
    found, parts, places = read_table(tree, [(modality, readers)], settings, any_order=True, numbers=numbers)
    found.notes.extend(_told(data))
    return Survey(loaded, encoders, tree, found, parts, places, found.x.pop("counts")[0])


def _loaded(checkpoints: Sequence[str | Path], words: Sequence[str], settings: Settings) -> tuple[list[Loaded], dict[str, Any]]:
    if not checkpoints:
        raise UserError("name what is to be judged: checkpoint=RUN")
    loaded = [reading(load(path, **settings.how), _windows(words)) for path in checkpoints]
    return loaded, _with_data(loaded[0].tree, [word for word in words if word not in _windows(words)])


def _windows(words: Sequence[str]) -> list[str]:
    """Those that change in what windows long samples are read."""
    return [word for word in words if word.startswith("modality.")]


def _told(words: Sequence[str]) -> list[str]:
    return [f"{word}, in place of what the encoder was trained with" for word in _windows(words)]


def _judged(one: Loaded, settings: Settings) -> nn.Module:
    """The student's encoder, or the teacher's."""
    if settings.encoder == "student":
        return one.model.encoder
    teacher = getattr(one.model.teacher, "encoder", None)
    if not isinstance(teacher, nn.Module):
        raise UserError("encoder=teacher: this model has no teacher with an encoder of its own")
    return teacher


def _readers(number: int, one: Loaded, tree: dict[str, Any], settings: Settings) -> dict[str, Reader]:
    """The checkpoint's encoder; in the first pass the baselines too."""
    modality, device = one.model.modality, settings.place
    readers = {f"{TRAINED}:{number}": _reader(_judged(one, settings).to(device), modality, settings)}
    if number == 0:
        for seed in range(settings.seeds):
            encoder = untrained(tree, modality, seed).to(device)
            readers[f"{RANDOM}:{seed}"] = _reader(encoder, modality, settings)
        readers[f"{RAW}:0"] = modality.raw_features if settings.level == "sample" else raw_token_reader(modality)
    return readers


def _reader(encoder: nn.Module, modality: Modality, settings: Settings) -> Reader:
    """Of samples, or of their tokens."""
    if settings.level == "token":
        return token_reader(encoder, modality)
    return encoder_reader(encoder, modality, settings.pool)


def untrained(tree: dict[str, Any], modality: Modality, seed: int) -> Encoder:
    """The recipe's encoder with the first weights of this seed; the random state of the CPU is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_encoder(tree, modality)


def _with_data(tree: dict[str, Any], data: Sequence[str]) -> dict[str, Any]:
    """The model's recipe with the data words laid over it."""
    for word in data:
        if not word.startswith(("data=", "data.")):
            raise UserError(f"{word!r}: only the data can be changed here, with data=NAME or data.KEY=VALUE")
    return with_words(tree, data)

"""Pictures of a run: from a checkpoint and some input to PNG files. See ``dense`` and ``grid`` for the parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Record, changes
from maskedmod.core.model import MaskedModel, Objective
from maskedmod.data.batches import read as decode
from maskedmod.data.files import files_at
from maskedmod.data.stream import RecordStream
from maskedmod.errors import UserError, one_line
from maskedmod.features.given import mask_from_words, masked_by
from maskedmod.features.opened import open_input, parts_of, reads_graphs
from maskedmod.features.reading import reading
from maskedmod.recipe.build import build_source
from maskedmod.reconstruct.dense import reconstruct
from maskedmod.reconstruct.grid import save_grid
from maskedmod.targets.token_ids import TokenIds
from maskedmod.zoo.load import load
from maskedmod.zoo.run_folder import find

OTHER_PICTURES = (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".svg", ".pdf")
"""Endings of formats that are not written; a folder may have any other ending."""


def drawable(model: MaskedModel) -> bool:
    """False when the model has only pooled predictions, or what it says of ids is not which ids they are."""
    name = "main" if "main" in model.objectives else next(iter(model.objectives))
    objective = model.objectives[name]
    if not isinstance(objective, Objective) or objective.region == "pooled":
        return False
    return model.modality.spec.vocab is None or isinstance(objective.target, TokenIds)


def reconstruct_run(
    checkpoint: str | Path,
    input: str | Path | None = None,
    out: str | Path | None = None,
    mask: Sequence[str] = (),
    seed: int = 0,
    samples: int | None = None,
    wav: bool = False,
    columns: int | None = None,
    windows: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
    how: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Draw what a model makes of some input -> the files written.

    ``checkpoint``: a run folder, one checkpoint in it, or weights that ``maskedmod.load`` reads. ``input``: a file, a folder, or
    None for the run's own validation set; the first ``samples`` that can be read are drawn (None: 8, or fewer where one is
    large). ``mask``: overrides such as ``mask.ratio=0.5``. ``out``: a PNG or a folder, by default ``pictures/`` of
    the run. ``wav``: also sound files, for modalities that can be heard. ``columns``: samples side by side. ``windows``: words
    such as ``modality.fit=windows``, see ``features.reading``. ``say`` is told of every sample that was left out or changed in
    reading, and why. ``how`` the checkpoint is read: see ``zoo.load``. Raises UserError for input that is missing or has no
    readable sample.
    """
    loaded = reading(load(checkpoint, **(how or {})), windows)
    model, tree = loaded.model, loaded.tree
    other = mask_from_words(model, tree, mask) if mask else None
    if input is None and not tree.get("data"):
        raise UserError("name what to draw: input=FILE or a folder of such")
    count = model.modality.held or 8 if samples is None else samples
    batch, keys = first_batch(model.modality, _records(tree, model.modality, input), count, say)
    with masked_by(model, other):
        result = reconstruct(model, batch, Context(seed=seed), loaded.baseline)
    name = f"reconstruction_{Path(input).stem}_seed{seed}.png" if input else f"reconstruction_seed{seed}.png"
    folder, headline = _place(Path(checkpoint), tree, loaded.layout)
    target = Path(out) if out else folder
    if target.suffix.lower() != ".png":
        if target.suffix.lower() in OTHER_PICTURES and not target.is_dir():
            raise UserError(f"output={target}: expected a name that ends in .png, or a folder")
        target = target / name
    try:
        return save_grid(result, target, count, keys, headline, wav, columns)
    except OSError as error:
        raise UserError(f"output={target} cannot be written: {error}") from error


def _place(checkpoint: Path, tree: dict[str, Any], layout: str) -> tuple[Path, str]:
    """Where pictures go when nothing is said, and what stands over them."""
    if layout != "run":
        return Path(), checkpoint.stem
    run, saved = find(checkpoint)
    step = saved.name.removeprefix("step_").lstrip("0") or "0"
    return run / "pictures", f"{tree.get('recipe') or run.name}, step {step}"


def first_batch(
    modality: Modality, records: Iterable[Record], count: int, say: Callable[[str], None] = lambda line: None
) -> tuple[dict[str, Any], list[str]]:
    """Collate the first ``count`` records that can be read -> batch and their keys. ``say``: see ``reconstruct_run``. UserError
    when there is none."""
    read: list[Any] = []
    keys: list[str] = []
    reasons: list[str] = []
    for record in records:
        if len(read) == count:
            break
        try:
            with changes() as heard:
                sample = decode(modality, record, None)
        except BadSample as error:
            reasons.append(f"{record.key}: {one_line(str(error))}")
            continue
        read.append(sample)
        keys.append(record.key)
        if heard:
            say(f"{record.key}: {one_line('; '.join(heard))}")
    if not read:
        more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
        raise UserError(f"no sample could be read{': ' + '; '.join(reasons[:3]) if reasons else ''}{more}")
    for reason in reasons:
        say(f"left out {reason}")
    return modality.collate(read), [Path(key).name for key in keys]


def _records(tree: dict[str, Any], modality: Modality, given: str | Path | None) -> Iterable[Record]:
    """Records of a file, of all files in a folder, or of the recipe's validation set (without one: its training set)."""
    if given is None:
        source = build_source(tree)
        held_out = source.records("val", modality)
        if held_out is None or (hasattr(held_out, "__len__") and len(held_out) == 0):
            held_out = source.records("train", modality)
        return held_out.epoch(0, 0, False) if isinstance(held_out, RecordStream) else held_out  # type: ignore[no-any-return]
    path = Path(given)
    if reads_graphs(modality) or modality.text:
        found = open_input(str(given), (), tree, modality)[0]
        assert isinstance(found, Sequence)
        return found
    if path.is_file():
        return parts_of(modality, Record(path, key=path.name))
    if not path.is_dir():
        raise UserError(f"input {path} does not exist; expected a file or a folder")
    endings = modality.extensions
    files = files_at(str(path), lambda file: file.suffix.lower() in endings)
    if not files:
        raise UserError(f"input {path} has no file that ends in {', '.join(endings)}")
    return (part for file in files for part in parts_of(modality, Record(file, key=str(file.relative_to(path)))))

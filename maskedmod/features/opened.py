"""What is to be embedded or drawn: a folder, a file, Parquet, a data set of Hugging Face, or the run's own validation set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from maskedmod.core.modality import Modality, Record
from maskedmod.data.batches import record_at
from maskedmod.data.files import files_at
from maskedmod.data.graphs.source import GraphSource
from maskedmod.data.sources import Records, csv, expanded, fasta, lines, sdf, smiles
from maskedmod.data.sources.folder import Folder
from maskedmod.data.sources.graphs import Graphs
from maskedmod.data.sources.parquet import Parquet
from maskedmod.data.stream import RecordStream
from maskedmod.data.tables.sheet import ENDINGS
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_source
from maskedmod.recipe.config import with_words

Opened = tuple[Records, list[str]]
"""Records, and what their source says of them: blank lines left out, names that occur twice."""


def open_input(given: str | None, data: Sequence[str], tree: dict[str, Any], modality: Modality) -> Opened:
    """All records of ``given`` (a folder, a .parquet file, a folder or glob of such, a FASTA or CSV file of sequences, a file of
    SMILES, of SDF entries or of lines of text, one file, or of graphs those that NetworkX reads) in an order that does not
    change; of ``data``, words such as ``data=hf data.path=cifar10 data.split=test``, for sequences also those of FASTA and other
    tables, and those of graphs; with neither, of the validation set of ``tree`` (without one: its training set). UserError for
    input that does not exist or has nothing to read."""
    if given is not None and data:
        raise UserError("give input= or data=, not both")
    if data:
        return _data_set(data, tree, modality)
    if given is None:
        return _own(tree, modality)
    path = Path(given)
    if modality.text and (table := _sequences(given, modality)) is not None:
        return _every(table, modality)
    if reads_graphs(modality):
        return _every(Graphs(given), modality)
    if path.is_dir() and files_at(given, lambda file: file.suffix == ".parquet") and not _has_files(path, modality):
        return _every(Parquet(given), modality)
    if path.is_dir():
        return _every(Folder(given), modality)
    if path.suffix == ".parquet":
        return _every(Parquet(given), modality)
    if not path.is_file():
        raise UserError(f"input {given} does not exist; expected a folder, a file, or .parquet")
    if modality.text:
        known = ", ".join(ending for _, endings in [(None, ENDINGS[:3]), *_readers(modality)] for ending in endings)
        raise UserError(f"input {given}: no reader is known for this ending; known are .parquet, {known}")
    return [Record(path, key=given)], []


def reads_graphs(modality: Modality) -> bool:
    """Whether a file is a graph: neither a file of one sample nor a text."""
    return not modality.extensions and not modality.text


def _every(source: Any, modality: Modality) -> Opened:
    return source.everything(modality), source.notes


def _sequences(given: str, modality: Modality) -> Any:
    """The source that reads a file of sequences by its name, or a folder by the files in it; None for other names. A ``.txt``
    file is of molecules where the modality reads such, else of lines."""
    if given.lower().endswith(ENDINGS):
        return csv.Csv(given)
    return next((source(given) for source, endings in _readers(modality) if _named(given, endings)), None)


def _readers(modality: Modality) -> list[tuple[Any, tuple[str, ...]]]:
    """Sources of sequences that read a file or a folder of such, and the endings they know, by which of them comes first."""
    molecules = "smiles" in modality.columns
    found: list[tuple[Any, tuple[str, ...]]] = [(fasta.Fasta, fasta.PLAIN)]
    if molecules:
        found.append((sdf.Sdf, sdf.ENDINGS))
    strings = smiles.Smiles.endings
    found.append((smiles.Smiles, strings if molecules else tuple(e for e in strings if e not in lines.Lines.endings)))
    return [*found, (lines.Lines, lines.Lines.endings)]


def _named(given: str, endings: tuple[str, ...]) -> bool:
    """Whether a file has one of the endings, or ``.gz`` behind it, or a folder has such a file."""

    def fits(name: str) -> bool:
        return name.lower().removesuffix(".gz").endswith(endings)

    return bool(files_at(given, lambda file: fits(file.name))) if Path(given).is_dir() else fits(given)


def name_of(given: str | None, data: Sequence[str]) -> str:
    """The input as one line, to tell two inputs apart."""
    return given if given is not None else " ".join(sorted(data)) or "validation set of the run"


def from_place(records: Records, start: int) -> Iterator[Record]:
    """Records from number ``start`` on, one after another."""
    if isinstance(records, RecordStream):
        return islice(records.epoch(0, 0, False), start, records.samples)
    return (record_at(records, i) for i in range(start, len(records)))


def parts_of(modality: Modality, record: Record) -> Sequence[Record]:
    """The samples that a record holds; itself when it cannot be opened, which reading it will tell."""
    return expanded([record], modality)


def _has_files(path: Path, modality: Modality) -> bool:
    return bool(files_at(str(path), lambda file: file.suffix.lower() in modality.extensions))


def _data_set(words: Sequence[str], tree: dict[str, Any], modality: Modality) -> Opened:
    bare = {key: value for key, value in tree.items() if key != "data"}
    changed = with_words(bare, words)
    if list(changed.get("data") or {}) != ["hf"]:
        source: Any = build_source(changed)
        if not isinstance(source, GraphSource) and not (modality.text and hasattr(source, "everything")):
            known = "data sets of Hugging Face (data=hf data.path=NAME), tables of sequences and graphs"
            raise UserError(f"data= is for {known}; other files are named by input=")
        return _every(source, modality)
    changed["data"]["hf"] = {**(changed["data"]["hf"] or {}), "val_fraction": 0.0}  # every row of the split, none held out
    source = build_source(changed)
    return source.records("train", modality), source.notes


def _own(tree: dict[str, Any], modality: Modality) -> Opened:
    if not tree.get("data"):
        raise UserError("name what to embed: input=FOLDER, a file or .parquet")
    source = build_source(tree)
    held_out = source.records("val", modality)
    empty = held_out is None or (not isinstance(held_out, RecordStream) and len(held_out) == 0)
    return source.records("train", modality) if empty else held_out, source.notes

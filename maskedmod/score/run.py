"""``maskedmod score``: from a checkpoint, a wild type and a table of mutants to a table of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from maskedmod.core.modality import Record
from maskedmod.embed.output import beside
from maskedmod.errors import UserError
from maskedmod.evaluate.metrics import spearman
from maskedmod.features import inputs
from maskedmod.score import table as files
from maskedmod.score.likelihood import BATCH_TOKENS
from maskedmod.score.methods import Method, Window
from maskedmod.score.mutants import kind_of
from maskedmod.score.scan import scan
from maskedmod.score.scoring import Scores, score
from maskedmod.zoo.load import load
from maskedmod.zoo.loaded import Loaded


@dataclass
class Request:
    """What to score. ``input``: FASTA of the wild type, ``record`` of it; ``mutants``: a table with ``column`` and perhaps
    ``measured``, or None for the scan. ``name``: of the new column, by default the method's. ``how``: the checkpoint is
    read. See ``score`` for the rest."""

    checkpoint: str
    output: str
    input: str | None = None
    record: str | None = None
    mutants: str | None = None
    column: str | None = None
    measured: str | None = None
    method: Method = "masked-marginals"
    window: Window = "optimal"
    offset: int = 1
    bad: str = "error"
    name: str | None = None
    batch_tokens: int = BATCH_TOKENS
    device: str | None = None
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def new_column(self) -> str:
        return self.name or self.method.replace("-", "_")


@dataclass
class Done:
    """``files`` written, the table first; ``lines`` for the reader; ``about``: settings and counts, for ``OUTPUT.meta.json``."""

    files: list[Path]
    lines: list[str]
    about: dict[str, Any]


def run(request: Request) -> Done:
    """Score or scan, and write. UserError, before the model is loaded where that is possible, for what does not fit."""
    output = Path(request.output)
    files.check_output(output)
    for given in (request.mutants, request.input):
        if given is not None and Path(given).resolve() == output.resolve():
            raise UserError(f"output {output} is what is read; name another file")
    wild = None if request.input is None else files.wild_type(request.input, request.record)
    table = None if request.mutants is None else files.Table.read(request.mutants)
    if table is None and wild is None:
        raise UserError("name the wild type: input=FILE.fasta")
    if table is None and (request.measured or request.column):
        raise UserError("column and measured belong to a table: mutants=FILE.csv")
    if table is not None and request.new_column in table.names:
        raise UserError(f"{table.path} has a column {request.new_column} already; name another with name=COLUMN")
    measured = None if table is None or request.measured is None else _measured(table, request.measured)
    loaded = load(request.checkpoint, **request.how).to(request.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if wild is not None:  # here file and record are known, for a message
        inputs.read(loaded.modality, Record(wild[1], key=f"{request.input} record {wild[0]}"))
    if table is not None:
        return _scored(request, loaded, wild, table, measured, output)
    assert wild is not None
    return _scanned(request, loaded, wild, output)


def _measured(table: files.Table, column: str) -> list[float]:
    return table.numbers(table.column(column, ()))


def _about(request: Request, window: str, notes: list[str]) -> dict[str, Any]:
    kept = ("checkpoint", "input", "record", "mutants", "method", "offset")
    return {key: getattr(request, key) for key in kept} | {"window": window, "altered": notes}


def _scored(
    request: Request,
    loaded: Loaded,
    wild: tuple[str, str] | None,
    table: files.Table,
    measured: list[float] | None,
    output: Path,
) -> Done:
    sequences = tuple(loaded.modality.columns)
    column = table.column(request.column, (*files.MUTANT_COLUMNS, *sequences))
    cells = table.cells(column)
    found = score(
        loaded, None if wild is None else wild[1], cells, request.method, request.window, request.offset,
        kind_of(cells, column, sequences), request.bad, request.batch_tokens, table.name,
    )  # fmt: skip
    rows, blank = table.rows, len(table.sheet.blank)
    files.write(output, [*table.names, request.new_column], table.with_column([files.cell(x) for x in found.values.tolist()]))
    listed = beside(output, "rejected.jsonl")
    files.write_rejected(listed, found.rejected, table)
    counts = {"rows": len(rows), "blank": blank, "rejected": len(found.rejected)}
    about = _about(request, found.window, found.notes) | {**counts, "column": column}
    where = f"; listed in {listed}" if found.rejected else ""
    lines = [
        f"{output}: {len(rows)} rows, {len(rows) - len(found.rejected)} scored (column {request.new_column}), "
        f"{len(found.rejected)} rejected{where}",
        f"{request.method}, window {found.window}",
    ]
    if blank:
        lines.append(f"{table.path}: {blank} blank lines, the first one is row {table.sheet.blank[0]}; kept as they are")
    if measured is not None:
        known = rank(found, measured)
        about |= {"measured": request.measured, **known}
        lines.append(_rank_line(request, known))
    return _close(output, [*lines, *_notes(found.notes)], about, [listed] if found.rejected else [])


def rank(found: Scores, measured: list[float]) -> dict[str, Any]:
    """Spearman's correlation with the measured values over the rows that have both, and the counts. Pseudo-perplexities are taken
    with the sign turned, so that more is likelier for every method."""
    scores, truth = torch.from_numpy(found.values), torch.tensor(measured, dtype=torch.float64)
    both = ~(scores.isnan() | truth.isnan())
    sign = -1.0 if found.method == "pseudo-perplexity" else 1.0
    return {
        "spearman": spearman(sign * scores[both], truth[both]),
        "compared": int(both.sum()),
        "not_measured": int(truth.isnan().sum()),
    }


def _rank_line(request: Request, known: dict[str, Any]) -> str:
    value = "undefined" if math.isnan(known["spearman"]) else f"{known['spearman']:.4f}"
    turned = " (sign of the pseudo-perplexity turned)" if request.method == "pseudo-perplexity" else ""
    left = f"; {known['not_measured']} rows without a measured value left out" if known["not_measured"] else ""
    return f"Spearman with {request.measured}: {value} over {known['compared']} rows{turned}{left}"


def _scanned(request: Request, loaded: Loaded, wild: tuple[str, str], output: Path) -> Done:
    found = scan(loaded, wild[1], request.method, request.window, request.offset, request.batch_tokens)
    names = ["mutant", "position", "wild_type", "residue", request.new_column]
    rows = [[mutant, str(number), old, new, files.cell(value)] for mutant, number, old, new, value in found.rows()]
    files.write(output, names, rows)
    stem = output.name.removesuffix(".gz").rpartition(".")[0]
    picture = output.with_name(f"{stem}.png")
    found.save(picture, f"{wild[0]}: {len(found.wildtype)} residues")
    lines = [
        f"{output}: {len(rows)} mutants of {len(found.wildtype)} residues (column {request.new_column})",
        f"{request.method}, window {found.window}",
        str(picture),
    ]
    about = _about(request, found.window, found.notes) | {"rows": len(rows), "residues": len(found.wildtype)}
    if found.pseudo_perplexity is not None:
        about |= {"right": found.right, "pseudo_perplexity": found.pseudo_perplexity}
        told = f"{found.right} of {len(found.wildtype)} residues are the likeliest at their place, hidden one at a time"
        lines.insert(2, f"{told}; pseudo-perplexity {found.pseudo_perplexity:.4f}")
    return _close(output, [*lines, *_notes(found.notes)], about, [picture])


def _notes(notes: list[str], most: int = 3) -> list[str]:
    """What was altered in reading, the first few of many."""
    more = [f"and {len(notes) - most} more, all in the .meta.json file"] if len(notes) > most else []
    return [f"altered: {note}" for note in notes[:most]] + more


def _close(output: Path, lines: list[str], about: dict[str, Any], others: list[Path]) -> Done:
    meta = beside(output, "meta.json")
    if isinstance(about.get("spearman"), float) and math.isnan(about["spearman"]):
        about["spearman"] = None
    files.note(meta, about)
    return Done([output, *others, meta], lines, about)

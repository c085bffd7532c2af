"""maskedmod score checkpoint=RUN_OR_MODEL input=WILDTYPE.fasta [mutants=FILE.csv] output=FILE.csv [key=value ...]

Scores mutants of a protein. Without mutants it scans all 19 substitutions at every residue, and draws a heat map.

  maskedmod score checkpoint=runs/a input=wildtype.fasta output=scan.csv
  maskedmod score checkpoint=runs/a input=wildtype.fasta mutants=mutants.csv measured=score output=scores.csv
  maskedmod score checkpoint=runs/a mutants=designs.csv column=sequence method=pseudo-perplexity output=scores.csv

checkpoint=PATH   a run folder, one checkpoint in it, or weights that maskedmod.load reads
input=PATH        FASTA file with the wild type; record=NAME when it has several records
mutants=PATH      CSV or TSV file; every row and column is kept, a column of scores is added
column=NAME       mutants as A24G, several as A24G:C30D (or with , ; _), WT; or whole sequences (default: mutant, sequence, ...)
measured=NAME     column of measured values: prints Spearman's correlation
output=PATH       a .csv or .tsv file, also with .gz
method=NAME       masked-marginals: sum of log p(new) - log p(old), each place hidden alone in the wild type (default);
                  wt-marginals: the same from one pass with nothing hidden;
                  pseudo-perplexity: of the mutant itself, every residue hidden in turn; lower is likelier
window=optimal    sequences over the model's length: a window centred on the residue; full: no cut
offset=1          number of the wild type's first residue
bad=error         a row that does not fit the wild type stops; skip: it has no score and is listed in OUTPUT.rejected.jsonl
json=true         print what was done as one JSON object
name=NAME         the new column (default: the method)
batch_tokens=4096 tokens at a time
device=NAME       cpu, cuda, ... (default: a GPU when there is one)
modality=NAME     of weights of a sequence model: protein, molecule or text (default: told by the vocabulary)
vocabulary=FILE   its tokens (default: found beside the weights or one folder up); special={mask: X}: its special tokens by role;
                  prefix=, layout=, settings={...}: see docs/loading.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.recipe.config import split_words
from maskedmod.verbs.words import print_json, switch
from maskedmod.zoo.how import HOW, how

METHODS = ("masked-marginals", "wt-marginals", "pseudo-perplexity")
CHOICES = {"method": METHODS, "window": ("optimal", "full"), "bad": ("error", "skip")}
NUMBERS = {"offset": None, "batch_tokens": 1}
"""Whole numbers and the least that each may be."""
KEYS = ("checkpoint", "input", "record", "mutants", "column", "measured", "output", *CHOICES, *NUMBERS, "name", "device", *HOW)


def run(words: Sequence[str]) -> int:
    """Score, and say what is in the output."""
    words, as_json = switch(words, "json")
    given = {key: value for key, value in split_words(words, KEYS) if value is not None}
    for key, what in (("checkpoint", "a run folder or weights"), ("output", "a .csv or .tsv file")):
        if not given.get(key):
            raise UserError(f"name {what}: {key}=PATH")
    for key, value in given.items():
        if key in CHOICES and value not in CHOICES[key]:
            raise unknown(key, str(value), CHOICES[key])
        if key in NUMBERS:
            least = NUMBERS[key]
            if type(value) is not int or (least is not None and value < least):
                raise UserError(f"{key} expects an integer{'' if least is None else f' of at least {least}'}, got {value!r}")
    from maskedmod.score.run import Request
    from maskedmod.score.run import run as score

    settings: dict[str, Any] = {key: value if key in NUMBERS else str(value) for key, value in given.items() if key not in HOW}
    done = score(Request(**settings, how=how(given)))
    if as_json:
        print_json({**done.about, "files": done.files})
    else:
        print("\n".join(done.lines))
    return 0

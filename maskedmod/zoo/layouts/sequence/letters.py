"""Which modality a sequence model reads, told by its vocabulary or said, and the slot of its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.recipe.build import build_modality
from maskedmod.sequences import vocabulary
from maskedmod.zoo.layouts.parts import Tree

SETTINGS: dict[str, Any] = {"modality": None, "vocabulary": None, "special": None}
"""Settings that every layout of sequences has: what it reads, the file of its tokens, and their roles."""
MODALITIES = ("protein", "molecule", "text")
OF_KIND = {"residues": "protein", "pairs": "protein", "molecule": "molecule", "nucleotides": "text"}
FILES = ", ".join(vocabulary.FILES)
NAMED = {30: "iupac", 33: "esm", 446: "saprot"}
"""Alphabets of proteins that are known by their number of ids, where no file says more."""


def slot(settings: Tree, rows: int, longest: int | None, usual: str = "text", known: str | None = None) -> Tree:
    """The modality of a model of ``rows`` ids that sees ``longest`` tokens at once (ends counted; None: any number).
    ``usual``: what a vocabulary of words is read as; ``known``: an alphabet of proteins to fall back on. UserError where no
    vocabulary is found, where it is of what nothing here reads, and for a modality that is none of sequences."""
    said = settings["modality"]
    if said is not None and said not in MODALITIES:
        raise unknown("modality", str(said), MODALITIES, "of a model of sequences")
    if settings["vocabulary"] is None:
        if said in (None, "protein") and known is not None:
            return {"protein": {"alphabet": known, **_windows(longest, 2)}}
        raise UserError(f"{rows} ids and no vocabulary beside the weights or one folder up ({FILES}): say vocabulary=FILE")
    path = vocabulary.file_of(settings["vocabulary"])
    tokens = vocabulary.read_tokens(path, rows)
    kind = vocabulary.kind_of(tokens, settings["special"])
    if kind == "selfies" and said is None:
        raise UserError(
            f"{path} is a vocabulary of SELFIES, which no modality here reads; modality=text reads tokens between blanks"
        )
    modality = said or OF_KIND.get(kind, usual)
    more: Tree = {}
    if vocabulary.roles(tokens, settings["special"]) != vocabulary.roles(tokens):
        more["special"] = dict(settings["special"])
    if len(vocabulary.read_tokens(path)) < rows:
        more["vocab_size"] = rows
    if modality == "protein":
        return {"protein": _protein(settings, path, tokens, longest, known, more)}
    if modality == "molecule":
        return {"molecule": _molecule(path, tokens, longest, more)}
    return {"text": {"tokenizer": str(path), **more, "vocab_size": rows, **({} if longest is None else {"max_length": longest})}}


def mask_of(settings: Tree, rows: int, usual: int) -> int:
    """Id of the mask token."""
    if settings["vocabulary"] is None:
        return usual
    tokens = vocabulary.read_tokens(vocabulary.file_of(settings["vocabulary"]), rows)
    found = vocabulary.alphabet(tokens, settings["special"]).mask
    return usual if found is None else found


def _protein(settings: Tree, path: Path, tokens: list[str], longest: int | None, known: str | None, more: Tree) -> Tree:
    if known is not None and "special" not in more and tuple(tokens) == _tokens_of(known):
        return {"alphabet": known, **_windows(longest, 2)}
    roles = vocabulary.roles(tokens, settings["special"])
    ends = sum(roles[role] is not None for role in ("start", "end"))
    return {"alphabet": str(path), **more, **_windows(longest, ends)}


def _tokens_of(known: str) -> tuple[str, ...]:
    found = build_modality({"modality": {"protein": {"alphabet": known}}}).alphabet
    return () if found is None else found.tokens


def _windows(longest: int | None, ends: int) -> Tree:
    """Residues at a time, and how many of them windows share."""
    if longest is None:
        return {}
    residues = longest - ends
    return {"max_length": residues, "overlap": min(256, residues // 2)}


def _molecule(path: Path, tokens: list[str], longest: int | None, more: Tree) -> Tree:
    """SMILES: a trained tokenizer, atoms and bonds, or characters where no token is longer."""
    out: Tree = {"unknown": "unk", **more, "max_length": longest}
    if vocabulary.trained(path):
        return {"tokenizer": str(path), **out}
    cut = "atoms" if {"Cl", "Br", "[nH]", "[O-]", "[C@@H]"} & set(tokens) else "characters"
    return {"tokenizer": cut, "vocab": str(path), **out}

"""SMILES strings in tokens: atoms and bonds, or single characters. Joined, the tokens are the string again, always."""

from __future__ import annotations

import re

from maskedmod.core.alphabet import Alphabet

from .vocabulary import SYMBOLS

ATOMS = re.compile(r"\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|/|:|~|@|\?|>>?|\*|\$|%[0-9]{2}|[0-9]")
"""MolFormer's pattern (Ross et al. 2022; after Schwaller et al. 2018): a bracket atom is one token, and so is the arrow of a
reaction where the vocabulary has it."""

INSIDE = re.compile(rf"\[|]|@@|@|{'|'.join(sorted(SYMBOLS, key=len, reverse=True))}|[0-9]|\+|-|:|\*")
"""Parts of a bracket atom: isotope digits, symbol, chirality, hydrogens, charge, atom class."""

ORGANIC = frozenset({"B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I", "b", "c", "n", "o", "p", "s", "*"})
"""Atoms that stand without brackets."""


def cut_atoms(smiles: str, alphabet: Alphabet) -> tuple[list[str], list[str]]:
    """-> tokens, and those among them that the alphabet does not have: characters that no part of the pattern matches. A bracket
    atom that is no token of the alphabet is cut into its parts, where the alphabet has such."""
    pieces: list[str] = []
    for piece in _matched(smiles, ATOMS):
        if piece in alphabet.index:
            pieces.append(piece)
        elif piece == ">>":
            pieces += ">>"
        else:
            pieces += _matched(piece, INSIDE) if piece[0] == "[" and "[" in alphabet.index else [piece]
    return pieces, [piece for piece in pieces if piece not in alphabet.index]


def cut_characters(smiles: str, alphabet: Alphabet) -> tuple[list[str], list[str]]:
    """-> characters, and those among them that the alphabet does not have."""
    return list(smiles), [character for character in smiles if character not in alphabet.index]


def atom_spans(smiles: str) -> list[tuple[int, int]]:
    """Where each atom is written, first and one past the last character, in the order in which RDKit numbers them."""
    spans, place = [], 0
    for piece in _matched(smiles, ATOMS):
        if piece[0] == "[" or piece in ORGANIC:
            spans.append((place, place + len(piece)))
        place += len(piece)
    return spans


def _matched(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Matches from left to right; a character where nothing matches is a piece of its own."""
    pieces, place = [], 0
    while place < len(text):
        found = pattern.match(text, place)
        piece = found.group() if found else text[place]
        pieces.append(piece)
        place += len(piece)
    return pieces

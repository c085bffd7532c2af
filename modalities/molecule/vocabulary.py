"""Vocabularies of SMILES tokens: fixed ones that need no data, and files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import product
from pathlib import Path

from maskedmod.core.alphabet import Alphabet
from maskedmod.sequences import vocabulary

_ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc "
    "Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi "
    "Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og "
)
ELEMENTS = tuple(_ELEMENTS.split())
SYMBOLS = (*ELEMENTS, "b", "c", "n", "o", "p", "s", "se", "as", "te", "si")
"""Elements, and those that may be aromatic in lower case."""

SPECIAL = ("<pad>", "<cls>", "<eos>", "<mask>", "<unk>")
_BARE = "C c N n O o S s P p F Cl Br I B b ( ) . = # - + \\ / : ~ @ ? > * $ 0 1 2 3 4 5 6 7 8 9"
_ISOTOPES = "2H 3H 11C 13C 14C 11CH3 13CH3 14CH3 14CH2 15N 17O 18O 18F 32P 35S 123I 125I 131I 99Tc 99Tc+4"


@cache
def atoms() -> Alphabet:
    """Tokens of the pattern, bracket atoms of organic chemistry, every element alone and charged, some isotopes, and the parts
    of which any other bracket atom is put together. The order never changes."""
    tokens = [*SPECIAL, *_BARE.split(), *(f"%{number:02d}" for number in range(10, 100))]
    hydrogens, charges = ("", "H", "H2", "H3", "H4"), ("", "+", "-", "+2", "-2", "++", "--")
    tokens += [f"[{symbol}{turn}{h}{charge}]" for symbol, turn, h, charge in product("CNPS", ("@", "@@"), ("", "H"), ("", "+"))]
    common = ("C", "N", "O", "S", "P", "B", "Si", "Se", "c", "n", "o", "s", "p", "b", "se")
    tokens += [f"[{symbol}{h}{charge}]" for symbol, h, charge in product(common, hydrogens, charges[:3])]
    tokens += [f"[{turn}]" for turn in ("Si@", "Si@@", "Se@", "Se@@", "As@", "As@@")]
    tokens += [f"[{symbol}{charge}]" for symbol, charge in product((*ELEMENTS, "*"), (*charges, "+3", "+++", "+4"))]
    tokens += [f"[{isotope}]" for isotope in _ISOTOPES.split()]
    return _alphabet(dict.fromkeys([*tokens, "[", "]", "@@", *SYMBOLS]))


@cache
def characters() -> Alphabet:
    """All printable characters of ASCII but the blank."""
    tokens = [*SPECIAL, *map(chr, range(33, 127))]
    return _alphabet(tokens)


def from_file(path: str | Path, special: vocabulary.Special | None = None, rows: int | None = None) -> Alphabet:
    """Ids in the order of the file (see ``sequences.vocabulary``); special tokens as ``special`` says, else by the names that
    they usually have. UserError without a mask token, and for a line that is empty or stands there twice."""
    return of(vocabulary.read_tokens(path, rows), f"modality.vocab={path}", special)


def of(tokens: list[str], where: str, special: vocabulary.Special | None = None) -> Alphabet:
    """The alphabet of a list of tokens; ``where`` names it in errors."""
    return vocabulary.alphabet(tokens, special, where)


def _alphabet(tokens: Iterable[str]) -> Alphabet:
    """Special tokens are those with a name that such tokens usually have."""
    return vocabulary.alphabet(tuple(tokens))

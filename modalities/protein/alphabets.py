"""The published alphabets of proteins, with ids as their models have them."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Literal, get_args

from maskedmod.core.alphabet import Alphabet
from maskedmod.errors import unknown

Name = Literal["esm", "iupac", "saprot"]
NAMES: tuple[str, ...] = get_args(Name)

RESIDUES = "LAGVSERTIDPKQNFYMHWC"
"""The twenty amino acids, in the order of ESM's ids."""
RARE = "XBUZO"
"""Unknown, D or N, selenocysteine, E or Q, pyrrolysine."""
FOLDSEEK_RESIDUES = "ACDEFGHIKLMNPQRSTVWY#"
FOLDSEEK_STATES = "pynwrqhgdlvtmfsaeikc#"
"""The twenty states of Foldseek's 3Di alphabet (van Kempen et al. 2024) as SaProt writes them; ``#`` is an unknown one."""


def in_pairs(letters: Alphabet) -> bool:
    """Whether tokens are a residue and the state of its structure, as SaProt's are."""
    return "Ap" in letters.index and "#p" in letters.index


@cache
def alphabet(name: str) -> Alphabet:
    """``esm``: 33 tokens of ESM-1b and ESM-2 (Lin et al. 2023). ``iupac``: 30 tokens of TAPE (Rao et al. 2019). ``saprot``: 446
    tokens, a residue and the state of its structure each (Su et al. 2024); ``#p`` is a hidden residue of known structure.
    UserError for another name."""
    if name not in NAMES:
        raise unknown("alphabet", name, NAMES)
    if name == "esm":
        tokens = ["<cls>", "<pad>", "<eos>", "<unk>", *RESIDUES, *RARE, ".", "-", "<null_1>", "<mask>"]
        return Alphabet.named(
            tokens, start="<cls>", end="<eos>", pad="<pad>", mask="<mask>", unk="<unk>", standard=RESIDUES,
            also_special=["<null_1>"],
        )  # fmt: skip
    if name == "iupac":
        tokens = ["<pad>", "<mask>", "<cls>", "<sep>", "<unk>", *"ABCDEFGHIKLMNOPQRSTUVWXYZ"]
        return Alphabet.named(
            tokens, start="<cls>", end="<sep>", pad="<pad>", mask="<mask>", unk="<unk>", standard=sorted(RESIDUES)
        )
    pairs = [residue + state for residue, state in product(FOLDSEEK_RESIDUES, FOLDSEEK_STATES)]
    return Alphabet.named(
        ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *pairs], start="<cls>", end="<eos>", pad="<pad>", mask="<mask>",
        unk="<unk>", standard=[pair for pair in pairs if "#" not in pair],
    )  # fmt: skip

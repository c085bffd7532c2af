"""A tokenizer of one's own, from one's own molecules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from maskedmod.sequences.subword import train_subword


def train_tokenizer(smiles: Iterable[str], output: str | Path, vocab_size: int = 600) -> Path:
    """Byte-pair encoding over the characters of SMILES (ChemBERTa, Chithrananda et al. 2020: 600 tokens) -> the file ``output``,
    for ``modality.tokenizer=``. Characters that the given SMILES do not have will be unknown."""
    trained = train_subword(smiles, "bpe", vocab_size)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(trained.text, encoding="utf-8")
    return output

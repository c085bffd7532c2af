"""Atoms and their bonds hidden."""

from __future__ import annotations

import pytest
import torch
from maskedmod.modalities.molecular_graph import MolecularGraph

from maskedmod.core.apply import apply
from maskedmod.core.context import Context
from maskedmod.core.modality import Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.layers.graphs.bonds import bonds_of
from maskedmod.masks.atoms import Atoms

MODALITY = MolecularGraph()
SMILES = ["C", "CCO", "c1ccccc1CCN", "[Na+].[Cl-]", "CC(C)CC1=CC=C(C=C1)C(C)C(=O)O"]


def tokens() -> Tokens:
    return MODALITY.tokenize(MODALITY.collate([MODALITY.read(Record(s, s)) for s in SMILES]))["main"]


def context(seed: int = 0) -> Context:
    return Context(generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("ratio", [0.15, 0.3, 0.9])
def test_the_count_is_that_of_the_paper(ratio: float) -> None:
    rows = tokens()
    mask = Atoms(MODALITY.spec, ratio)(rows, context())
    assert rows.layout.cu_seqlens is not None
    sizes = rows.layout.cu_seqlens.diff().tolist()
    hidden = torch.bincount(rows.layout.segments()[mask.targets], minlength=len(sizes)).tolist()
    assert hidden == [min(n, int(n * ratio + 1)) for n in sizes]
    other = Atoms(MODALITY.spec, ratio)(rows, context(1))
    assert not torch.equal(mask.targets, other.targets)


def test_bonds_of_hidden_atoms_are_hidden_both_ways() -> None:
    rows = tokens()
    mask = Atoms(MODALITY.spec, 0.3, bonds=True)(rows, context())
    seen = apply(rows, mask, "mask_token").tokens
    assert rows.relation is not None and rows.relation.attr is not None
    assert seen.relation is not None and seen.relation.attr is not None
    touched = mask.hidden[rows.relation.edge_index].any(0)
    assert 0 < touched.sum() < len(touched)
    assert (seen.relation.attr[touched] == torch.tensor([5, 0])).all()
    assert torch.equal(seen.relation.attr[~touched], rows.relation.attr[~touched])
    predicted = bonds_of(mask.targets, rows)
    assert len(predicted) * 2 == touched.sum() and touched[predicted].all()
    pairs = rows.relation.edge_index[:, predicted]
    assert (pairs[0] < pairs[1]).all()


def test_several_ratios_make_several_masks() -> None:
    """All molecules under the first ratio, then under the second, as packed rows are tiled; 0 hides nothing."""
    rows = tokens()
    mask = Atoms(MODALITY.spec, (0.0, 0.15, 0.3), bonds=True)
    made = mask(rows.repeat(mask.per_sample), context())
    thirds = made.hidden.view(3, -1).sum(1).tolist()
    assert thirds[0] == 0 and thirds[1] == sum(min(n, int(n * 0.15 + 1)) for n in (1, 3, 9, 2, 15)) < thirds[2]
    assert made.per_sample == 3


def test_what_cannot_be_is_refused() -> None:
    for ratio in (0.0, 1.0, (0.0, 0.0), ()):
        with pytest.raises(ValueError, match="expected shares"):
            Atoms(MODALITY.spec, ratio)
    with pytest.raises(ValueError, match="no bonds with ids"):
        Atoms(Spec(values=3, axes=1), 0.15, bonds=True)

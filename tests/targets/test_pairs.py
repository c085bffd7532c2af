"""Pairs of predicted tokens: who is whose partner, and that target and head mean the same pairs."""

from __future__ import annotations

import pytest
import torch

from maskedmod.core.context import Context
from maskedmod.core.mask_set import Where
from maskedmod.core.modality import Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout
from maskedmod.layers.pairing import partners
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.targets.token_pairs import TokenPairs


def test_partners_stay_in_their_sequence() -> None:
    layout = Layout(cu_seqlens=torch.tensor([0, 5, 6, 10], dtype=torch.int32), max_seqlen=5)
    assert partners(torch.tensor([1, 2, 4, 5, 7, 9]), layout).tolist() == [1, 2, 0, 3, 5, 4]
    assert partners(torch.tensor([], dtype=torch.long), layout).tolist() == []
    with pytest.raises(ValueError, match="packed"):
        partners(torch.tensor([[0]]), Layout())


def test_classes_are_joint_identities_of_esm_ids() -> None:
    model = build_model(resolve(["recipe=pmlm", "preset=demo", "encoder.depth=1", "encoder.width=32", "encoder.heads=2"]))
    batch = model.modality.collate([model.modality.read(Record("LAGX", "x")), model.modality.read(Record("CC", "y"))])
    step = model.step(batch, Context(generator=torch.Generator().manual_seed(0)))
    where = Where(torch.tensor([1, 2, 3, 4, 7, 8]))  # L A G X, C C
    found = model.objectives["pairs"].target(step, "main", where)  # type: ignore[operator, union-attr]
    assert found.tolist() == [0 * 20 + 1, 1 * 20 + 2, 400, 400, 19 * 20 + 19, 399]
    scores = model.objectives["pairs"].head(step.views["main"], where)  # type: ignore[operator, union-attr]
    assert scores.shape == (6, 401)
    out = model(batch, Context(generator=torch.Generator().manual_seed(1)))
    assert {"main", "pairs", "loss"} <= set(out)


def test_ids_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="not among"):
        TokenPairs(Spec(1, 1, vocab=20))

"""Masks over packed sequences: specials, counts, spans, corruption, one seed one mask."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskedmod.core.apply import apply
from maskedmod.core.context import Context
from maskedmod.core.mask_set import KEPT, MASKED, RANDOM
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.layers.corruption import Corruption
from maskedmod.masks.random import Random
from maskedmod.masks.span import Span
from maskedmod.sequences.packing import positions

SPEC = Spec(values=1, axes=1, vocab=33)
LENGTHS = [3, 12, 2, 150, 40, 9]


def packed(lengths: list[int] = LENGTHS, seed: int = 0) -> Tokens:
    """Sequences with a class token 0 and an end token 2 around residues 4 to 23."""
    generator = torch.Generator().manual_seed(seed)
    cu = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    ids = torch.randint(4, 24, (int(cu[-1]),), generator=generator)
    ids[cu[:-1].long()], ids[cu[1:].long() - 1] = 0, 2
    layout = Layout(cu_seqlens=cu, max_seqlen=max(lengths))
    return Tokens(ids, positions(layout, len(ids)), layout, ids >= 4)


def ctx(seed: int = 0) -> Context:
    return Context(generator=torch.Generator().manual_seed(seed))


def per_sequence(x: torch.Tensor, tokens: Tokens) -> list[int]:
    return torch.zeros(tokens.batch, dtype=torch.long).index_add(0, tokens.layout.segments(), x.long()).tolist()


BLOCKS: dict[str, Any] = {
    "random": lambda **more: Random(SPEC, 0.15, count="mask_round", **more),
    "bernoulli": lambda **more: Random(SPEC, 0.3, bernoulli=True, **more),
    "span": lambda **more: Span(SPEC, 0.15, **more),
    "poisson": lambda **more: Span(SPEC, 0.3, length=3.0, lengths="poisson", **more),
    "starts": lambda **more: Span(SPEC, 0.5, length=4.0, lengths="fixed", stop="starts", **more),
}


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("k", [1, 3])
def test_specials_stay_seen_and_one_seed_is_one_mask(kind: str, k: int) -> None:
    for seed in range(8):
        tokens = packed(seed=seed).repeat(k)
        mask = BLOCKS[kind](masks_per_sample=k)(tokens, ctx(seed))
        assert tokens.eligible is not None and not (mask.hidden & ~tokens.eligible).any()
        assert torch.equal(mask.hidden.nonzero()[:, 0], mask.targets)
        again = BLOCKS[kind](masks_per_sample=k)(tokens, ctx(seed))
        assert torch.equal(mask.role, again.role)
        if k > 1:
            first, second = mask.role[: len(mask.role) // k], mask.role[len(mask.role) // k : 2 * len(mask.role) // k]
            assert not torch.equal(first, second)


@pytest.mark.parametrize("kind", ["random", "span"])
def test_counts_are_exact_in_every_sequence(kind: str) -> None:
    tokens = packed()
    mask = BLOCKS[kind]()(tokens, ctx())
    assert per_sequence(mask.hidden, tokens) == [round((n - 2) * 0.15) for n in LENGTHS]
    mask = BLOCKS[kind](least=1)(tokens, ctx())
    assert per_sequence(mask.hidden, tokens) == [min(n - 2, max(1, round((n - 2) * 0.15))) for n in LENGTHS]


def test_counts_are_exact_with_many_sequences() -> None:
    lengths = [22] * 5000
    mask = Random(SPEC, 0.25, count="mask_int")(packed(lengths), ctx())
    assert set(per_sequence(mask.hidden, packed(lengths))) == {5}


def runs(hidden: torch.Tensor) -> list[int]:
    text = "".join("x" if h else " " for h in hidden.tolist())
    return [len(run) for run in text.split()]


def test_spans_are_spans_and_stay_in_their_sequence() -> None:
    tokens = packed([2002, 5, 3])
    mask = Span(SPEC, 0.15, length=5, lengths="fixed")(tokens, ctx())
    found = runs(mask.hidden[:2002])
    assert sum(found) == 300 and sum(1 for run in found if run < 5) <= 1 + sum(1 for run in found if run > 5)
    single = Random(SPEC, 0.15, count="mask_round")(tokens, ctx())
    assert len(runs(single.hidden[:2002])) > 3 * len(found)
    for seed in range(20):  # a span that begins in one sequence hides nothing of the next
        two = packed([6, 40])
        starts = Span(SPEC, 0.9, length=4, lengths="fixed", stop="starts")(two, ctx(seed)).hidden
        assert not starts[5] and not starts[6] and not starts[0]


def test_geometric_lengths_are_those_of_spanbert() -> None:
    mask = Span(SPEC)
    drawn = mask._spans(200_000, packed(), ctx()).float()
    assert drawn.min() == 1 and drawn.max() == 10
    assert abs(float(drawn.mean()) - 3.8) < 0.02  # the paper's number
    assert abs(float((drawn == 1).float().mean()) - 0.2 / (1 - 0.8**10)) < 0.005


def test_dense_rows_with_padding() -> None:
    valid = torch.arange(30) < torch.tensor([30, 11, 4])[:, None]
    rows = Tokens(torch.randint(4, 24, (3, 30)), torch.arange(30).expand(3, 30)[..., None], Layout(valid=valid))
    mask = Span(SPEC, 0.5, length=3, lengths="fixed", count="mask_int")(rows, ctx())
    assert (mask.role == 1).sum(1).tolist() == [15, 5, 2]
    assert not ((mask.role == 1) & ~valid).any()


@pytest.mark.parametrize("draw", ["vocab", (4, 23)])
def test_random_ids_come_from_the_range_asked_for(draw: Any) -> None:
    tokens = packed([4000, 4000])
    mask = Random(SPEC, 0.5, corrupt=Corruption(0.8, 0.1, 0.1, draw=draw))(tokens, ctx())
    assert mask.code is not None
    shares = [float((mask.code == code).sum() / mask.hidden.sum()) for code in (MASKED, RANDOM, KEPT)]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    seen = apply(tokens, mask, "corrupt")
    at = mask.code == RANDOM
    ids = seen.tokens.values[at]
    expected = set(range(33)) if draw == "vocab" else set(range(4, 24))
    assert set(ids.tolist()) == expected
    assert torch.equal(seen.tokens.values[~at], tokens.values[~at])
    assert seen.hidden is not None and torch.equal(seen.hidden, mask.code == MASKED)


def test_a_span_shares_its_fate() -> None:
    tokens = packed([3000])
    together = Span(SPEC, 0.15, length=5, lengths="fixed", corrupt=Corruption())(tokens, ctx())
    apart = Span(SPEC, 0.15, length=5, lengths="fixed", corrupt=Corruption(), together=False)(tokens, ctx())
    changes = []
    for mask in (together, apart):
        assert mask.code is not None
        inside = mask.hidden[1:] & mask.hidden[:-1]
        changes.append(int(((mask.code[1:] != mask.code[:-1]) & inside).sum()))
    assert changes[0] < changes[1] / 4


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Span(SPEC, 1.5), "mask.ratio"),
        (lambda: Span(SPEC, length=20), "mask.most=10"),
        (lambda: Span(SPEC, length=2.5, lengths="fixed"), "whole number"),
        (lambda: Random(SPEC, 0.1, corrupt=Corruption(draw=(4, 40))), "ids are 0 to 32"),
        (lambda: Random(Spec(values=3, axes=1), 0.1, corrupt=Corruption(draw="vocab")), "modality of ids"),
        (lambda: Random(SPEC, 0.1, bernoulli=True, least=-1), "mask.least"),
    ],
)
def test_settings_that_make_no_sense(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()

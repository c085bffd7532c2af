"""Features of long sequences: windows that cover everything, each place from the nearest centre, put together in order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from maskedmod.core.modality import Record
from maskedmod.recipe.build import build_encoder, build_modality
from maskedmod.recipe.config import resolve
from maskedmod.sequences import windows
from maskedmod.sequences.windows import encode, owners, starts

MOST, OVERLAP = 20, 8


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    tree = resolve(
        [
            "recipe=tape",
            "preset=demo",
            "encoder.depth=2",
            "encoder.width=32",
            f"modality.max_length={MOST}",
            f"modality.overlap={OVERLAP}",
        ]
    )
    modality = build_modality(tree)
    torch.manual_seed(0)
    return build_encoder(tree, modality).eval(), modality


def tokens(modality: Any, *texts: str) -> Any:
    return modality.tokenize(modality.collate([modality.read(Record(text, "x")) for text in texts]))["main"]


def text(n: int, seed: int = 0) -> str:
    draw = torch.randint(20, (n,), generator=torch.Generator().manual_seed(seed)).tolist()
    return "".join("LAGVSERTIDPKQNFYMHWC"[i] for i in draw)


@pytest.mark.parametrize("length", [1, 20, 21, 32, 33, 100, 1001])
def test_every_place_belongs_to_the_window_of_nearest_centre(length: int) -> None:
    found = owners(length, MOST, OVERLAP)
    assert [s for s, *_ in found] == starts(length, MOST, OVERLAP)
    assert found[0][1] == 0 and found[-1][2] == length and all(a[2] == b[1] for a, b in pairwise(found))
    size = min(length, MOST)
    for start, first, end in found:
        assert 0 <= start <= first < end <= start + size <= length
        for place in range(first, end):
            nearest = min(abs(place - (other + (size - 1) / 2)) for other, *_ in found)
            assert abs(place - (start + (size - 1) / 2)) == nearest


@torch.no_grad()
def test_short_sequences_are_as_the_encoder_alone_gives_them(parts: tuple[Any, Any]) -> None:
    from maskedmod.core.apply import Seen

    encoder, modality = parts
    packed = tokens(modality, text(5), text(20, 1), text(1, 2))
    plain = encoder(Seen(packed)).tokens
    found = encode(encoder, packed, modality)
    assert found.layout.cu_seqlens.tolist() == [0, 5, 25, 26] and found.prefix.shape == (3, 1, 32)
    inner = torch.cat([plain[1:6], plain[8:28], plain[30:31]])
    torch.testing.assert_close(found.tokens, inner, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.prefix[:, 0], plain[[0, 7, 29]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.mean()[0], plain[1:6].mean(0), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_long_sequences_are_put_together_from_windows(parts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, modality = parts
    long = text(75, 3)
    by_hand, classes = torch.empty(75, 32), []
    for start, first, end in owners(75, MOST, OVERLAP):
        window = encode(encoder, tokens(modality, long[start : start + MOST]), modality)
        by_hand[first:end] = window.tokens[first - start : end - start]
        classes.append(window.prefix[0, 0])
    for at_once in (1 << 14, 50):
        monkeypatch.setattr(windows, "AT_ONCE", at_once)
        found = encode(encoder, tokens(modality, text(4), long), modality)
        torch.testing.assert_close(found.tokens[4:], by_hand, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.prefix[1, 0], torch.stack(classes).mean(0), atol=1e-5, rtol=1e-5)
    middle = encode(encoder, tokens(modality, text(4), long), modality, layer=0)
    assert middle.tokens.shape == (79, 32) and not torch.allclose(middle.tokens, found.tokens, atol=1e-2)

"""Positions made of coordinates, added to the input of every block; embeddings that look at hidden tokens too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskedmod.core.apply import apply
from maskedmod.core.masking import from_masked
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.encoders.transformer import Transformer
from maskedmod.layers.attention import Who

SPEC = Spec(values=6, axes=3)


def tokens() -> Tokens:
    draw = torch.Generator().manual_seed(0)
    return Tokens(torch.randn(3, 8, 6, generator=draw), torch.randn(3, 8, 3, generator=draw))


def encoder(**options: object) -> Transformer:
    torch.manual_seed(0)
    settings = {"depth": 2, "width": 12, "heads": 2, "positions": "mlp", **options}
    return Transformer(SPEC, lambda width: nn.Sequential(nn.Linear(6, width), Rowwise(width)), **settings)  # type: ignore[arg-type]


class Rowwise(nn.Module):
    """BatchNorm over all tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.flatten(0, -2)).reshape(x.shape)


@pytest.mark.parametrize("classes", [0, 1])
def test_every_block_adds_positions(classes: int) -> None:
    model, t = encoder(every_block=True, classes=classes).eval(), tokens()
    places = model.positions(t.pos)
    x = model.embed(t.values)
    if classes:
        assert model.prefix_tokens is not None and model.prefix_positions is not None
        places = torch.cat([model.prefix_positions.expand(3, -1, -1), places], dim=1)
        x = torch.cat([model.prefix_tokens.expand(3, -1, -1), x], dim=1)
    for block in model.blocks:
        x = block(x + places, Who())
    found = model(apply(t, from_masked(torch.zeros(3, 8, dtype=torch.bool)), "full"), ["block.-1", "attention.0"])
    assert torch.allclose(found.tokens, model.norm(x)[:, classes:], atol=1e-6)
    assert torch.allclose(found.taps["block.-1"], x[:, classes:], atol=1e-6)


def test_added_once_it_is_another_model() -> None:
    once, often, t = encoder().eval(), encoder(every_block=True).eval(), tokens()
    often.load_state_dict(once.state_dict())
    seen = apply(t, from_masked(torch.zeros(3, 8, dtype=torch.bool)), "full")
    assert not torch.allclose(once(seen).tokens, often(seen).tokens, atol=1e-3)
    with pytest.raises(ValueError, match="positions must be one of sincos, learned, frozen, mlp, not rotary"):
        encoder(every_block=True, positions="rotary")


def test_hidden_tokens_in_the_statistics() -> None:
    """mask_at=embedded: BatchNorm counts all tokens, and what is hidden moves what is seen; mask_at=values: it does not."""
    t = tokens()
    mask = from_masked(torch.arange(8).expand(3, -1) >= 5)
    other = Tokens(torch.where(mask.hidden[..., None], t.values + 3, t.values), t.pos)
    for where, same in (("values", True), ("embedded", False)):
        model = encoder(mask_at=where, classes=0).train()
        first, second = model(apply(t, mask, "visible")), model(apply(other, mask, "visible"))
        assert torch.allclose(first.tokens, second.tokens, atol=1e-5) is same
        assert first.tokens.shape == (3, 5, 12)

"""Parts of sequence encoders: token dropout, rotary forms, linear attention, the tied head, packing against one by one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from maskedmod.core.apply import Seen
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import MaskSet, Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.encoders.transformer import Transformer
from maskedmod.heads.lm import Lm
from maskedmod.layers.attention import pairs_apart, rotate
from maskedmod.layers.ids import IdEmbedding
from maskedmod.layers.linear_attention import LinearKernel, orthogonal_features
from maskedmod.layers.token_dropout import TokenDropout
from maskedmod.losses.cross_entropy import CrossEntropy
from maskedmod.sequences.packing import positions

SPEC = Spec(values=1, axes=1, vocab=33)
MASK = 32


def embedding(width: int) -> nn.Module:
    return IdEmbedding(33, width, MASK)


def encoder(**more: Any) -> Transformer:
    settings: dict[str, Any] = {"depth": 3, "width": 32, "heads": 4, "sees": "corrupt", "positions": "rotary", "classes": 0}
    made = Transformer(SPEC, embedding, **{**settings, **more})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def packed(rows: list[Tensor]) -> Tokens:
    cu = torch.tensor([0, *map(len, rows)], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    ids, layout = torch.cat(rows), Layout(cu_seqlens=cu, max_seqlen=max(map(len, rows)))
    return Tokens(ids, positions(layout, len(ids)), layout)


def dense(rows: list[Tensor]) -> Tokens:
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=1)
    valid = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
    return Tokens(ids, torch.arange(ids.shape[1]).expand(ids.shape)[..., None], Layout(valid=valid))


ROWS = [torch.randint(4, 32, (n,), generator=torch.Generator().manual_seed(n)) for n in (1, 9, 30, 2)]

VARIANTS: dict[str, dict[str, Any]] = {
    "esm2": {"token_dropout": 0.12, "eps": 1e-5},
    "esm1b": {"positions": "learned", "max_length": 40, "position_offset": 2, "embed_norm": True, "token_dropout": 0.12},
    "bert": {"positions": "learned", "max_length": 40, "embed_norm": True, "norm_place": "post"},
    "amplify": {"positions": "rotary_interleaved", "norm": "rms", "activation": "swiglu", "qkv_bias": "none"},
    "qk_norm": {"qk_norm": True},
    "causal": {"causal": True},
    "molformer": {"random_features": 16, "norm_place": "post", "final_norm": True, "mlp_ratio": 1.0},
}


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_packed_padded_and_alone_agree(name: str) -> None:
    """What stands beside a sequence in a batch never changes it, and mask tokens count per sequence."""
    model = encoder(**VARIANTS[name])
    rows = [row.clone() for row in ROWS]
    rows[2][[3, 4, 20]] = MASK
    together = model(Seen(packed(rows))).tokens.split([len(row) for row in rows])
    padded = model(Seen(dense(rows))).tokens
    for i, row in enumerate(rows):
        alone = model(Seen(packed([row]))).tokens
        torch.testing.assert_close(together[i], alone, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(padded[i, : len(row)], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_learns(name: str) -> None:
    model = encoder(**VARIANTS[name]).train()
    rows = [row.clone() for row in ROWS]
    rows[1][2] = MASK
    (model(Seen(packed(rows))).tokens ** 3).sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


@torch.no_grad()
def test_causal_order() -> None:
    model = encoder(causal=True)
    changed = [*ROWS[:2], torch.cat([ROWS[2][:20], torch.full((10,), 5)]), ROWS[3]]
    a, b = (model(Seen(packed(rows))).tokens.split([1, 9, 30, 2])[2] for rows in (ROWS, changed))
    assert torch.equal(a[:20], b[:20]) and not torch.allclose(a[20:], b[20:])


@torch.no_grad()
def test_hidden_places_get_the_row_of_the_mask_token() -> None:
    model = encoder()
    assert model.mask_token is None
    hidden = torch.zeros(42, dtype=torch.bool)
    hidden[[3, 15]] = True
    by_code = model(Seen(packed(ROWS), None, hidden)).tokens
    ids = torch.cat(ROWS).masked_fill(hidden, MASK)
    by_id = model(Seen(packed(list(ids.split([1, 9, 30, 2]))))).tokens
    assert torch.equal(by_code, by_id)


def test_token_dropout_by_hand() -> None:
    x = torch.ones(6, 2)
    masked = torch.tensor([False, True, False, False, True, True])
    out = TokenDropout(0.12)(x, masked, Layout(cu_seqlens=torch.tensor([0, 4, 6], dtype=torch.int32)))
    expected = torch.tensor([0.88 / 0.75, 0.0, 0.88 / 0.75, 0.88 / 0.75, 0.0, 0.0])
    torch.testing.assert_close(out[:, 0], expected)
    valid = torch.tensor([[True, True, True, True], [True, True, False, False]])
    rows = torch.tensor([[False, True, False, False], [False, True, False, False]])
    out = TokenDropout(0.12)(torch.ones(2, 4, 2), rows, Layout(valid=valid))
    torch.testing.assert_close(out[:, 0, 0], torch.tensor([0.88 / 0.75, 0.88 / 0.5]))


def test_interleaved_rotary_is_multiplication_of_complex_numbers() -> None:
    x, angles = torch.randn(5, 8), torch.rand(5, 4)
    turned = torch.view_as_complex(x.reshape(5, 4, 2)) * torch.polar(torch.ones_like(angles), angles)
    expected = torch.view_as_real(turned).flatten(1)
    both = torch.cat([angles, angles], -1)
    found = rotate(pairs_apart(x), (both.cos(), both.sin()))
    torch.testing.assert_close(found, pairs_apart(expected))


def test_linear_attention_is_its_quadratic_form() -> None:
    kernel = LinearKernel(8, 20).eval()
    q, k, v = torch.randn(3, 2, 4, 11, 8).unbind(0)
    keys = torch.arange(11) < torch.tensor([11, 6])[:, None]
    omega = kernel.get_buffer("omega")
    weights = (q @ omega).relu() @ (k @ omega).relu().transpose(-1, -2) * keys[:, None, None]
    expected = weights @ v / (weights.sum(-1, keepdim=True) + 1e-6)
    torch.testing.assert_close(kernel(q, k, v, keys), expected)


def test_random_features_are_orthogonal_and_drawn_anew_in_training_alone() -> None:
    omega = orthogonal_features(8, 8)
    gram = omega.T @ omega
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), atol=1e-4, rtol=0)
    kernel = LinearKernel(8, 20)
    q, k, v = torch.randn(3, 1, 2, 5, 8).unbind(0)
    assert not torch.equal(kernel(q, k, v), kernel(q, k, v))
    kernel.eval()
    assert torch.equal(kernel(q, k, v), kernel(q, k, v))


def view(latent: Tensor, tokens: Tokens) -> View:
    role = torch.zeros(len(latent), dtype=torch.int8)
    mask = MaskSet(role, torch.arange(len(latent)), torch.tensor([0]))
    return View(tokens, tokens, mask, Latent(latent, tokens.layout), None)


def test_the_tied_head_reads_the_table_and_trains_it() -> None:
    model, head = encoder(), Lm(Spec(values=1, axes=1, vocab=33, width=32, target=33))
    head.bind(model)
    assert "weight" not in {name.rsplit(".")[0] for name, _ in head.named_parameters()}
    tokens = packed(ROWS)
    where = Where(torch.tensor([5, 17]))
    scores = head(view(model(Seen(tokens)).tokens, tokens), where)
    assert scores.shape == (2, 33)
    with torch.no_grad():
        model.embed.weight[7] += torch.randn(32)
    assert not torch.allclose(head(view(model(Seen(tokens)).tokens, tokens), where)[:, 7], scores[:, 7])
    both = copy.deepcopy(nn.ModuleList([model, head]))
    assert both[1]._table[0] is both[0].embed  # a copy of the whole is tied within itself
    with pytest.raises(ValueError, match="tied=false"):
        Lm(Spec(values=1, axes=1, width=32, target=30)).bind(model)


def test_a_batch_without_hidden_tokens_has_loss_zero() -> None:
    prediction = torch.randn(0, 33, requires_grad=True)
    loss = CrossEntropy(SPEC)(prediction, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss == 0.0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"positions": "learned"}, "max_length"),
        ({"token_dropout": 1.5}, "token_dropout"),
        ({"random_features": 0}, "random_features"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        encoder(**settings)
    with pytest.raises(ValueError, match="31 tokens"):
        encoder(positions="learned", max_length=30)(Seen(packed([torch.zeros(31, dtype=torch.long)])))
    with pytest.raises(ValueError, match="linear attention"):
        encoder(random_features=8, causal=True)(Seen(packed(ROWS)))

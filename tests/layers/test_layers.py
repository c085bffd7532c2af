"""Parts that encoders and heads share, against slow and plain versions of themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskedmod.core.apply import Seen, apply
from maskedmod.core.context import Context
from maskedmod.core.mask_set import Visibility
from maskedmod.core.masking import from_masked, from_noise
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.encoders.transformer import Transformer
from maskedmod.heads.mae_decoder import MaeDecoder
from maskedmod.layers.attention import Attention, Who
from maskedmod.layers.block import BlockSettings, DropPath
from maskedmod.layers.init import initialise, rescale_by_depth
from maskedmod.layers.positions import RelativeBias, Rotary, SinCos, lattice, sincos
from maskedmod.layers.window_attention import WindowBlock, Windows

SPEC = Spec(values=6, axes=2, grid=(4, 6), width=32, target=6)


def embedding(width: int) -> nn.Module:
    return nn.Linear(6, width)


def tokens(m: int = 2, valid: torch.Tensor | None = None) -> Tokens:
    return Tokens(torch.randn(m, 24, 6), lattice((4, 6)).expand(m, -1, -1), Layout(grid=(4, 6), valid=valid))


def test_attention_is_softmax_of_dot_products() -> None:
    layer, x = Attention(16, 4), torch.randn(2, 5, 16)
    q, k, v = layer.qkv(x).reshape(2, 5, 3, 4, 4).permute(2, 0, 3, 1, 4)
    scores = (q @ k.mT / 2).softmax(-1)
    torch.testing.assert_close(layer(x, Who()), layer.proj((scores @ v).transpose(1, 2).flatten(2)))
    torch.testing.assert_close(layer.maps(x, Who()), scores)


@pytest.mark.parametrize("causal", [False, True])
def test_packed_attention_equals_dense_rows(causal: bool) -> None:
    layer, x = Attention(16, 4), torch.randn(9, 16)
    cu = torch.tensor([0, 4, 9], dtype=torch.int32)
    packed = layer(x, Who(causal=causal, cu_seqlens=cu, max_seqlen=5, lengths=(4, 5)))
    dense = [layer(part[None], Who(causal=causal))[0] for part in x.split((4, 5))]
    torch.testing.assert_close(packed, torch.cat(dense))


def test_packed_attention_finds_lengths_that_nobody_gave() -> None:
    """On a GPU the host is not asked for lengths beforehand."""
    layer, x = Attention(16, 4), torch.randn(9, 16)
    cu = torch.tensor([0, 4, 9], dtype=torch.int32)
    given = Who.packed(Layout(cu_seqlens=cu, max_seqlen=5))
    assert given.lengths == (4, 5)
    torch.testing.assert_close(layer(x, Who(cu_seqlens=cu, max_seqlen=5)), layer(x, given))


def test_relative_positions_of_packed_tokens_are_refused() -> None:
    encoder = Transformer(SPEC, embedding, depth=1, width=32, heads=4, sees="full", positions="relative", classes=0)
    layout = Layout(cu_seqlens=torch.tensor([0, 4], dtype=torch.int32), max_seqlen=4)
    with pytest.raises(ValueError, match="positions=relative"):
        encoder(Seen(Tokens(torch.randn(4, 6), lattice((2, 2)), layout)))


def test_bias_padding_and_causal_together() -> None:
    layer, x = Attention(16, 4), torch.randn(2, 5, 16)
    bias = torch.randn(1, 4, 5, 5)
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    who = Who(allowed=valid[:, None, None], bias=bias, causal=True)
    short = layer(x[1:, :3], Who(bias=bias[:, :, :3, :3], causal=True))
    torch.testing.assert_close(layer(x, who)[1:, :3], short)


def test_sincos_first_half_is_the_column() -> None:
    table = sincos(lattice((3, 5)), 16)
    omega = 10000.0 ** -(torch.arange(4, dtype=torch.float64) / 4)
    row, column = 2, 3
    expected = torch.cat([(column * omega).sin(), (column * omega).cos(), (row * omega).sin(), (row * omega).cos()])
    torch.testing.assert_close(table[row * 5 + column], expected)


def test_sincos_lookup_equals_direct_for_any_subset() -> None:
    positions, pos = SinCos(32), lattice((4, 6))[torch.tensor([[3, 17], [0, 23]])]
    torch.testing.assert_close(positions(pos, (4, 6)), sincos(pos, 32).float())


def test_sincos_width_error() -> None:
    with pytest.raises(ValueError, match="not divisible by 4"):
        sincos(lattice((2, 2)), 18)


def test_rotary_scores_depend_on_distance_alone() -> None:
    spec = Spec(values=6, axes=1)
    torch.manual_seed(0)
    encoder = Transformer(spec, embedding, depth=1, width=16, heads=2, sees="full", positions="rotary", classes=0)
    values = torch.randn(1, 5, 6)
    near = Tokens(values, torch.arange(5)[None, :, None])
    far = Tokens(values, torch.arange(5)[None, :, None] + 100)
    torch.testing.assert_close(encoder(Seen(near)).tokens, encoder(Seen(far)).tokens, atol=1e-5, rtol=1e-4)
    cos, _ = Rotary(8, 2)(torch.zeros(1, 3, 2), prefix=1)
    assert cos.shape == (1, 4, 8) and (cos[:, 0] == 1).all()


def test_relative_bias_of_a_subset_is_the_subset_of_the_bias() -> None:
    layer = RelativeBias(SPEC, heads=2)
    full = layer(lattice((4, 6))[None], prefix=1)
    pick = torch.tensor([2, 9, 20])
    part = layer(lattice((4, 6))[pick][None], prefix=1)
    with_class = torch.cat([torch.zeros(1, dtype=torch.long), pick + 1])
    torch.testing.assert_close(part, full[:, :, with_class][:, :, :, with_class])
    assert (full[0, :, 5, 9] == full[0, :, 6, 10]).all(), "same offset, same bias"


CUTS = [((4, 6), (2, 3), (0, 0)), ((4, 6), (2, 3), (1, 1)), ((5, 7), (4, 4), (2, 0))]


@pytest.mark.parametrize(("grid", "window", "shift"), CUTS)
def test_windows_join_undoes_split(grid: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]) -> None:
    cut = Windows.fit(grid, window, shift)
    x = torch.randn(3, grid[0] * grid[1], 5)
    assert torch.equal(cut.join(cut.split(x), 3), x)


def test_shifted_windows_do_not_leak_across_the_seam_or_from_padding() -> None:
    """Tokens reached by a gradient lie in the same window, on the same side, and are valid."""
    torch.manual_seed(0)
    block = WindowBlock(BlockSettings(width=8, heads=2), (4, 4), (2, 0))
    x = torch.randn(1, 8 * 4, 8, requires_grad=True)
    valid = torch.ones(1, 32, dtype=torch.bool)
    valid[0, 31] = False
    out = block(x, (8, 4), valid)
    out[0, 0, 0].backward()
    reached = x.grad[0].abs().sum(-1).reshape(8, 4) > 1e-9  # type: ignore[index]
    assert reached[:2].all() and not reached[2:].any(), "row 0 shares a shifted window with rows 6 and 7 only by wrapping"
    x.grad = None
    block(x, (8, 4), valid)[0, 30, 0].backward()
    assert not x.grad[0, 31].any()  # type: ignore[index]


def test_window_with_no_valid_key_gives_numbers() -> None:
    block = WindowBlock(BlockSettings(width=8, heads=2), (2, 2), (0, 0))
    out = block(torch.randn(1, 16, 8), (4, 4), torch.zeros(1, 16, dtype=torch.bool))
    assert torch.isfinite(out).all()


def test_padding_does_not_reach_valid_tokens() -> None:
    torch.manual_seed(0)
    encoder = Transformer(SPEC, embedding, depth=2, width=32, heads=4, sees="full")
    valid = torch.ones(2, 24, dtype=torch.bool)
    valid[1, 18:] = False
    one = tokens(valid=valid)
    changed = Tokens(one.values.masked_fill(~valid[..., None], 7.0), one.pos, one.layout)
    torch.testing.assert_close(encoder(Seen(one)).tokens[valid], encoder(Seen(changed)).tokens[valid])


def test_taps_are_the_blocks_own_tensors() -> None:
    torch.manual_seed(0)
    encoder = Transformer(SPEC, embedding, depth=3, width=32, heads=4, sees="full", final_norm=False).eval()
    seen = Seen(tokens())
    latent = encoder(seen, ["block.-1", "block.0", "mlp.1", "attention.2"])
    torch.testing.assert_close(latent.taps["block.-1"], latent.tokens)
    torch.testing.assert_close(latent.tokens, encoder(seen).tokens)
    assert latent.taps["attention.2"].shape == (2, 4, 25, 25)
    torch.testing.assert_close(latent.taps["attention.2"].sum(-1), torch.ones(2, 4, 25))
    assert latent.taps["mlp.1"].shape == (2, 24, 32)
    with pytest.raises(ValueError, match="expected block.i"):
        encoder(seen, ["block.7"])


def test_generation_order_hides_later_tokens() -> None:
    torch.manual_seed(0)
    encoder = Transformer(SPEC, embedding, depth=2, width=32, heads=4, sees="full", classes=0)
    one = tokens(1)
    order = torch.arange(24)[None] // 6
    values = one.values.clone()
    values[:, 12:] = 0
    seen = [Seen(Tokens(v, one.pos, one.layout), visibility=Visibility(order=order)) for v in (one.values, values)]
    both = [encoder(s).tokens for s in seen]
    torch.testing.assert_close(both[0][:, :12], both[1][:, :12])
    assert not torch.allclose(both[0][:, 12:], both[1][:, 12:])


@pytest.mark.parametrize("norm_place", ["pre", "post"])
@pytest.mark.parametrize("activation", ["gelu", "swiglu", "relu"])
@pytest.mark.parametrize("positions", ["sincos", "learned", "rotary", "relative", "none"])
def test_every_variant_trains(norm_place: str, activation: str, positions: str) -> None:
    encoder = Transformer(
        SPEC, embedding, depth=2, width=32, heads=4, sees="mask_token", positions=positions, norm_place=norm_place,  # type: ignore[arg-type]
        activation=activation, qk_norm=True, layer_scale=0.1, drop_path=0.1, norm="rms", registers=2, qkv_bias="qv",  # type: ignore[arg-type]
    )  # fmt: skip
    mask = from_masked(torch.rand(2, 24).argsort(1) < 12)
    latent = encoder(apply(tokens(), mask, "mask_token"))
    latent.tokens.pow(2).sum().backward()
    silent = [n for n, p in encoder.named_parameters() if p.grad is None]
    assert silent == [] and torch.isfinite(latent.tokens).all()


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer, x = DropPath(0.3), torch.ones(4000, 2, 3)
    out = layer(x)
    assert set(out.flatten(1).std(1).tolist()) == {0.0}
    assert abs(out.mean() - 1) < 0.05
    assert torch.equal(layer.eval()(x), x)


def decoder_view(valid: torch.Tensor | None = None) -> View:
    one = tokens(valid=valid)
    mask = from_noise(torch.rand(2, 24), 0.75, one)
    torch.manual_seed(1)
    encoder = Transformer(SPEC, embedding, depth=1, width=32, heads=4)
    return View(one, one, mask, encoder(apply(one, mask, "visible")))


def test_decoder_regions_agree() -> None:
    """Masked predictions are the same whether masked places or all places are asked for."""
    view = decoder_view()
    for window in (None, 2):
        head = MaeDecoder(SPEC, depth=2, width=32, heads=4, window=window, shift=(1, 1)).eval()
        masked, everywhere = (head(view, view.mask.where(region)) for region in ("masked", "all"))
        index = view.mask.targets[..., None].expand_as(masked)
        torch.testing.assert_close(everywhere.gather(2, index), masked)


def test_decoder_ignores_padding() -> None:
    valid = torch.ones(2, 24, dtype=torch.bool)
    valid[1, 12:] = False
    view = decoder_view(valid)
    assert view.mask.keep_valid is not None and view.mask.target_valid is not None
    for window in (None, 2):
        head = MaeDecoder(SPEC, depth=2, width=32, heads=4, window=window, shift=(1, 0)).eval()
        before = head(view, view.mask.where("masked"))
        view.student.tokens = view.student.tokens.masked_fill(~view.mask.keep_valid[..., None], 3.0)
        after = head(view, view.mask.where("masked"))
        torch.testing.assert_close(before[view.mask.target_valid], after[view.mask.target_valid])


def test_initial_values() -> None:
    layer = nn.Linear(400, 300)
    initialise(layer, "xavier")
    assert abs(layer.weight.std() - (2 / 700) ** 0.5) < 2e-3 and not layer.bias.any()
    initialise(layer, "trunc_normal", 0.02)
    assert layer.weight.abs().max() <= 0.04 and abs(layer.weight.std() - 0.0176) < 1e-3
    encoder = Transformer(SPEC, embedding, depth=2, width=32, heads=4)
    before = encoder.blocks[1].mlp.fc2.weight.clone()  # type: ignore[union-attr]
    rescale_by_depth(encoder.blocks)
    torch.testing.assert_close(encoder.blocks[1].mlp.fc2.weight, before / 2)  # type: ignore[union-attr]


def test_schedules_over_a_run() -> None:
    from maskedmod.core.schedules import Ramp

    linear, cosine, step = Ramp(0.996, 1.0), Ramp(0.0, 1.0, "cosine"), Ramp(0.0, 1.0, "step", steps=3)
    at = [Context(step=s, max_steps=10) for s in (0, 5, 10, 99)]
    assert [linear(c) for c in at] == pytest.approx([0.996, 0.998, 1.0, 1.0])
    assert [cosine(c) for c in at] == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert [step(c) for c in (Context(step=2), Context(step=3))] == [0.0, 1.0]


def test_tables_of_blocks_that_are_equal_are_a_shared_one() -> None:
    made = {}
    for relative in ("shared", "block"):
        torch.manual_seed(0)
        encoder = Transformer(
            SPEC, embedding, depth=2, width=32, heads=4, sees="full", positions="learned", relative=relative, classes=0
        )
        for table in encoder.relative:
            torch.manual_seed(1)
            torch.nn.init.normal_(table.get_parameter("table"))
        made[relative] = encoder
    assert len(made["shared"].relative) == 1 and len(made["block"].relative) == 2
    state = {**made["block"].state_dict(), **{k: v for k, v in made["shared"].state_dict().items() if "relative" not in k}}
    made["block"].load_state_dict(state)
    seen = Seen(tokens())
    shared, own = (made[name](seen, ("bias",)) for name in ("shared", "block"))
    torch.testing.assert_close(shared.tokens, own.tokens)
    assert shared.taps["bias"].shape[1] == 4 and "bias" not in own.taps, "blocks share no bias where each has its own"
    made["block"].relative[1].get_parameter("table").data.zero_()
    assert not torch.allclose(made["block"](seen).tokens, own.tokens)
    with pytest.raises(ValueError, match="one shared table already"):
        Transformer(SPEC, embedding, depth=2, width=32, heads=4, positions="relative", relative="block")

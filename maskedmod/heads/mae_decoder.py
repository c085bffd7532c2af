"""Light Transformer decoder: MAE's decoder, Audio-MAE's windowed one, I-JEPA's predictor."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import take
from maskedmod.layers.attention import QkvBias, Who
from maskedmod.layers.block import Block, BlockSettings, make_norm
from maskedmod.layers.init import Init, initialise, rescale_by_depth
from maskedmod.layers.linear import Linear
from maskedmod.layers.positions import make_positions
from maskedmod.layers.window_attention import WindowBlock


class MaeDecoder(Head):
    """Puts mask tokens at the target positions beside the encoded tokens, adds positions, runs a small Transformer and
    projects its output at the targets (MAE: He et al. 2022, section 3; I-JEPA: Assran et al. 2023, section 3).

    Several target sets (J > 1) are decoded one by one beside the same context, folded into the batch, as I-JEPA does.
    ``window``: ``[t, f]`` or one number: shifted-window blocks on the lattice, every second one shifted by ``shift``
    (Audio-MAE: window 4, shift (2, 0)); prefix tokens are left out then. Needs two grid axes.
    ``refill``: after an encoder that saw mask tokens, put the decoder's own mask token at hidden places (SparK's densifying);
    false decodes what the encoder made of them. ``positions``: sincos, learned, frozen or mlp (of coordinates); ``every_block``:
    they are added to the input of every block (Point-MAE), not for windows or packed tokens. ``embed``: a linear map comes
    first; false: only where ``width`` is not the encoder's. ``prompting``: encoded tokens stay as they are from block to block,
    mask tokens alone are worked on (MILAN, Hou et al. 2022, section 3.2). ``classes``: number of class tokens of its own (0 or 1;
    VQ-KD), not for windows or packed tokens. ``bottleneck``: linear, tanh, linear in the place of the last map (VQ-KD).
    """

    def __init__(
        self,
        spec: Spec,
        depth: int = 8,
        width: int = 512,
        heads: int = 16,
        positions: Literal["sincos", "learned", "frozen", "mlp"] = "sincos",
        every_block: bool = False,
        embed: bool = True,
        window: int | tuple[int, int] | None = None,
        shift: tuple[int, int] = (2, 0),
        refill: bool = False,
        prompting: bool = False,
        classes: int = 0,
        bottleneck: bool = False,
        mlp_ratio: float = 4.0,
        qkv_bias: QkvBias = "all",
        eps: float = 1e-6,
        drop_path: float = 0.0,
        init: Init = "xavier",
        init_std: float = 0.02,
        rescale: bool = False,
    ) -> None:
        super().__init__()
        if depth < 0:
            raise ValueError(f"depth must be 0 or more, not {depth}")
        settings = BlockSettings(width, heads, mlp_ratio, qkv_bias, eps=eps)
        self.embed = Linear(spec.width, width) if embed or spec.width != width else nn.Identity()
        self.positions = make_positions(positions, spec, width, heads)
        self.windowed, self.every_block = window is not None, every_block
        if every_block and self.windowed:
            raise ValueError("mae_decoder.every_block is not for shifted windows")
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        if window is None:
            self.blocks = nn.ModuleList(Block(settings, rate) for rate in rates)
        else:
            if spec.axes != 2:
                raise ValueError(f"mae_decoder.window needs tokens on two axes, this modality has {spec.axes}")
            size = (window, window) if isinstance(window, int) else (window[0], window[1])
            shifts = [(0, 0) if i % 2 == 0 else (shift[0], shift[1]) for i in range(depth)]
            self.blocks = nn.ModuleList(WindowBlock(settings, size, s, r) for s, r in zip(shifts, rates, strict=True))
        self.norm = make_norm("layer", width, eps)
        last = Linear(width, spec.target)
        self.pred = nn.Sequential(Linear(width, width), nn.Tanh(), last) if bottleneck else last
        initialise(self, init, init_std)
        if rescale and window is None:
            rescale_by_depth(self.blocks)
        self.refill, self.prompting = refill, prompting
        if prompting and (window is not None or spec.sees != "visible"):
            raise ValueError("mae_decoder.prompting is for an encoder that sees visible tokens, and without window")
        fills = spec.sees == "visible" or refill
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02) if fills else None
        if classes and self.windowed:
            raise ValueError("mae_decoder.classes is not for shifted windows")
        self.class_token = nn.Parameter(torch.randn(1, classes, width) * 0.02) if classes else None

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[M, J, T, target]`` (packed ``[T, target]``)."""
        if where.index is None:
            raise ValueError("mae_decoder predicts tokens; use an mlp or linear head for region=pooled")
        if view.rows.layout.packed:
            if self.every_block or self.class_token is not None:
                raise ValueError("mae_decoder.every_block and classes are not for packed tokens")
            return self.pred(self._packed(view)[where.index])
        if self.windowed:
            return self.pred(take(self._on_lattice(view), where.index))
        if view.student.index is None:
            return self.pred(take(self._all_tokens(view), where.index))
        decoded = self._beside_context(view)
        if where.index is view.mask.targets:
            return self.pred(decoded[1])
        return self.pred(take(self._spread(view, *decoded), where.index))

    def units(self) -> list[nn.Module]:
        return list(self.blocks)

    def _context(self, view: View) -> tuple[Tensor, Tensor]:
        """Encoded tokens at decoder width, prefix tokens first, and their positions (0 for prefix tokens)."""
        latent, rows = view.student, view.rows
        pos = rows.pos if latent.index is None else take(rows.pos, latent.index)
        x, places = self._refilled(view, self.embed(latent.tokens)), self.positions(pos, rows.layout.grid)
        n = x.shape[1]
        if latent.prefix is not None:
            x = torch.cat([self.embed(latent.prefix), x], dim=1)
        if self.class_token is not None:
            x = torch.cat([self.class_token.to(x.dtype).expand(len(x), -1, -1), x], dim=1)
        return x, nn.functional.pad(places, (0, 0, x.shape[1] - n, 0))

    def _refilled(self, view: View, x: Tensor) -> Tensor:
        if not self.refill or view.student.index is not None:
            return x
        return torch.where(view.mask.hidden[..., None], self._token(x), x)

    def _token(self, x: Tensor) -> Tensor:
        assert self.mask_token is not None, "spec.sees said that the encoder gives all tokens"
        return self.mask_token.to(x.dtype)

    def _run(self, x: Tensor, places: Tensor, valid: Tensor | None, context: int = 0) -> Tensor:
        """``context``: that many tokens, which come first, were encoded."""
        fixed = context if self.prompting else 0
        places = places.to(x.dtype)
        x, added = (x, places) if self.every_block else (x + places, None)
        who = Who(allowed=None if valid is None else valid[:, None, None, :], added=added)
        for block in self.blocks:
            x = torch.cat([x[:, :fixed], block(x, who)[:, fixed:]], dim=1) if fixed else block(x, who)
        return self.norm(x)

    def _beside_context(self, view: View) -> tuple[Tensor, Tensor]:
        """-> decoded context ``[M, J, n, D]`` and targets ``[M, J, T, D]``: the sequence is (prefix, context, targets)."""
        mask, rows = view.mask, view.rows
        m, j, t = mask.targets.shape
        context, places = self._context(view)
        p = context.shape[1] - view.student.tokens.shape[1]
        asked = self.positions(take(rows.pos, mask.targets), rows.layout.grid)
        queries = self._token(context).expand(m, j, t, -1)
        x = torch.cat([context[:, None].expand(-1, j, -1, -1), queries], dim=2).flatten(0, 1)
        places = torch.cat([places.expand(m, -1, -1)[:, None].expand(-1, j, -1, -1), asked], dim=2).flatten(0, 1)
        x = self._run(x, places, self._valid(view, p), context.shape[1]).unflatten(0, (m, j))
        n = x.shape[2] - t
        return x[:, :, p:n], x[:, :, n:]

    def _valid(self, view: View, p: int) -> Tensor | None:
        mask = view.mask
        m, j, t = mask.targets.shape
        if mask.keep_valid is None and mask.target_valid is None:
            return None
        kept = mask.keep_valid
        if kept is None:
            kept = torch.ones_like(mask.keep, dtype=torch.bool)
        kept = nn.functional.pad(kept, (p, 0), value=True)[:, None].expand(-1, j, -1)
        asked = mask.target_valid if mask.target_valid is not None else torch.ones_like(mask.targets, dtype=torch.bool)
        return torch.cat([kept, asked], dim=2).flatten(0, 1)

    def _spread(self, view: View, context: Tensor, targets: Tensor) -> Tensor:
        """Decoded tokens of one target set back on all N positions ``[M, N, D]`` (regions visible and all)."""
        if context.shape[1] != 1:
            raise ValueError("with several target sets only region=masked can be predicted")
        index = torch.cat([view.mask.keep, view.mask.targets[:, 0]], dim=1)
        out = targets.new_zeros(index.shape[0], view.rows.shape[1], targets.shape[-1])
        both = torch.cat([context[:, 0], targets[:, 0]], dim=1)
        return out.scatter(1, index[..., None].expand_as(both), both)

    def _all_tokens(self, view: View) -> Tensor:
        x, places = self._context(view)
        valid, p = view.rows.layout.valid, x.shape[1] - view.student.tokens.shape[1]
        valid = None if valid is None else nn.functional.pad(valid, (p, 0), value=True)
        return self._run(x, places, valid)[:, p:]

    def _on_lattice(self, view: View) -> Tensor:
        """All N positions in order ``[M, N, D]``, through window blocks."""
        grid = view.rows.layout.grid
        if grid is None or len(grid) != 2:
            raise ValueError("mae_decoder.window needs tokens that fill a two-axis lattice")
        x = self._fill(view)
        valid = view.mask.present(view.rows.layout.valid)
        for block in self.blocks:
            x = block(x, (grid[0], grid[1]), valid)
        return self.norm(x)

    def _fill(self, view: View) -> Tensor:
        """Encoded tokens at their places, mask tokens elsewhere, positions added."""
        latent, rows = view.student, view.rows
        x = self.embed(latent.tokens)
        if latent.index is not None:
            m, n = rows.shape
            index = latent.index
            if view.mask.keep_valid is not None:  # padding of the list goes to an extra place that is cut off
                index = torch.where(view.mask.keep_valid, index, n)
            full = self._token(x).expand(m, n + 1, -1)
            x = full.scatter(1, index[..., None].expand_as(x), x)[:, :n]
        x = self._refilled(view, x)
        return x + self.positions(rows.pos, rows.layout.grid).to(x.dtype)

    def _packed(self, view: View) -> Tensor:
        latent, rows = view.student, view.rows
        x = self.embed(latent.tokens)
        if latent.index is not None:
            x = self._token(x).expand(rows.shape[0], -1).index_copy(0, latent.index, x)
        x = self._refilled(view, x)
        x = x + self.positions(rows.pos, rows.layout.grid).to(x.dtype)
        who = Who.packed(rows.layout)
        for block in self.blocks:
            x = block(x, who)
        return self.norm(x)

"""Positions, separable from content: a module that reads coordinates and gives vectors, rotations or attention biases."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from maskedmod.core.spec import Spec

Positions = Literal["sincos", "learned", "frozen", "rotary", "rotary_interleaved", "relative", "mlp", "none"]


def flat_index(pos: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Row-major number of lattice positions: ``[..., A]`` -> ``[...]``."""
    index = pos[..., 0]
    for axis in range(1, len(grid)):
        index = index * grid[axis] + pos[..., axis]
    return index


def sincos(pos: Tensor, width: int, temperature: float = 10000.0) -> Tensor:
    """Fixed sine-cosine vectors of coordinates ``[..., A]`` -> ``[..., width]`` in float64.

    Every axis has width/A channels, all sines then all cosines, the last axis first (MAE: columns, then rows).
    """
    axes = pos.shape[-1]
    if width % (2 * axes):
        raise ValueError(f"sincos positions: width {width} is not divisible by {2 * axes} (2 x {axes} axes)")
    part = width // axes // 2
    omega = temperature ** -(torch.arange(part, dtype=torch.float64, device=pos.device) / part)
    angles = pos.flip(-1).double()[..., None] * omega
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def lattice(grid: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Coordinates of all lattice points in row-major order, int64 ``[N, A]``."""
    axes = [torch.arange(n, device=device) for n in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(grid))


class SinCos(nn.Module):
    """Sine-cosine vectors added to tokens; on a lattice a table is made once per grid and only looked up."""

    def __init__(self, width: int, temperature: float = 10000.0) -> None:
        super().__init__()
        self.width, self.temperature = width, temperature
        self._tables: dict[tuple[tuple[int, ...], torch.device], Tensor] = {}

    def forward(self, pos: Tensor, grid: tuple[int, ...] | None) -> Tensor:
        """pos ``[..., A]`` -> ``[..., width]`` float32."""
        if grid is None or pos.is_floating_point():
            return sincos(pos, self.width, self.temperature).float()
        key = (grid, pos.device)
        if key not in self._tables:
            self._tables[key] = sincos(lattice(grid, pos.device), self.width, self.temperature).float()
        return self._tables[key][flat_index(pos, grid)]


class Table(nn.Module):
    """One vector per lattice point: learned, or frozen (a published table that a checkpoint brings along).

    ``length``: for sequences, whose lattice is not fixed: the longest one. ``offset``: rows before that of position 0 (ESM-1b
    and RoBERTa have 2: one that is not used and one of padding)."""

    def __init__(self, spec: Spec, width: int, frozen: bool, length: int | None = None, offset: int = 0) -> None:
        super().__init__()
        grid = spec.grid if length is None or spec.grid is not None else (length,)
        if grid is None:
            raise ValueError(
                "learned positions need a modality of fixed size (a grid), or encoder.max_length; or use sincos or rotary"
            )
        self.grid, self.offset = grid, offset
        start = torch.zeros(math.prod(grid) + offset, width)
        if frozen:
            self.register_buffer("table", start)
        else:
            self.table = nn.Parameter(nn.init.trunc_normal_(start, std=0.02))

    def forward(self, pos: Tensor, grid: tuple[int, ...] | None) -> Tensor:
        """pos int64 ``[..., A]`` -> ``[..., width]``."""
        if grid is not None and grid != self.grid:
            raise ValueError(f"position table is for a grid of {self.grid}, tokens lie on {grid}")
        return self.table[flat_index(pos, self.grid) + self.offset]

    def check(self, longest: int) -> None:
        """ValueError when a packed sequence has more positions than the table."""
        if longest > self.grid[0]:
            raise ValueError(f"a sequence of {longest} tokens, ends included: this model has learned {self.grid[0]} positions")


class PositionMlp(nn.Module):
    """Vectors made of coordinates by two linear layers with a GELU between them, for tokens at places in space (Point-BERT, Yu et
    al. 2022, section 3.1; Point-MAE, Pang et al. 2022, section 3.2)."""

    def __init__(self, axes: int, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(axes, hidden), nn.Linear(hidden, width)

    def forward(self, pos: Tensor, grid: tuple[int, ...] | None = None) -> Tensor:
        """pos ``[..., A]`` -> ``[..., width]``."""
        return self.fc2(nn.functional.gelu(self.fc1(pos.to(self.fc1.weight.dtype))))  # type: ignore[no-any-return]


class Rotary(nn.Module):
    """Angles for rotary attention (Su et al. 2021); several axes share the head width evenly (axial).

    ``inv_freq`` float32 is saved with the weights: published models hold values that were rounded in training.
    """

    def __init__(self, head_width: int, axes: int, base: float = 10000.0) -> None:
        super().__init__()
        if head_width % (2 * axes):
            raise ValueError(f"rotary positions: head width {head_width} is not divisible by {2 * axes} (2 x {axes} axes)")
        part = head_width // (2 * axes)
        self.register_buffer("inv_freq", base ** -(torch.arange(part, dtype=torch.float32) / part))

    def forward(self, pos: Tensor, prefix: int) -> tuple[Tensor, Tensor]:
        """pos ``[..., n, A]`` -> cos and sin ``[..., prefix + n, head_width]``; prefix tokens are not rotated."""
        inv_freq = self.get_buffer("inv_freq")
        angles = (pos.float()[..., None] * inv_freq).flatten(-2)
        if prefix:
            angles = torch.cat([angles.new_zeros(*angles.shape[:-2], prefix, angles.shape[-1]), angles], dim=-2)
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


class RelativeBias(nn.Module):
    """Learned attention bias per head and lattice offset (Swin, BEiT), shared by all blocks of an encoder.

    ``table`` ``[prod(2 g - 1) + 3, heads]``; the last three rows are class->token, token->class, class->class.
    """

    def __init__(self, spec: Spec, heads: int) -> None:
        super().__init__()
        if spec.grid is None:
            raise ValueError("relative positions need a modality of fixed size (a grid); use rotary")
        self.grid = spec.grid
        self.offsets = math.prod(2 * g - 1 for g in spec.grid)
        self.table = nn.Parameter(nn.init.trunc_normal_(torch.zeros(self.offsets + 3, heads), std=0.02))

    def forward(self, pos: Tensor, prefix: int) -> Tensor:
        """pos int64 ``[M, n, A]`` -> bias ``[M or 1, heads, prefix + n, prefix + n]``; M is 1 when all rows share positions."""
        if pos.ndim == 3 and (pos.shape[0] == 1 or pos.stride(0) == 0):
            pos = pos[:1]
        sizes = torch.tensor([2 * g - 1 for g in self.grid], device=pos.device)
        delta = pos[:, :, None] - pos[:, None] + sizes // 2
        index = flat_index(delta, tuple(2 * g - 1 for g in self.grid))
        if prefix:
            index = nn.functional.pad(index, (prefix, 0, prefix, 0))
            index[:, :prefix, prefix:] = self.offsets
            index[:, prefix:, :prefix] = self.offsets + 1
            index[:, :prefix, :prefix] = self.offsets + 2
        return self.table[index].permute(0, 3, 1, 2)


def make_positions(
    kind: Positions, spec: Spec, width: int, heads: int, length: int | None = None, offset: int = 0, hidden: int = 128
) -> nn.Module:
    """The module of a kind; ``length`` and ``offset`` as in Table, ``hidden`` as in PositionMlp. Identity for none."""
    if kind == "sincos":
        return SinCos(width)
    if kind in ("learned", "frozen"):
        return Table(spec, width, kind == "frozen", length, offset)
    if kind in ("rotary", "rotary_interleaved"):
        return Rotary(width // heads, spec.axes)
    if kind == "relative":
        return RelativeBias(spec, heads)
    if kind == "mlp":
        return PositionMlp(spec.axes, width, hidden)
    return nn.Identity()

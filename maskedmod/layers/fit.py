"""Tensors of a model for other sizes of input: position tables, relative biases, patch embeddings."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.errors import UserError
from maskedmod.layers.positions import RelativeBias, Table

Resize = Literal["bicubic", "bilinear", "nearest"]
RESIZES = ("bicubic", "bilinear", "nearest")
CHANNELS = ("mean", "sum", "repeat")
Grid = tuple[int, ...]


def interpolate(rows: Tensor, old: Grid, new: Grid, how: Resize) -> Tensor:
    """Rows ``[old positions, D]`` of a lattice with one or two axes -> ``[new positions, D]``, in float32; antialiased where the
    lattice shrinks. UserError for more axes."""
    if len(old) != len(new) or len(old) > 2:
        raise UserError(f"positions of a lattice {old} cannot be resized to {new}")
    field = rows.float().T.reshape(1, rows.shape[1], *(old if len(old) == 2 else (1, *old)))
    size = new if len(new) == 2 else (1, *new)
    smooth = how != "nearest"
    out = F.interpolate(field, size, mode=how, **({"align_corners": False, "antialias": True} if smooth else {}))
    return out.flatten(2)[0].T.to(rows.dtype).contiguous()


def table(rows: Tensor, old: Grid, new: Grid, how: Resize, offset: int = 0) -> Tensor:
    """A position table, whose first ``offset`` rows stand for no place and are kept."""
    return torch.cat([rows[:offset], interpolate(rows[offset:], old, new, how)])


def bias(rows: Tensor, old: Grid, new: Grid, how: Resize) -> Tensor:
    """A table of relative biases ``[prod(2 g - 1) + 3, heads]``: its lattice of offsets is resized, the last three rows stay."""
    return torch.cat([interpolate(rows[:-3], _offsets(old), _offsets(new), how), rows[-3:]])


def _offsets(grid: Grid) -> Grid:
    return tuple(2 * g - 1 for g in grid)


def patches(weight: Tensor, old: Grid, new: Grid, channels: int, how: Resize) -> Tensor:
    """A patch embedding ``[D, ph * pw * C]`` for patches of another size, so that what it makes of a resized patch is as near as
    can be to what it made of the patch: the pseudo-inverse of the resizing (FlexiViT, Beyer et al. 2023, section 3.4)."""
    pixels = math.prod(old)
    unit = torch.eye(pixels, dtype=torch.float64).reshape(pixels, 1, *old)
    smooth = how != "nearest"
    spread = F.interpolate(unit, new, mode=how, **({"align_corners": False, "antialias": True} if smooth else {}))
    back = torch.linalg.pinv(spread.reshape(pixels, -1))  # [new pixels, old pixels]
    kernel = weight.double().reshape(len(weight), pixels, channels)
    return torch.einsum("no,doc->dnc", back, kernel).reshape(len(weight), -1).to(weight.dtype)


def bands(weight: Tensor, old: int, new: int, how: str) -> Tensor:
    """A patch embedding ``[D, ph * pw * old]`` for ``new`` channels. ``sum``: one channel sees the sum of all (a grey picture
    repeated as RGB gives the same); ``mean``: every channel gets the mean kernel times old / new; ``repeat``: the kernels in
    turn, times old / new (timm)."""
    kernel = weight.reshape(len(weight), -1, old)
    if how == "sum":
        if new != 1:
            raise UserError(f"init.channels=sum is for 1 channel, the model has {new}; use mean or repeat")
        return kernel.sum(-1)
    if how == "mean":
        taken = kernel.mean(-1, keepdim=True).expand(-1, -1, new)
    else:
        taken = kernel[..., torch.arange(new) % old]
    return (taken * (old / new)).reshape(len(weight), -1)


def refit(encoder: nn.Module, grid: Grid, how: Resize | None) -> bool:
    """Position tables of an encoder for another lattice, in place; whether there was anything to do. ``how`` None: UserError when
    there is."""
    done = False
    for name, module in encoder.named_modules():
        if not isinstance(module, Table | RelativeBias) or module.grid == grid:
            continue
        if how is None:
            raise UserError(f"{name} is for a lattice of {module.grid}, the tokens lie on {grid}; resize=bicubic would fit it")
        _refit(module, grid, how)
        done = True
    return done


def _refit(module: Any, grid: Grid, how: Resize) -> None:
    old = module.table.detach()
    if isinstance(module, Table):
        new = table(old, module.grid, grid, how, module.offset)
    else:
        new, module.offsets = bias(old, module.grid, grid, how), math.prod(_offsets(grid))
    if isinstance(module.table, nn.Parameter):
        module.table = nn.Parameter(new, requires_grad=module.table.requires_grad)
    else:
        module.table = new
    module.grid = grid

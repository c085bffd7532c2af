"""Cut images into patches and lay patches back."""

from __future__ import annotations

from torch import Tensor


def pair(name: str, size: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """``16`` or ``(height, width)``; ValueError for anything else or below 1."""
    both = (size, size) if isinstance(size, int) else tuple(size)
    if len(both) != 2 or any(not isinstance(x, int) or x < 1 for x in both):
        raise ValueError(f"{name} is {size!r}; expected a positive number or (height, width)")
    return both


def patchify(image: Tensor, patch: tuple[int, int]) -> Tensor:
    """``[B, C, H, W]`` -> ``[B, N, ph*pw*C]``: patches row by row, and inside a patch (row, column, channel), channel fastest,
    as in MAE (He et al. 2022). ValueError where patches do not fill the image."""
    b, c, height, width = image.shape
    ph, pw = patch
    if height % ph or width % pw:
        raise ValueError(f"an image of {height} x {width} is not filled by patches of {ph} x {pw}")
    cut = image.reshape(b, c, height // ph, ph, width // pw, pw)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, ph * pw * c)


def unpatchify(values: Tensor, grid: tuple[int, int], patch: tuple[int, int], channels: int) -> Tensor:
    """Inverse of patchify: ``[B, N, ph*pw*C]`` -> ``[B, C, H, W]``; ``grid``: patches in a column and in a row."""
    (h, w), (ph, pw) = grid, patch
    cut = values.reshape(len(values), h, w, ph, pw, channels)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(len(values), channels, h * ph, w * pw)

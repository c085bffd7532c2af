"""The sizes that blocks need of one another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """Widths and sizes that blocks need of one another, so that none is written twice in a recipe.

    ``values``: P, numbers per token; ``axes``: A, position axes; ``grid``: lattice when it is fixed; ``vocab``: number of ids
    when tokens are ids; ``patch``: extent of a token on each axis; ``channels``; ``width``: D of the encoder;
    ``sees``: how the encoder's input is masked (its latent is partial when ``visible``); ``teacher``: D of the teacher;
    ``target``: width of the target (or number of classes). ``categories``: where a token has several ids (values int64
    ``[..., C]``), how many values each has; ``edge_categories``: the same of the attributes of edges. ``levels``: D of every
    level of a pyramid encoder, finest first.
    """

    values: int
    axes: int
    grid: tuple[int, ...] | None = None
    vocab: int | None = None
    patch: tuple[int, ...] = ()
    channels: int = 1
    width: int = 0
    sees: str = "visible"
    teacher: int = 0
    target: int = 0
    categories: tuple[int, ...] = ()
    edge_categories: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()

"""What every head promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.mask_set import Where
from maskedmod.core.step import View
from maskedmod.core.tokens import take


class Head(nn.Module, ABC):
    """Base of heads, built as ``block(spec, **arguments)``; ``spec.width`` comes in, ``spec.target`` goes out.
    ``taps``: what the head wants from the encoder beside its output. ``reads_hidden``: it has no decoder of its own, so the
    encoder must have seen something at every position that is predicted."""

    taps: Sequence[str] = ()
    reads_hidden: bool = False

    @abstractmethod
    def forward(self, view: View, where: Where) -> Tensor:
        """Predictions at ``where``: dense ``[M, J, T, out]``, packed ``[T, out]``, pooled ``[M, out]``."""

    def bind(self, encoder: Encoder) -> None:
        """Called once when the model is put together; for heads that share parameters with the encoder."""

    def join(self, heads: Mapping[str, Head]) -> None:
        """Called once with the heads of all objectives by name; for heads that share parameters with another."""

    def units(self) -> list[nn.Module]:
        """Sub-modules to compile, shard and checkpoint one by one."""
        return []


def encoded_at(view: View, where: Where) -> Tensor:
    """Encoder output at ``where``: dense ``[M, J, T, D]``, packed ``[T, D]``, pooled ``[M, D]``; for heads without a decoder."""
    student = view.student
    if where.index is None:
        return student.pooled()
    if student.index is None:
        return take(student.tokens, where.index)
    if where.index.shape[-1] == student.index.shape[-1] and where.index.data_ptr() == student.index.data_ptr():
        return student.tokens if student.index.ndim == 1 else student.tokens[:, None]
    raise ValueError(
        "this head reads hidden positions, but the encoder saw visible tokens only: use encoder.sees=mask_token, "
        "region=visible, or head=mae_decoder"
    )

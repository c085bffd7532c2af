"""The encoder as a plain ``nn.Module``, for people's own heads and training loops."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.context import Context
from maskedmod.core.modality import Modality
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError, one_line
from maskedmod.features.vectors import Pool, features


class Backbone(nn.Module):
    """``forward(signal) -> [B, width]`` (``[B, N, width]`` with ``pool="none"``), differentiable.

    ``signal``: the normalised signal on the module's device, as the modality's ``prepare`` makes it: for images
    ``[B, C, H, W]``, for audio the log-mel ``[B, T, F]``; or a whole batch, a dict, collated (it is then prepared, augmented in
    training mode when the modality has an augmentation) or already prepared. ``pool`` and ``layer`` as in ``embed``.
    ``width``: D. The parameters are those of the loaded model: training this module trains it.
    """

    def __init__(self, encoder: Encoder, modality: Modality, pool: Pool = "mean", layer: int | None = None) -> None:
        super().__init__()
        self.features = features(encoder, modality, pool, layer)
        self.encoder, self.width = encoder, encoder.width
        object.__setattr__(self, "modality", modality)  # no part of this module: it has nothing to train or to move

    modality: Modality

    def forward(self, signal: Tensor | dict[str, Any]) -> Tensor:
        """See the class. UserError for a signal that does not fit the modality."""
        return self.features(self.encoder, self.tokens(signal), self.modality)

    def tokens(self, signal: Tensor | dict[str, Any]) -> Tokens:
        """The tokens of a signal or batch."""
        key, name = self.modality.signal, type(self.modality).__name__
        if isinstance(signal, Tensor):
            if not key:
                raise UserError(f"{name}: give the batch, a dict; its signal is no single tensor")
            return self._of_tensor({key: signal}, signal, name)
        if not isinstance(signal, dict):
            raise UserError(f"encoder: {type(signal).__name__} is no normalised signal; embed takes files, pictures and arrays")
        if not key or key not in signal:
            signal = self.modality.prepare(signal, Context(training=self.encoder.training))
        return _main(self.modality.tokenize(signal))

    def _of_tensor(self, batch: dict[str, Any], signal: Tensor, name: str) -> Tokens:
        """Tokens of a bare tensor, which may have any shape and type."""
        if not signal.is_floating_point():
            raise UserError(f"encoder: a signal of {signal.dtype}; expected normalised floats. embed takes pixels and samples")
        try:
            found = _main(self.modality.tokenize(batch))
        except (ValueError, RuntimeError, IndexError) as error:
            raise UserError(
                f"encoder: a signal of shape {list(signal.shape)} does not fit {name}: {one_line(str(error))}"
            ) from None
        wanted = self.modality.spec.values
        if self.modality.spec.vocab is None and found.values.shape[-1] != wanted:
            have = f"has {found.values.shape[-1]} values a token, the model {wanted}"
            raise UserError(f"encoder: a signal of shape {list(signal.shape)} {have}: another number of channels?")
        return found


def _main(views: dict[str, Tokens]) -> Tokens:
    return views["main"] if "main" in views else next(iter(views.values()))

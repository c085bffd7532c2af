"""A masked batch with its predictions: a value, which ``dense`` and ``packed`` make and ``grid`` draws."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from maskedmod.core.modality import Modality
from maskedmod.core.tokens import Tokens


@dataclass
class Reconstruction:
    """One masked batch with its predictions; of several masks per sample the first.

    ``tokens``: B samples, their ``values`` are the original. ``hidden`` bool ``[B, N]``: not seen by the encoder; ``blocks``
    bool ``[B, J, N]``: the target sets. ``filled`` / ``predicted``: token values ``[B, N, P]`` with the predicted places
    replaced by the mean and by the prediction; None when the target cannot be drawn. ``token_error`` ``[B, N]`` mean squared
    error in target space, NaN where nothing was predicted; ``error`` and ``mean_error`` ``[B]``: its mean over these places
    for the prediction and for the mean. ``sure`` ``[L, 2]``, of packed ids: probabilities of what was predicted and of the
    truth, NaN elsewhere. ``discrete`` targets: cross entropy, and no mean; ``unordered`` ones: the loss. ``note``:
    what a caption must say, ``title``: what was loaded. Pictures of it are made by ``grid`` and shown by ``display``.
    """

    modality: Modality
    tokens: Tokens
    hidden: Tensor
    blocks: Tensor
    token_error: Tensor
    error: Tensor
    mean_error: Tensor | None
    filled: Tensor | None = None
    predicted: Tensor | None = None
    objective: str = "main"
    discrete: bool = False
    unordered: bool = False
    note: str = ""
    sure: Tensor | None = None
    title: str = ""

    def __repr__(self) -> str:
        mean = "" if self.mean_error_all is None else f", the mean's {self.mean_error_all:.3g}"
        return f"Reconstruction({self.tokens.batch} samples, {self.objective}: error {self.error_all:.3g}{mean})"

    @property
    def error_all(self) -> float:
        """Mean over samples of the prediction's error."""
        return float(self.error.nanmean())

    @property
    def mean_error_all(self) -> float | None:
        """Mean over samples of the error of the mean-fill."""
        return None if self.mean_error is None else float(self.mean_error.nanmean())

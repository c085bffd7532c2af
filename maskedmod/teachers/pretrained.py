"""A trained encoder by name, frozen: a published checkpoint, or a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.teacher import Checkpoints, NoCheckpoints, Teacher
from maskedmod.core.latent import Latent
from maskedmod.core.modality import Modality
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError
from maskedmod.layers.fit import refit


class Pretrained(Teacher):
    """Whatever ``maskedmod.load`` reads, seen through its encoder (CLIP, DINOv2, a MAE, a tokenizer that was trained here).

    ``checkpoint``: a name on the hub, a file, a folder, or a run folder. ``width``: of its features; with it the weights are read
    when they are first needed, so that a recipe can be looked at without them. ``settings``: of the checkpoint's layout.
    ``taps``: further taps that are always given (a mask that reads ``attention.-1``). ``resize``: how its position table is
    fitted to another lattice: bicubic, bilinear or nearest; null: it must fit.

    Tokens of a lattice become the signal again, which is normalised as the teacher was trained, scaled (bicubic) so that its
    tokens lie one to one on the student's, and cut as the teacher cuts it. Other tokens must be of the teacher's kind.
    The weights are no part of the model: they are neither saved, trained nor counted, and are read again from ``checkpoint``.
    """

    def __init__(
        self,
        spec: Spec,
        student: Encoder,
        checkpoint: str,
        width: int | None = None,
        settings: dict[str, Any] | None = None,
        taps: tuple[str, ...] = (),
        resize: Literal["bicubic", "bilinear", "nearest"] | None = None,
    ) -> None:
        super().__init__()
        self.checkpoint, self.settings, self.taps, self.resize = checkpoint, settings or {}, taps, resize
        self.grid = spec.grid
        self._modality: list[Modality] = []
        self._held: list[Any] = []  # the loaded model; a list, so that the weights are no part of the model
        self._checkpoints: Checkpoints = NoCheckpoints()
        self.width = width or 0

    def read(self, checkpoints: Checkpoints) -> None:
        """The weights, where the width of their features was not given; else they are read when they are first needed."""
        self._checkpoints = checkpoints
        if not self.width:
            self.width = self._teacher(torch.device("cpu")).model.encoder.width

    def bind(self, modality: Modality) -> None:
        """What the student's tokens are made by; a list, as it belongs to the model and not to its teacher."""
        self._modality = [modality]

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """-> features of all tokens ``[B, N, D]``, the tap ``codes`` where the teacher is a tokenizer."""
        tokens = seen.tokens
        if tokens.values.is_meta:
            raise NotImplementedError(f"the frozen teacher {self.checkpoint} would have to be fetched or read")
        loaded = self._teacher(tokens.values.device)
        latent = loaded.model.encoder(replace(seen, tokens=self._given(loaded.modality, tokens)), [*taps, *self.taps])
        if latent.tokens.shape[-1] != self.width:
            raise UserError(
                f"teacher {self.checkpoint} has features of width {latent.tokens.shape[-1]}, teacher.width is {self.width}"
            )
        return latent

    def _teacher(self, device: torch.device) -> Any:
        """The loaded model, on the device of the tokens."""
        if not self._held:
            with torch.device("cpu"), torch.random.fork_rng(devices=[]):  # what is drawn here is nobody's
                loaded = self._checkpoints.load(self.checkpoint, self.settings)
            if self.grid is not None and loaded.modality.spec.grid is not None:
                refit(loaded.model.encoder, self.grid, self.resize)
            loaded.model.requires_grad_(False)
            self._held.append(loaded)
        loaded = self._held[0]
        if loaded.device != device:
            loaded.to(device)
        return loaded

    def _given(self, teacher: Modality, tokens: Tokens) -> Tokens:
        """The student's tokens as the teacher's."""
        (student,) = self._modality
        here, there, grid = student.spec, teacher.spec, tokens.layout.grid
        if grid is None or len(grid) != 2 or there.patch is None or not teacher.signal:
            if (here.values, here.vocab) != (there.values, there.vocab):
                raise UserError(f"teacher {self.checkpoint} reads other tokens than the student's modality makes")
            return tokens
        if here.channels != there.channels:
            raise UserError(f"teacher {self.checkpoint} sees {there.channels} channels, the student {here.channels}")
        signal = student.untokenize(tokens.values.float().flatten(2), tokens)
        signal = _normalised(signal, student.statistics, teacher.statistics)
        size = [g * p for g, p in zip(grid, there.patch, strict=True)]
        if list(signal.shape[-2:]) != size:
            signal = F.interpolate(signal, size, mode="bicubic", antialias=True)
        return next(iter(teacher.tokenize({teacher.signal: signal}).values()))


def _normalised(signal: Tensor, student: dict[str, Any], teacher: dict[str, Any]) -> Tensor:
    """From the student's mean and deviation of each channel to the teacher's, where both have them."""
    pairs = [(found.get("mean"), found.get("std")) for found in (student, teacher)]
    if pairs[0] == pairs[1] or any(not isinstance(part, list | tuple) for pair in pairs for part in pair):
        return signal
    (m, s), (mean, std) = (tuple(torch.tensor(x, device=signal.device).reshape(-1, 1, 1) for x in pair) for pair in pairs)
    return (signal * s + m - mean) / std

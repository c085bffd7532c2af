"""A teacher that does not change."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.teacher import Checkpoints, Teacher
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec


class Frozen(Teacher):
    """The student's architecture with weights of an earlier run, or its random start (``checkpoint: null``, dBOT's first stage).

    ``checkpoint``: a run folder, or a ``model.safetensors`` of a run; its ``encoder.*`` keys are used, all of them and no others.
    ``taps``: further taps that are always given (a mask that reads ``attention.-1``).
    """

    def __init__(self, spec: Spec, student: Encoder, checkpoint: str | None = None, taps: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.taps = taps
        self.encoder = copy.deepcopy(student).requires_grad_(False)
        self.width = student.width
        self.unread = checkpoint

    def read(self, checkpoints: Checkpoints) -> None:
        """The weights of the checkpoint. ValueError for a file that is not there, and for weights of another encoder."""
        if self.unread is None:
            return
        file, weights = checkpoints.weights(self.unread, "encoder.")
        missing, unexpected = self.encoder.load_state_dict(weights, strict=False)
        if missing or unexpected:
            raise ValueError(f"teacher.checkpoint {file}: missing keys {missing[:5]}, unexpected {unexpected[:5]}")
        self.unread = None

    def train(self, mode: bool = True) -> Frozen:
        """A teacher never drops anything."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        assert self.unread is None, "a frozen teacher is read before it is used"
        return self.encoder(seen, [*taps, *self.taps])

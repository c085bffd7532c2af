"""A tokenizer that was trained before: its codes are what the student predicts."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.teacher import Checkpoints, Teacher
from maskedmod.core.latent import Latent
from maskedmod.core.spec import Spec
from maskedmod.encoders.gin_codes import GinCodes
from maskedmod.encoders.point_codes import PointCodes
from maskedmod.encoders.transformer import Transformer
from maskedmod.encoders.vq_transformer import VqTransformer
from maskedmod.layers.positions import PositionMlp


class Tokenizer(Teacher):
    """The encoder of an earlier run, whatever its recipe was, which sees everything and never changes.

    ``checkpoint``: the folder of that run (``recipe=mole_bert_tokenizer``, ``vq_kd``, ``point_bert_tokenizer``); ``random``:
    codes of a network that learned nothing, of the student's size, for trying out. ``in_training``: in training it normalises by
    the batch and goes on measuring it, as Mole-BERT's released code does, which never leaves the mode of training. UserError when
    nothing is named, and for a run without codebook.
    """

    def __init__(self, spec: Spec, student: Encoder, checkpoint: str | None = None, in_training: bool = False) -> None:
        super().__init__()
        if checkpoint is None:
            raise ValueError(
                "teacher.checkpoint is missing: name the run of a tokenizer, such as recipe=vq_kd or point_bert_tokenizer"
            )
        self.checkpoint, self.in_training = checkpoint, in_training
        if checkpoint == "random":
            self._take(_untrained(spec, student))

    def read(self, checkpoints: Checkpoints) -> None:
        """The encoder of the run. ValueError for one without codebook."""
        if self.checkpoint == "random":
            return
        encoder = checkpoints.load(self.checkpoint).model.encoder
        if not hasattr(encoder, "book"):
            kind = type(encoder).__name__
            raise ValueError(f"teacher.checkpoint={self.checkpoint} has the encoder {kind}, which has no codebook")
        self._take(encoder)

    def _take(self, encoder: Encoder) -> None:
        self.encoder = encoder.requires_grad_(False)
        self.width = encoder.width

    def train(self, mode: bool = True) -> Tokenizer:
        """A teacher normalises by what it learned, not by the batch, unless ``in_training``."""
        super().train(mode)
        self.encoder.train(mode and self.in_training)
        return self

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Its taps are always there: ``codes``, ``vectors``, ``code_vectors``."""
        return self.encoder(seen, [tap for tap in taps if tap.startswith("block")])


def _untrained(spec: Spec, student: Encoder) -> Encoder:
    embed = student.get_submodule("embed")
    if isinstance(student, Transformer) and isinstance(student.positions, PositionMlp):
        return PointCodes(spec, lambda width: copy.deepcopy(embed), student.width)
    if isinstance(student, Transformer):
        return VqTransformer(spec, lambda width: copy.deepcopy(embed), student.depth(), student.width, student.heads)
    return GinCodes(spec, lambda width: copy.deepcopy(embed), len(student.units()), student.width)

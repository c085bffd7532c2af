"""Two teachers in one: a tokenizer's codes, and a moving average of the student under a mask of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.teacher import Checkpoints
from maskedmod.core.latent import Latent
from maskedmod.core.schedules import Ramp
from maskedmod.core.spec import Spec
from maskedmod.teachers.ema import Ema
from maskedmod.teachers.tokenizer import Tokenizer


class TokenizerAndAverage(Ema):
    """What Point-BERT learns from (Yu et al. 2022, section 3.3): ``teacher=tokenizer`` with ``checkpoint``, which sees
    everything, and ``teacher=ema`` with ``momentum``, which sees what another draw of the mask leaves and is in_training. The
    latent is the average's, with the tokenizer's taps. ``in_training``: the tokenizer normalises by the batch too, as in the
    released code. Mixed views are not looked at: their codes and keys are those of what they are mixed from.
    """

    views = ("main",)

    def __init__(
        self,
        spec: Spec,
        student: Encoder,
        checkpoint: str | None = None,
        momentum: float | Ramp = 0.999,
        in_training: bool = False,
    ) -> None:
        super().__init__(spec, student, momentum, "own", in_training=True)
        self.tokenizer = Tokenizer(spec, student, checkpoint, in_training)

    def train(self, mode: bool = True) -> TokenizerAndAverage:
        """Each as it is by itself."""
        super().train(mode)
        self.tokenizer.train(mode)
        return self

    def read(self, checkpoints: Checkpoints) -> None:
        """The encoder of the tokenizer's run."""
        self.tokenizer.read(checkpoints)

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        """Of what ``seen`` hides, and of all that it was made of."""
        codes = self.tokenizer(Seen(seen.whole or seen.tokens))
        latent = super().forward(seen, taps)
        return replace(latent, taps={**latent.taps, **codes.taps})

"""A teacher that does not change."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open

from maskedmod.core.apply import Seen
from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.blocks.teacher import Teacher
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
        if checkpoint is not None:
            self._load(Path(checkpoint))

    def train(self, mode: bool = True) -> Frozen:
        """A teacher never drops anything."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, seen: Seen, taps: Sequence[str] = ()) -> Latent:
        return self.encoder(seen, [*taps, *self.taps])

    def _load(self, path: Path) -> None:
        if (path / "recipe.yaml").is_file():
            from maskedmod.zoo.run_folder import find

            path = find(path)[1] / "model.safetensors"
        if not path.is_file():
            raise ValueError(f"teacher.checkpoint: no file {path}; expected the model.safetensors of a run, or its folder")
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
            weights = {key.removeprefix("encoder."): file.get_tensor(key) for key in keys if key.startswith("encoder.")}
        missing, unexpected = self.encoder.load_state_dict(weights, strict=False)
        if missing or unexpected:
            raise ValueError(f"teacher.checkpoint {path}: missing keys {missing[:5]}, unexpected {unexpected[:5]}")

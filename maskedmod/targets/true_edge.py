"""The edge that was there, among others that were not."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.context import Step
from maskedmod.masks.generation import generated
from maskedmod.targets import Target
from maskedmod.tokens import Spec, Where


class TrueEdge(Target):
    """Of ``candidates`` that ``head=edge_match`` scores for every removed edge the first, as a probability of 1 (GPT-GNN, Hu et
    al. 2020, eq. 6). For ``mask=generation``."""

    def __init__(self, spec: Spec, candidates: int = 512) -> None:
        super().__init__()
        if candidates < 2:
            raise ValueError(f"target.candidates={candidates}: expected 2 or more, the true one among them")
        self.width = candidates

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> float ``[U, candidates]``."""
        removed = generated(step.views[view].mask).removed
        assert removed is not None
        return torch.zeros(removed.shape[1], self.width, device=removed.device).index_fill(
            1, torch.zeros(1, dtype=torch.long, device=removed.device), 1.0
        )

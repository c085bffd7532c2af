"""Weighted nearest neighbours, as in DINO (Caron et al. 2021, appendix F.1) and iBOT (Zhou et al. 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from maskedmod.errors import UserError
from maskedmod.evaluate.probes.probe import Known, Probe


class Knn(Probe):
    """The ``k`` training samples of highest cosine similarity s vote for their classes with weight exp(s / ``temperature``).
    ``k`` is fixed beforehand (20, the best one of DINO's), not chosen on the test part."""

    tasks = ("classes",)
    draws = False

    def __init__(self, k: int = 20, temperature: float = 0.07) -> None:
        if k < 1 or temperature <= 0:
            raise UserError(f"k={k}, temperature={temperature}: k must be at least 1 and temperature above 0")
        self.k, self.temperature = k, temperature

    def predict(self, known: Known, test: Tensor, seed: int) -> tuple[Tensor, dict[str, Any]]:
        k = min(self.k, len(known.x))
        bank, query = F.normalize(known.x, dim=1), F.normalize(test, dim=1)
        votes = []
        for part in query.split(1024):
            similar, index = (part @ bank.T).topk(k, dim=1)
            weight = ((similar - 1) / self.temperature).exp()  # exp(s / T) up to a constant, safe for a small T
            score = torch.zeros(len(part), len(known.labels.names))
            votes.append(score.scatter_add_(1, known.labels.y[index], weight))
        return torch.cat(votes), {"k": k, "temperature": self.temperature}

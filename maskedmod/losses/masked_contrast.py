"""Samples told apart under two masks, and the two masks told apart by how much they hide."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.loss import Loss, Reduce
from maskedmod.core.spec import Spec


class MaskedContrast(Loss):
    """Triplet masked contrastive learning (Mole-BERT, Xia et al. 2023, section 3.3), for rows with ``target=instance``: mask 0
    hides nothing, mask 1 little, mask 2 more.

    Masks 1 and 2 of a sample attract, other samples under mask 2 repel: ``-log(exp(s_ii / T) / sum of exp(s_ij / T))`` over j
    other than i, with cosines s and ``temperature`` T (released code: the positive is not in the sum). ``triplet`` times
    ``max(0, |z0 - z1| - |z0 - z2| + margin)``: the whole sample lies nearer to what hides less; no gradient to z0.
    A batch of one sample has no others, and no contrast. ``order``: numbers of the masks that hide nothing, little and more.
    """

    def __init__(
        self,
        spec: Spec,
        temperature: float = 0.1,
        triplet: float = 0.1,
        margin: float = 0.0,
        reduce: Reduce = "token_mean",
        order: tuple[int, int, int] = (0, 1, 2),
    ) -> None:
        super().__init__()
        if sorted(order) != [0, 1, 2]:
            raise ValueError(f"loss.order={list(order)}: expected the numbers 0, 1 and 2 of the masks, each once")
        self.order = order
        self.temperature, self.triplet, self.margin, self.reduce = temperature, triplet, margin, reduce

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        """Vectors ``[3 S, D]``, goals ``[3 S, 2]`` -> a loss for each sample ``[S]``."""
        whole, little, much = (_under(prediction, goal, mask) for mask in self.order)
        near, far = (F.pairwise_distance(whole.detach(), other) for other in (little, much))
        order = F.relu(near - far + self.margin)
        if len(whole) == 1:
            return self.triplet * order
        likeness = F.normalize(little, dim=1) @ F.normalize(much, dim=1).t() / self.temperature
        same = torch.eye(len(likeness), dtype=torch.bool, device=likeness.device)
        contrast = likeness.masked_fill(same, -torch.inf).logsumexp(1) - likeness.diagonal()
        return contrast + self.triplet * order


def _under(prediction: Tensor, goal: Tensor, mask: int) -> Tensor:
    """Rows of one mask in the order of the samples."""
    rows = (goal[:, 1] == mask).nonzero()[:, 0]
    if not len(rows):
        raise ValueError(
            f"loss=masked_contrast needs masks 0, 1 and 2 of every sample, mask {mask} is missing: mask.ratio=[0,a,b]"
        )
    return prediction[rows[goal[rows, 0].argsort()]]

"""Samples told apart from those of earlier steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.loss import Loss, Reduce
from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.support.processes import gathered


class QueueContrast(Loss):
    """InfoNCE with a queue (MoCo, He et al. 2020, section 3.1 and algorithm 1): cross-entropy of ``(q . k, q . queue) / T`` with
    the own key as the answer, queries and keys divided by their lengths.

    ``size``: keys in the queue, which begins at random; after every optimiser step that step's keys, of all processes, take the
    places of the oldest, so a step is compared with earlier ones. ``temperature``: T. For ``target=keys``, a vector per sample
    (region=pooled) or place. Of mixed samples, which are of share r their own and of 1 - r the sample at the mirrored place of
    the batch, the keys of the whole batch stand beside the queue, and the loss is r times that of the own key and 1 - r times
    that of the other (Point-BERT, Yu et al. 2022, section 3.3).
    """

    def __init__(self, spec: Spec, size: int = 16384, temperature: float = 0.07, reduce: Reduce = "token_mean") -> None:
        super().__init__()
        if size < 1 or temperature <= 0:
            raise ValueError(f"loss=queue_contrast: size={size} must be 1 or more, temperature={temperature} above 0")
        self.temperature, self.reduce, self.width = temperature, reduce, spec.target
        self.queue: Tensor
        self.next: Tensor
        self.register_buffer("queue", F.normalize(torch.randn(size, spec.target), dim=1))
        self.register_buffer("next", torch.zeros((), dtype=torch.long))
        self._new: list[Tensor] = []

    def per_token(self, prediction: Tensor, goal: Tensor) -> Tensor:
        share = goal[..., self.width :]
        # the mean of goals, asked as a prediction, has a share as well
        query, key = F.normalize(prediction[..., : self.width], dim=-1), F.normalize(goal[..., : self.width].float(), dim=-1)
        if self.training and not (self._new and torch.equal(self._new[-1], key.flatten(0, -2))):  # two views have the same keys
            self._new.append(key.detach().flatten(0, -2))
        earlier = query @ self.queue.t() / self.temperature
        own = (query * key).sum(-1, keepdim=True) / self.temperature
        alone = torch.cat([own, earlier], dim=-1).logsumexp(-1) - own[..., 0]
        return self._mixed(query, key, earlier, share[:, 0], alone) if share.shape[-1] else alone

    def _mixed(self, query: Tensor, key: Tensor, earlier: Tensor, share: Tensor, alone: Tensor) -> Tensor:
        """Rows ``[M]`` of a share below 1 with the keys of the batch, the others by themselves."""
        batch = query @ key.t() / self.temperature
        total = torch.cat([batch, earlier], dim=-1).logsumexp(-1)
        mixed = total - share * batch.diagonal() - (1 - share) * batch.flip(1).diagonal()
        return torch.where(share < 1, mixed, alone)

    @torch.no_grad()
    def after_step(self, ctx: Context) -> None:
        """The keys of this step for the oldest."""
        if not self._new:
            return
        keys = gathered(torch.cat(self._new))[-len(self.queue) :]
        self._new.clear()
        place = (self.next + torch.arange(len(keys), device=keys.device)) % len(self.queue)
        self.queue.index_copy_(0, place, keys.to(self.queue.dtype))
        self.next.add_(len(keys)).remainder_(len(self.queue))

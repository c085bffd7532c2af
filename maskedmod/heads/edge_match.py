"""Which node a removed edge led to: the true one against others, of this batch and of earlier ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskedmod.core.blocks.head import Head
from maskedmod.core.context import Context
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.layers.graphs.generated import Generated, generated


class EdgeMatch(Head):
    """``cos(W h_t, h_s) / temperature`` of the later node t of every removed edge with candidates s (GPT-GNN, Hu et al. 2020,
    section 3.3 and released code): the true one, nodes of the batch that are no neighbours of t, drawn once for all edges, and
    ``queue`` nodes of earlier batches. The queue opens while training goes on, its first n rows at the share n of the run (the
    paper's adaptive queue). ``dropout``: of ``W h``.

    Candidates number as many as ``target=true_edge`` says. Where a batch has too few, or a drawn node is a neighbour, the score
    is three times as low as that of an opposite direction, which counts for nothing.
    """

    reads_hidden = True

    def __init__(self, spec: Spec, queue: int = 256, temperature: float = 0.1, dropout: float = 0.2) -> None:
        super().__init__()
        self.drawn = spec.target - 1 - queue
        if queue < 0 or self.drawn < 1:
            raise ValueError(f"head.queue={queue} leaves {self.drawn} of {spec.target} candidates for nodes of the batch")
        self.map = nn.Linear(spec.width, spec.width)
        self.temperature, self.dropout = temperature, dropout
        self.register_buffer("queue", torch.zeros(queue, spec.width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self.register_buffer("open", torch.zeros((), dtype=torch.long))
        self.queue: Tensor
        self.filled: Tensor
        self.open: Tensor
        self._latest: Tensor | None = None

    def forward(self, view: View, where: Where) -> Tensor:
        """-> ``[U, candidates]``, the true one where the mask drew it."""
        mask, x = generated(view.mask), view.student.tokens
        assert mask.removed is not None and mask.slot is not None
        later, earlier = mask.removed
        asked = F.normalize(F.dropout(self.map(x[later]), self.dropout, self.training), dim=1)
        if self.training:
            self._latest = x[mask.keep].detach()
        positive = (asked * F.normalize(x[earlier], dim=1)).sum(1, keepdim=True)
        scores = torch.cat([positive, self._of_batch(asked, x, mask), self._of_queue(asked)], dim=1) / self.temperature
        column = torch.arange(scores.shape[1], device=x.device).expand(scores.shape)
        slot = (mask.slot % scores.shape[1])[:, None]
        return scores.gather(1, torch.where(column == slot, 0, torch.where(column == 0, slot, column)))

    @torch.no_grad()
    def after_step(self, ctx: Context) -> None:
        """The last batch's nodes go to the front of the queue."""
        if self._latest is None:
            return
        size = len(self.queue)
        fresh = self._latest[:size].to(self.queue)
        self.queue.copy_(torch.cat([fresh, self.queue])[:size])
        self.filled.add_(len(fresh)).clamp_(max=size)
        self.open.fill_(int(size * ctx.progress))
        self._latest = None

    def _of_batch(self, asked: Tensor, x: Tensor, mask: Generated) -> Tensor:
        assert mask.removed is not None and mask.known is not None
        others = mask.keep[torch.randperm(len(mask.keep), device=x.device)[: self.drawn]]
        scores = asked @ F.normalize(x[others], dim=1).t()
        pairs = mask.removed[0][:, None] * len(x) + others
        taken = torch.isin(pairs, mask.known[1] * len(x) + mask.known[0]) | (mask.removed[0][:, None] == others)
        return F.pad(scores.masked_fill(taken, -3.0), (0, self.drawn - len(others)), value=-3.0)

    def _of_queue(self, asked: Tensor) -> Tensor:
        scores = asked @ F.normalize(self.queue, dim=1).t().to(asked.dtype)
        shut = torch.arange(len(self.queue), device=asked.device) >= torch.minimum(self.filled, self.open)
        return scores.masked_fill(shut, -3.0)

"""Contact maps from attention (Rao et al. 2021): symmetrised, corrected, and weighed by a logistic regression over all heads."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from maskedmod.core.apply import Seen
from maskedmod.core.tokens import Tokens
from maskedmod.encoders.transformer import Transformer
from maskedmod.errors import UserError


@torch.no_grad()
def contacts(encoder: Transformer, tokens: Tokens, weight: Tensor, bias: Tensor, ends: tuple[int, int] = (1, 1)) -> list[Tensor]:
    """Probability of contact of every two residues, float32 ``[n, n]`` per packed sequence.

    ``weight`` ``[1, layers * heads]``, layer by layer, and ``bias`` ``[1]``: the regression. ``ends``: special tokens at the
    start and the end of a sequence, which are cut off first. The maps of one layer of one sequence are held at a time:
    ``heads * n * n`` numbers, whatever the number of layers. UserError when tokens are not packed or the sizes do not fit.
    """
    cu = tokens.layout.cu_seqlens
    if cu is None:
        raise UserError("contact maps are for packed sequences")
    heads, depth = encoder.heads, encoder.depth()
    if weight.numel() != heads * depth:
        raise UserError(f"the regression of contacts has {weight.numel()} weights, the encoder {depth} x {heads} maps")
    edges = cu.tolist()
    scores = [torch.zeros(0)] * (len(edges) - 1)
    for layer, (block, x, who) in enumerate(encoder.walk(Seen(tokens))):
        shares = weight.reshape(depth, heads)[layer].to(x.device, torch.float32)
        for number, (start, end) in enumerate(pairwise(edges)):
            maps = block.maps(x[None, start:end], who.alone(start, end))[0].float()
            inner = slice(ends[0], end - start - ends[1])
            part = torch.tensordot(shares, corrected(maps[:, inner, inner]), 1)
            scores[number] = part if layer == 0 else scores[number] + part
    return [(score + bias.to(score.device, score.dtype)).sigmoid() for score in scores]


def corrected(maps: Tensor) -> Tensor:
    """``[heads, n, n]`` symmetrised, less row sum times column sum over the sum of all (Dunn et al. 2008)."""
    both = maps + maps.transpose(-1, -2)
    return both - both.sum(-1, keepdim=True) * both.sum(-2, keepdim=True) / both.sum((-1, -2), keepdim=True)

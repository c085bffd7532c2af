"""The id of every token: words, residues, atoms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskedmod.core.blocks.target import Target
from maskedmod.core.mask_set import Where
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step, View
from maskedmod.core.tokens import take


class TokenIds(Target):
    """Ids of the uncorrupted tokens (BERT: Devlin et al. 2019, section 3.1). ``which``: of tokens that have several ids, the one
    that is predicted (atoms: 0 is the element, 1 the chirality). ``one_hot``: as a vector, for losses of values (GraphMAE on
    molecules)."""

    def __init__(self, spec: Spec, which: int = 0, one_hot: bool = False, classes: int | None = None) -> None:
        super().__init__()
        sizes = spec.categories or ((spec.vocab,) if spec.vocab is not None else ())
        if not sizes:
            raise ValueError("target=token_ids needs tokens that are ids; this modality has values, use target=raw")
        if not 0 <= which < len(sizes):
            raise ValueError(f"target=token_ids: which={which}, but a token has {len(sizes)} ids here")
        if classes is not None and classes < sizes[which]:
            raise ValueError(f"target=token_ids: classes={classes} is less than the {sizes[which]} ids that there are")
        self.which, self.several, self.width = which, bool(spec.categories), classes or sizes[which]
        self.discrete = not one_hot

    def forward(self, step: Step, view: str, where: Where) -> Tensor:
        """-> int64 ``[M, J, T]`` (packed ``[T]``), one-hot float32 with one more axis."""
        if where.index is None:
            raise ValueError("target=token_ids describes tokens; region=pooled has none")
        values = step.views[view].source.values
        ids = take(values[..., self.which] if self.several else values, where.index)
        return ids if self.discrete else F.one_hot(ids, self.width).float()

    def restore(self, values: Tensor, view: View) -> Tensor | None:
        """Scores ``[..., classes]`` -> the likeliest id; of tokens that have several ids the others are 0, ``[..., C]``."""
        if not self.several:
            return values.argmax(-1)
        ids = torch.zeros(*values.shape[:-1], view.rows.values.shape[-1], dtype=torch.long, device=values.device)
        ids[..., self.which] = values.argmax(-1)
        return ids

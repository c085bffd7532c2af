"""All values of one step, view by view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.modality import Modality
from maskedmod.core.tokens import Tokens


@dataclass
class View:
    """One named set of tokens of a batch with what was decided and computed for it.

    ``tokens``: B samples; ``rows``: the same, repeated for the K masks of a sample; ``mask``: over these rows.
    ``teacher``: latent over the B samples. ``student``: latent over the rows.
    """

    tokens: Tokens
    rows: Tokens
    mask: MaskSet
    student: Latent
    teacher: Latent | None = None

    @property
    def source(self) -> Tokens:
        """Tokens that indices of the mask point into with no copy: the B samples when dense, the tiled rows when packed."""
        return self.mask.source(self.rows) if self.rows.layout.packed else self.tokens


@dataclass
class Step:
    """All values of one step, for targets and losses that need more than one of them (after the student, across views)."""

    modality: Modality
    batch: dict[str, Any]
    ctx: Context
    views: dict[str, View] = field(default_factory=dict)

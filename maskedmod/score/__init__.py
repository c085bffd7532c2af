"""How likely a masked model finds mutants and hidden letters. See ``scoring``, ``scan``, ``fill`` and ``run``."""

from __future__ import annotations

from maskedmod.score.fill import Filled, fill
from maskedmod.score.methods import Method
from maskedmod.score.scan import Scan, scan
from maskedmod.score.scoring import Scores, score

__all__ = ["Filled", "Method", "Scan", "Scores", "fill", "scan", "score"]

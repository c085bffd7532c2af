"""The command ``maskedmod VERB key=value ...``."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code."""
    return 0

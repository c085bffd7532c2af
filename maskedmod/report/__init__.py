"""The page of a run."""

from __future__ import annotations

from maskedmod.report.write import write_report

__all__ = ["write_report"]

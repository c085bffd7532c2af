"""The contract that every modality passes. For the tests of whoever writes one."""

from __future__ import annotations

from maskedmod.testing.contract import check_modality

__all__ = ["check_modality"]

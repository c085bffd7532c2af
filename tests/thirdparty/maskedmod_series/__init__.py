"""A modality of a third party: one-channel time series of any length up to ``length``, cut into patches."""

from maskedmod_series.series import Series

__all__ = ["Series"]

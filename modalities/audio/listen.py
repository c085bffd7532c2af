"""A waveform that has a given log-mel spectrogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .fbank import PREEMPHASIS, Filterbank, triangles, window

ROUNDS = 32
MOMENTUM = 0.99
LOWEST = 50.0
"""Hz; a filter bank says next to nothing about what is below."""


def griffin_lim(log_mel: Tensor, bank: Filterbank, scale: float = 1.0) -> np.ndarray[Any, Any]:
    """Log-mel energies ``[T, F]`` (natural logarithm, as ``kaldi_fbank`` gives them) -> float32 samples in [-1, 1].

    Linear magnitudes are the least-squares ones clipped at zero; the phase comes from the fast Griffin-Lim iteration
    (Perraudin et al. 2013) from a fixed random start; pre-emphasis is undone at the end. ``scale``: factor that the waveform
    had before the filter bank. Louder than full scale is turned down.
    """
    inverse = torch.linalg.pinv(triangles(bank).double()).float()
    power = F.pad((log_mel.float().clamp(-30.0, 30.0).exp() @ inverse.T).clamp(min=0), (0, 1))
    magnitude = power.sqrt()
    frames, shape = len(log_mel), window(bank)
    norm = _overlap_add(shape.square().expand(frames, -1), bank)
    norm = norm.clamp(min=0.1 * float(norm.max()))  # at both ends hardly a window reaches: fade there instead of blowing up

    def to_wave(spectrum: Tensor) -> Tensor:
        return _overlap_add(torch.fft.irfft(spectrum, n=bank.fft)[:, : bank.length] * shape, bank) / norm

    def to_spectrum(wave: Tensor) -> Tensor:
        return torch.fft.rfft(wave.unfold(0, bank.length, bank.shift) * shape, n=bank.fft)

    generator = torch.Generator().manual_seed(0)
    spectrum = torch.polar(magnitude, 2 * torch.pi * torch.rand(magnitude.shape, generator=generator))
    before = torch.zeros_like(spectrum)
    for _ in range(ROUNDS):
        rebuilt = to_spectrum(to_wave(spectrum))
        pushed = rebuilt + MOMENTUM * (rebuilt - before)
        before = rebuilt
        spectrum = torch.polar(magnitude, pushed.angle())
    wave = _undo_preemphasis(to_wave(spectrum), bank.sample_rate) / scale
    return (wave / wave.abs().max().clamp(min=1.0)).numpy().astype(np.float32)


def _overlap_add(frames: Tensor, bank: Filterbank) -> Tensor:
    """``[T, length]`` -> ``[S]``: the sum of frames, each ``shift`` samples after the one before."""
    size = (1, bank.samples(len(frames)))
    return F.fold(frames.T[None], size, kernel_size=(1, bank.length), stride=(1, bank.shift)).flatten()


def _undo_preemphasis(wave: Tensor, rate: int) -> Tensor:
    """Divide by the response of the pre-emphasis; what lies below LOWEST is dropped, for it would be raised most."""
    size = 1 << len(wave).bit_length()
    frequency = torch.fft.rfftfreq(size)
    response = 1 - PREEMPHASIS * torch.polar(torch.ones_like(frequency), -2 * torch.pi * frequency)
    spectrum = torch.fft.rfft(wave, n=size) / response * (frequency * rate >= LOWEST)
    return torch.fft.irfft(spectrum, n=size)[: len(wave)]

"""Log-mel filter bank of a batch of waveforms, in torch, on the device of the batch.

Numerically the filter bank of Kaldi as torchaudio's ``compliance.kaldi.fbank`` computes it (no dither, no energy row, frames
that would pass the end are left out): per frame subtract the mean, pre-emphasise, window, power spectrum of the next power
of two, triangles on the mel scale 1127 ln(1 + f / 700), logarithm with the float32 epsilon as floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Window = Literal["hanning", "povey", "hamming"]

FLOOR = torch.finfo(torch.float32).eps
PREEMPHASIS = 0.97
CHUNK_CPU, CHUNK_GPU = 1 << 20, 1 << 26
"""Samples in overlapping frames that are transformed at once: fits the caches of a CPU, bounds the memory of a GPU."""


@dataclass(frozen=True)
class Filterbank:
    """Settings: rates and frequencies in Hz, times in ms. ``high_freq`` 0 or less counts from half the sample rate down.

    Raises ValueError for a band that does not lie below half the sample rate, or frames of less than two samples.
    """

    sample_rate: int = 16000
    mel_bins: int = 128
    window: Window = "hanning"
    frame_length_ms: float = 25.0
    frame_shift_ms: float = 10.0
    low_freq: float = 20.0
    high_freq: float = 0.0

    def __post_init__(self) -> None:
        if self.mel_bins < 1:
            raise ValueError(f"mel_bins is {self.mel_bins}; expected at least 1")
        if self.length < 2 or self.shift < 1:
            raise ValueError(f"frames of {self.length} samples every {self.shift}; expected at least 2 and 1")
        if not 0 <= self.low_freq < self.top <= self.sample_rate / 2:
            raise ValueError(f"band {self.low_freq} to {self.top} Hz; expected 0 <= low < high <= {self.sample_rate / 2}")
        if self.window not in ("hanning", "povey", "hamming"):
            raise ValueError(f"window {self.window!r}; expected hanning, povey or hamming")

    @property
    def length(self) -> int:
        """Samples per frame."""
        return int(self.sample_rate * self.frame_length_ms * 0.001)

    @property
    def shift(self) -> int:
        """Samples from frame to frame."""
        return int(self.sample_rate * self.frame_shift_ms * 0.001)

    @property
    def fft(self) -> int:
        """Points of the Fourier transform: the next power of two."""
        return 1 << (self.length - 1).bit_length()

    @property
    def top(self) -> float:
        return self.high_freq if self.high_freq > 0 else self.sample_rate / 2 + self.high_freq

    def frames(self, samples: int) -> int:
        """Frames that lie wholly inside ``samples``."""
        return 0 if samples < self.length else 1 + (samples - self.length) // self.shift

    def samples(self, frames: int) -> int:
        """Samples that ``frames`` frames need."""
        return (frames - 1) * self.shift + self.length


@torch.no_grad()
def kaldi_fbank(wave: Tensor, settings: Filterbank) -> Tensor:
    """Waveforms float32 ``[B, S]`` -> log mel energies float32 ``[B, T, mel_bins]`` with ``T = settings.frames(S)``."""
    if settings.frames(wave.shape[-1]) == 0:
        return wave.new_zeros(wave.shape[0], 0, settings.mel_bins, dtype=torch.float32)
    with torch.autocast(wave.device.type, enabled=False):
        frames = wave.float().unfold(-1, settings.length, settings.shift)
        rows = (CHUNK_CPU if wave.device.type == "cpu" else CHUNK_GPU) // settings.length + 1
        if frames.shape[0] * frames.shape[1] <= rows:
            return _log_mel(frames, settings)
        if frames.shape[1] <= rows:
            return torch.cat([_log_mel(part, settings) for part in frames.split(rows // frames.shape[1])])
        return torch.cat([_log_mel(part, settings) for part in frames.split(rows, dim=1)], dim=1)


def _log_mel(frames: Tensor, settings: Filterbank) -> Tensor:
    """Frames ``[B, T, length]`` -> ``[B, T, mel_bins]``."""
    window, bank = _constants(settings, frames.device)
    frames = frames - frames.mean(-1, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    frames = frames.sub_(before.mul_(PREEMPHASIS)).mul_(window)  # two roundings, not a fused one: as the published code
    spectrum = torch.view_as_real(torch.fft.rfft(frames, n=settings.fft))
    power = spectrum.square_().sum(-1)
    return (power[..., :-1] @ bank.T).clamp_(min=FLOOR).log_()


@lru_cache(maxsize=32)
def _constants(settings: Filterbank, device: torch.device) -> tuple[Tensor, Tensor]:
    """Window and triangles; kept apart from any module, so that they are no part of a checkpoint and never on ``meta``."""
    with torch.device("cpu"), torch.inference_mode(False):
        return window(settings).to(device), triangles(settings).to(device)


def window(settings: Filterbank) -> Tensor:
    """Window of one frame, float32 ``[length]``. Povey's is the Hann window to the power 0.85."""
    if settings.window == "hamming":
        return torch.hamming_window(settings.length, periodic=False, alpha=0.54, beta=0.46)
    hann = torch.hann_window(settings.length, periodic=False)
    return hann if settings.window == "hanning" else hann.pow(0.85)


def triangles(settings: Filterbank) -> Tensor:
    """Mel filters ``[mel_bins, fft / 2]``, without the column of half the sample rate.

    In float32 like the published code: in double precision the slopes would differ from it by about 1e-5.
    """
    low, high = to_mel(settings.low_freq), to_mel(settings.top)
    step = (high - low) / (settings.mel_bins + 1)
    index = torch.arange(settings.mel_bins)[:, None]
    left, centre, right = (low + (index + offset) * step for offset in (0.0, 1.0, 2.0))
    frequency = torch.arange(settings.fft // 2) * (settings.sample_rate / settings.fft)
    mel = (1.0 + frequency / 700.0).log()[None] * 1127.0
    return torch.minimum((mel - left) / (centre - left), (right - mel) / (right - centre)).clamp(min=0)


def to_mel(frequency: float) -> float:
    """Hz on Kaldi's mel scale."""
    return 1127.0 * math.log(1.0 + frequency / 700.0)

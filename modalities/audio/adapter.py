"""The adapter: from clips to log-mel patches, back to pictures and sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Panel, Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError
from maskedmod.layers.linear import Linear

from .fbank import FLOOR, Filterbank, Window, kaldi_fbank
from .patches import Clips, Lattice, pair
from .reading import Fit, Part, Wave, duration, read_clip

INTEGERS = 10.0
"""A mean of log-mel values above this is that of samples that count to 32768 (noise at full scale has 5)."""
LOUDEST = 32.0
"""A float waveform above this is no sound on the scale of -1 to 1, however much it was amplified."""


class Audio(Modality):
    """Sound as Kaldi log-mel spectrograms in patches (Audio-MAE, Huang et al. 2022, section 3; AST, Gong et al. 2021).

    ``sample_rate`` Hz: every clip is resampled to it. ``frames`` x ``mel_bins``: size of the spectrogram, time by frequency.
    ``patch_size`` and ``stride``: a number or (time, frequency); a stride below the patch makes overlap; None = the patch.
    ``window`` hanning (Audio-MAE, AST), povey (BEATs) or hamming; ``frame_length_ms``, ``frame_shift_ms``; ``low_freq``,
    ``high_freq`` in Hz, 0 = half the sample rate.
    ``mean``, ``std`` of the log-mel values; None = measured on the training data and kept in ``statistics``. Values are
    ``(x - mean) / (std_scale * std)``; Audio-MAE and BEATs divide by two deviations.
    ``fit``, for clips longer than the window: ``crop`` takes a random part in training and the middle otherwise, ``start``
    the beginning (Audio-MAE), ``windows`` makes every window a sample of its own.
    ``pad``, for shorter clips: ``zero`` fills with 0 before normalisation (Audio-MAE), ``mean`` with 0 after it.
    ``mask_padding``: patches that hold no frame of the clip are invalid: never seen, never predicted, never counted. False
    treats padding as sound, as Audio-MAE does.
    ``subtract_mean``: remove the mean of the waveform first. ``scale``: factor on the waveform in [-1, 1] (BEATs 2 ** 15).
    Raises ValueError for settings that contradict one another.
    """

    extensions: ClassVar[tuple[str, ...]] = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".aif", ".au")
    columns: ClassVar[tuple[str, ...]] = ("audio", "wav", "flac", "mp3", "sound", "file", "path")
    signal: ClassVar[str] = "fbank"
    windowing: ClassVar[tuple[str, ...]] = ("fit",)

    def __init__(
        self,
        sample_rate: int = 16000,
        mel_bins: int = 128,
        frames: int = 1024,
        patch_size: int | tuple[int, int] = 16,
        stride: int | tuple[int, int] | None = None,
        window: Window = "hanning",
        frame_length_ms: float = 25.0,
        frame_shift_ms: float = 10.0,
        low_freq: float = 20.0,
        high_freq: float = 0.0,
        mean: float | None = -4.2677393,
        std: float | None = 4.5689974,
        std_scale: float = 2.0,
        fit: Fit = "crop",
        pad: Literal["zero", "mean"] = "zero",
        mask_padding: bool = True,
        subtract_mean: bool = True,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value, accepted in (("fit", fit, ("crop", "start", "windows")), ("pad", pad, ("zero", "mean"))):
            if value not in accepted:
                raise ValueError(f"{name} is {value!r}; expected one of {', '.join(accepted)}")
        if (std is not None and std <= 0) or std_scale <= 0:
            raise ValueError(f"std={std} and std_scale={std_scale}; expected positive numbers")
        self.bank = Filterbank(sample_rate, mel_bins, window, frame_length_ms, frame_shift_ms, low_freq, high_freq)
        patch = pair("patch_size", patch_size)
        self.lattice = Lattice(frames, mel_bins, patch, patch if stride is None else pair("stride", stride))
        self.part = Part(sample_rate, self.bank.samples(frames), self.bank.shift, fit)
        self.mean, self.std, self.std_scale = mean, std, std_scale
        self.pad, self.mask_padding, self.subtract_mean, self.scale = pad, mask_padding, subtract_mean, scale

    @property
    def spec(self) -> Spec:
        pt, pf = self.lattice.patch
        return Spec(values=pt * pf, axes=2, grid=self.lattice.grid, patch=(pt, pf), channels=1)

    def read(self, record: Record) -> Wave:
        """A path, bytes, ``(array, rate)``, an array with ``extra['rate']`` or a Hugging Face audio mapping -> mono samples
        ``[S]`` at ``sample_rate``, int16 where that is exact, else float32; at most what ``frames`` need."""
        wave = read_clip(record, self.part)
        if len(wave) < self.bank.length:
            raise BadSample(f"{len(wave)} samples at {self.bank.sample_rate} Hz; one frame needs {self.bank.length}")
        return wave

    def expand(self, record: Record) -> Sequence[Record]:
        """With ``fit=windows``, a record for every window of a longer one: ``extra['start']`` seconds, ``extra['clip']`` the
        key of the whole. Windows follow each other frame by frame; the last one is padded. No frame is lost or read twice."""
        if self.part.fit != "windows" or "start" in record.extra:
            return (record,)
        frames, rate = self.lattice.frames, self.bank.sample_rate
        total = self.bank.frames(math.floor(duration(record) * rate + 1e-6))
        if total <= frames:
            return (record,)
        starts = [first * self.bank.shift / rate for first in range(0, total, frames)]
        return [
            replace(record, key=f"{record.key} at {start:.2f} s", extra={**record.extra, "start": start, "clip": record.key})
            for start in starts
        ]

    def collate(self, samples: Sequence[Wave]) -> dict[str, Any]:
        """``wave`` int16 or float32 ``[B, S]``, zero-padded to what ``frames`` need; ``lengths`` int64 ``[B]``, left out when
        every clip fills it (so that full batches need no padding mask)."""
        exact = all(sample.dtype == np.int16 for sample in samples)
        wave = torch.zeros(len(samples), self.part.samples, dtype=torch.int16 if exact else torch.float32)
        for row, sample in zip(wave, samples, strict=True):
            clip = torch.from_numpy(sample)
            row[: len(clip)] = clip if exact or sample.dtype != np.int16 else clip.float() / 32768
        if all(len(sample) == self.part.samples for sample in samples):
            return {"wave": wave}
        return {"wave": wave, "lengths": torch.tensor([len(sample) for sample in samples])}

    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Augment, filter bank, pad, normalise: ``fbank`` float32 ``[B, T, F]`` and, with ``lengths``, ``frames`` ``[B]``."""
        wave: Tensor = batch["wave"]
        batch = {**batch, "wave": wave.float() / 32768 if wave.dtype == torch.int16 else wave}
        if ctx.training and self.augment is not None:
            batch = self.augment(batch, ctx)
        mean, std = self.normalisation()
        features, frames = self.features(batch)
        normal = (features - mean) / (std * self.std_scale)
        if frames is not None and self.pad == "mean":
            normal = normal * _inside(normal, frames)
        out = {key: value for key, value in batch.items() if key != "wave"}
        return {**out, "fbank": normal} if frames is None else {**out, "fbank": normal, "frames": frames}

    @torch.no_grad()
    def features(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Log-mel values before normalisation ``[B, T, F]``, 0 beyond each clip's frames, and their number ``[B]``."""
        wave, lengths = batch["wave"].float(), batch.get("lengths")
        if self.subtract_mean:
            if lengths is None:
                wave = wave - wave.mean(1, keepdim=True)
            else:
                inside = torch.arange(wave.shape[1], device=wave.device) < lengths[:, None]
                wave = (wave - wave.sum(1, keepdim=True) / lengths[:, None]) * inside
        features = kaldi_fbank(wave * self.scale if self.scale != 1.0 else wave, self.bank)
        if lengths is None:
            return features, None
        frames = (lengths - self.bank.length).div(self.bank.shift, rounding_mode="floor") + 1
        return features * _inside(features, frames), frames

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """``main``: values ``[B, N, pt * pf]``, pos int64 ``[B, N, 2]`` (time, frequency)."""
        values = self.lattice.cut(batch["fbank"])
        t, f = self.lattice.grid
        device = values.device
        pos = torch.cartesian_prod(torch.arange(t, device=device), torch.arange(f, device=device)).expand(len(values), -1, 2)
        valid = None
        if self.mask_padding and "frames" in batch:
            valid = pos[..., 0] * self.lattice.stride[0] < batch["frames"][:, None]
        return {"main": Clips(values, pos, Layout(grid=(t, f), valid=valid), frames=batch.get("frames"))}

    def embedding(self, width: int) -> nn.Module:
        """Linear on flattened patches: the convolution of the published models, with its Xavier start."""
        linear = Linear(self.spec.values, width)
        nn.init.xavier_uniform_(linear.weight)
        return linear

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """Normalised spectrogram ``[B, 1, T, F]``; the mean where patches overlap."""
        return self.lattice.lay(values)[:, None]

    def log_mel(self, values: Tensor) -> Tensor:
        """Token values ``[B, N, P]`` -> log-mel energies ``[B, T, F]`` in their own unit, the normalisation undone."""
        mean, std = self.normalisation()
        return self.lattice.lay(values.float()) * (std * self.std_scale) + mean

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """Spectrograms, time to the right and low frequencies below, without the padding; one colour is one energy in all
        pictures. A place is grey where only hidden patches cover it."""
        from .picture import hertz, seconds, spectrogram

        pictures = self.lattice.lay(values.detach().float()) * self.std_scale
        shown = None if hidden is None else self.lattice.covered(~torch.as_tensor(hidden)).cpu().numpy()
        lengths = self._valid_frames(tokens)
        top, second = self.bank.top / 1000, self.bank.shift / self.bank.sample_rate
        panels = []
        for i, (picture, length) in enumerate(zip(pictures.cpu().numpy(), lengths, strict=True)):
            part = None if shown is None else shown[i, :length]
            image = spectrogram(picture[:length], part, self.lattice.frames)
            panels.append(Panel(image, f"{length * second:.2f} s, to {top:g} kHz", seconds(length * second), hertz(self.bank)))
        return panels

    def audio(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[tuple[Wave, int]]:
        """A waveform (float32 ``[S]``, rate) per sample whose spectrogram this is; the phase is estimated (Griffin-Lim). Places
        that only ``hidden`` patches cover are silent."""
        from .listen import griffin_lim

        energies = self.log_mel(values.detach())
        if hidden is not None:
            energies = energies.masked_fill(~self.lattice.covered(~hidden), math.log(FLOOR))
        return [
            (griffin_lim(row[:length].cpu(), self.bank, self.scale), self.bank.sample_rate)
            for row, length in zip(energies, self._valid_frames(tokens), strict=True)
        ]

    def plausible(self, sample: Wave) -> None:
        """Floats far beyond those that the statistics belong to are integers' values that were not scaled: beyond [-1, 1], or,
        with measured statistics, beyond the training data. While these are to be measured, anything goes."""
        if (self.mean is None or self.std is None) and not self.statistics:
            return
        most = self._loudest()
        if (peak := _peak(sample)) > most:
            usual = "-1 to 1" if most == LOUDEST else f"at most {most:.5g} as in training"
            raise BadSample(f"samples reach {peak:.5g}, expected {usual}: give integers as int16, or divide by 32768")

    def _loudest(self) -> float:
        """The bound of samples; a mean that no sound in [-1, 1] has is that of integers' values."""
        found = float(self.statistics.get("mean", 0.0)) if self.mean is None else 0.0
        return float(self.statistics.get("loudest", LOUDEST * 32768 if found > INTEGERS else LOUDEST))

    def remarks(self) -> list[str]:
        """That the training data are on another scale than [-1, 1]."""
        if (most := self._loudest()) == LOUDEST:
            return []
        return [f"samples reach about {most / LOUDEST:.5g}, not 1: the model is one of sounds on that scale"]

    def demo(self, split: str) -> Sequence[Record]:
        """Synthesised labelled clips of 1.2 to 2 s at 16 kHz: 512 for ``train``, 64 for ``val``."""
        from .demo import DemoClips

        return DemoClips(split)

    def measure(self, samples: Sequence[Wave]) -> dict[str, Any]:
        """Mean and standard deviation of the log-mel values over all real frames; {} when both are given in the recipe. Clips
        that are far louder than most are left out of it, as ``plausible`` will leave them out; ``loudest``: the bound, where it
        is not that of [-1, 1]."""
        if self.mean is not None and self.std is not None:
            return {}
        usual = max(1.0, float(np.median([_peak(sample) for sample in samples]))) if len(samples) else 1.0
        loudest = {"loudest": LOUDEST * usual} if usual > LOUDEST else {}
        samples = [sample for sample in samples if _peak(sample) <= loudest.get("loudest", LOUDEST)]
        count, total, square = 0, 0.0, 0.0
        for first in range(0, len(samples), 16):
            batch = self.collate(samples[first : first + 16])
            wave = batch["wave"]
            features, frames = self.features({**batch, "wave": wave.float() / 32768 if wave.dtype == torch.int16 else wave})
            values = (features if frames is None else features[_inside(features, frames)[..., 0]]).double()
            count, total, square = count + values.numel(), total + values.sum().item(), square + values.square().sum().item()
        if count == 0:
            raise UserError("no training clip could be read to measure mean and std on; give modality.mean and modality.std")
        mean = total / count
        return {"mean": mean, "std": math.sqrt(max(square / count - mean * mean, 1e-12)), "clips": len(samples), **loudest}

    def normalisation(self) -> tuple[float, float]:
        """Mean and deviation in use: the recipe's, else the measured ones. UserError when there are neither."""
        mean = self.statistics.get("mean") if self.mean is None else self.mean
        std = self.statistics.get("std") if self.std is None else self.std
        if mean is None or std is None:
            raise UserError("modality.mean and modality.std are to be measured, and have not been: train, or give their values")
        return mean, std

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Mean normalised log-mel energies of 40 bands in four equal parts of the clip, padding left out, ``[B, 160]``."""
        from .raw import band_energies

        return band_energies(batch["fbank"], batch.get("frames"))

    def unit(self) -> str:
        return "patch"

    def _valid_frames(self, tokens: Tokens) -> list[int]:
        """Frames to the end of every clip where it is known, else to that of its last valid patch."""
        valid, whole = tokens.layout.valid, self.lattice.frames
        if isinstance(tokens, Clips) and tokens.frames is not None and len(tokens.frames) == tokens.batch:
            return [int(count) for count in tokens.frames.tolist()]
        if valid is None:
            return [whole] * tokens.batch
        last = (valid * (tokens.pos[..., 0] + 1)).amax(1) - 1
        ends = last * self.lattice.stride[0] + self.lattice.patch[0]
        return [int(end) for end in ends.clamp(max=whole).tolist()]


def _peak(sample: Wave) -> float:
    """Largest value of floats; integers have a scale of their own."""
    return float(np.abs(sample).max()) if sample.dtype != np.int16 and len(sample) else 0.0


def _inside(features: Tensor, frames: Tensor) -> Tensor:
    """bool ``[B, T, 1]``: frames that belong to the clip."""
    return (torch.arange(features.shape[1], device=features.device) < frames[:, None])[..., None]

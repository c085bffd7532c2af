"""Images cut into patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Panel, Record
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError
from maskedmod.layers.linear import Linear

from .patches import pair, patchify, unpatchify
from .picture import caption, pictures
from .resampling import Interpolation, centre_box, resample

BRIGHTEST, DARKEST = 16.0, -0.5
"""Floats beyond these are no pixels that count from 0 to 1, however bright or however sharpened."""

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


class Image(Modality):
    """Images of any size, shape and number of channels.

    ``size``: pixels the model sees, a number or (height, width), a multiple of ``patch_size``; ``channels``: 1 grey, 3 RGB,
    or any number of bands; ``mean``, ``std``: of each channel, where pixels of 8 bits count from 0 to 1; ``imagenet`` the usual
    values, null = measured on the training data; ``convert``: colour modes of image files (grey, palette, RGBA, CMYK) are turned
    into grey or RGB as ``channels`` asks, transparency is dropped; false makes them bad samples; arrays are never converted;
    ``resize``: image files with both sides above this many times ``size`` are reduced to it when they are read, 0 = never;
    ``interpolation``: bicubic or bilinear, for scaling without augmentation (always antialiased).
    Raises ValueError where patches do not fill the image or statistics do not fit the channels.
    """

    extensions = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".npy", ".npz", ".pt")
    columns = ("image", "img", "pixel_values", "picture", "jpg", "png", "jpeg", "webp")
    signal = "pixels"

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        patch_size: int | tuple[int, int] = 16,
        channels: int = 3,
        mean: list[float] | Literal["imagenet"] | None = "imagenet",
        std: list[float] | Literal["imagenet"] | None = "imagenet",
        convert: bool = True,
        resize: float = 2.0,
        interpolation: Interpolation = "bicubic",
    ) -> None:
        super().__init__()
        self.size, self.patch = pair("size", size), pair("patch_size", patch_size)
        if any(s % p for s, p in zip(self.size, self.patch, strict=True)):
            raise UserError(
                f"size {self.size[0]} x {self.size[1]} is no multiple of patch_size {self.patch[0]} x {self.patch[1]}"
            )
        if channels < 1:
            raise UserError(f"channels is {channels}; expected 1 or more")
        if resize < 0 or 0 < resize < 1:
            raise UserError(f"resize is {resize}; expected 1 or more times the size, or 0 for never")
        self.channels, self.convert, self.interpolation = channels, convert, interpolation
        self.least = None if resize == 0 else (round(self.size[0] * resize), round(self.size[1] * resize))
        self.measured = mean is None
        if (mean is None) != (std is None):
            raise UserError("mean and std are measured together: set both to null or give both")
        if mean is not None and std is not None:
            self.statistics = _statistics(mean, std, channels)
        self._scale: tuple[Any, Tensor, Tensor] | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Patches in a column and in a row."""
        return self.size[0] // self.patch[0], self.size[1] // self.patch[1]

    @property
    def spec(self) -> Spec:
        """Patches on a two-axis lattice."""
        values = self.patch[0] * self.patch[1] * self.channels
        return Spec(values, axes=2, grid=self.grid, patch=self.patch, channels=self.channels)

    def read(self, record: Record) -> Tensor:
        """Path, bytes, PIL image, array or tensor -> ``[C, h, w]``, uint8, or float32 where 8 bits would not hold it."""
        from .reading import decode

        return decode(record.data, self.channels, self.convert, self.least)

    def plausible(self, sample: Tensor) -> None:
        """Where the model's pixels count from 0 to 1: floats that count to 255, or were normalised already."""
        mean, std = self.statistics.get("mean", [2.0]), self.statistics.get("std", [1.0])
        if sample.dtype == torch.uint8 or not all(0 <= m <= 1 and s <= 0.5 for m, s in zip(mean, std, strict=True)):
            return
        low, high = (float(edge) for edge in sample.aminmax())
        if high > BRIGHTEST:
            raise BadSample(f"floats up to {high:.5g}, expected 0 to 1: give them as uint8, or divide by 255")
        if low < DARKEST:
            raise BadSample(
                f"floats from {low:.3g} to {high:.3g}, expected 0 to 1: normalised already? model.encoder takes those"
            )

    def several(self, data: Any) -> Sequence[Any] | None:
        """An array or tensor with four axes is a batch of images."""
        return list(data) if getattr(data, "ndim", 0) == 4 else None

    def collate(self, samples: Sequence[Tensor]) -> dict[str, Any]:
        """``image`` ``[B, C, H, W]`` with images at the top left of the largest height and width, the rest 0; ``size`` int64
        ``[B, 2]``. uint8, or float32 when one of them is (8-bit ones then count from 0 to 1)."""
        if any(s.dtype != torch.uint8 for s in samples):
            samples = [s.float() / 255 if s.dtype == torch.uint8 else s for s in samples]
        sizes = torch.tensor([s.shape[1:] for s in samples])
        height, width = (int(n) for n in sizes.amax(0))
        if bool((sizes == sizes[0]).all()):
            return {"image": torch.stack(list(samples)), "size": sizes}
        image = samples[0].new_zeros(len(samples), self.channels, height, width)
        for place, sample in zip(image, samples, strict=True):
            place[:, : sample.shape[1], : sample.shape[2]] = sample
        return {"image": image, "size": sizes}

    @torch.no_grad()
    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Bring all to one size (augmented when training, else the largest centred part) and normalise: adds ``pixels`` float32
        ``[B, C, *size]``. Raises UserError when statistics are to be measured and were not."""
        image, size = batch["image"], batch["size"]
        if ctx.training and self.augment is not None:
            pixels = self.augment(image, size, self.size, ctx)
        else:
            pixels = resample(image, centre_box(size, self.size), self.size, None, self.interpolation)
        whole = 255.0 if image.dtype == torch.uint8 else 1.0
        mean, std = self._normalisation(pixels.device)
        return {**batch, "pixels": (pixels / whole - mean) / std}

    def _normalisation(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and deviation ``[C, 1, 1]`` on the device; copied there once."""
        if "mean" not in self.statistics:
            raise UserError(
                "mean and std of the images were not measured; measure them on the training data or give mean and std"
            )
        key = (device, tuple(self.statistics["mean"]), tuple(self.statistics["std"]))
        if self._scale is None or self._scale[0] != key:
            mean, std = (torch.tensor(x, dtype=torch.float32, device=device)[:, None, None] for x in key[1:])
            self._scale = (key, mean, std)
        return self._scale[1], self._scale[2]

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """View ``main``: patches ``[B, N, ph*pw*C]`` of ``pixels`` ``[B, C, H, W]`` (any multiple of the patch), positions (row,
        column)."""
        pixels = batch["pixels"]
        values = patchify(pixels, self.patch)
        h, w = pixels.shape[2] // self.patch[0], pixels.shape[3] // self.patch[1]
        pos = torch.cartesian_prod(torch.arange(h, device=values.device), torch.arange(w, device=values.device))
        return {"main": Tokens(values, pos.expand(len(values), -1, -1), Layout(grid=(h, w)))}

    def embedding(self, width: int) -> nn.Module:
        """Linear map of a patch: the patch convolution of a ViT, with weight columns ordered (row, column, channel)."""
        return Linear(self.spec.values, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """``[B, N, P]`` -> normalised pixels ``[B, C, H, W]``."""
        grid = tokens.layout.grid
        assert grid is not None and len(grid) == 2, "image tokens lie on a two-axis grid"
        return unpatchify(values, (grid[0], grid[1]), self.patch, self.channels)

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """RGB pictures with the normalisation undone; small ones are enlarged; hidden patches are grey."""
        image = self.untokenize(values.detach().float(), tokens)
        area = None
        if hidden is not None:
            ones = hidden[..., None].expand(-1, -1, self.patch[0] * self.patch[1])
            grid = tokens.layout.grid
            assert grid is not None
            area = unpatchify(ones, (grid[0], grid[1]), self.patch, 1)
        drawn = pictures(image, self.statistics["mean"], self.statistics["std"], area)
        return [Panel(one, caption(self.channels)) for one in drawn]

    def demo(self, split: str) -> Sequence[Record]:
        """Parts of photographs, see ``demo.records``."""
        from .demo import records

        return records(split, self.size, self.channels)

    def measure(self, samples: Sequence[Tensor]) -> dict[str, Any]:
        """``mean`` and ``std`` of each channel over all pixels of the samples (float64 sums), when they are to be measured.
        A channel that is constant gets the deviation 1."""
        if not self.measured:
            return {}
        if not len(samples):
            raise UserError("no image to measure mean and std on")
        count, total, square = 0, torch.zeros(self.channels).double(), torch.zeros(self.channels).double()
        for sample in samples:
            x = sample.flatten(1).double() / (255 if sample.dtype == torch.uint8 else 1)
            count, total, square = count + x.shape[1], total + x.sum(1), square + x.pow(2).sum(1)
        mean = total / count
        std = (square / count - mean.pow(2)).clamp(min=0).sqrt()
        std = torch.where(std > 1e-8, std, torch.ones_like(std))
        return {"mean": mean.tolist(), "std": std.tolist()}

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Normalised pixels of the image reduced to 16 x 16, ``[B, C * 256]``."""
        return nn.functional.adaptive_avg_pool2d(batch["pixels"], 16).flatten(1)

    def unit(self) -> str:
        """Throughput counts patches."""
        return "patch"


def _statistics(mean: Any, std: Any, channels: int) -> dict[str, Any]:
    given = {"mean": IMAGENET[0] if mean == "imagenet" else list(mean), "std": IMAGENET[1] if std == "imagenet" else list(std)}
    for name, numbers in given.items():
        if len(numbers) != channels:
            hint = f"give {channels} values, or mean: null and std: null to measure them"
            raise UserError(f"{name} has {len(numbers)} values, channels is {channels}; {hint}")
    if any(s <= 0 for s in given["std"]):
        raise UserError(f"std is {given['std']}; expected values above 0")
    return given

"""The adapter: from clouds to local groups of points, back to points and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from maskedmod.core.context import Context
from maskedmod.core.mixed import cut_mixed
from maskedmod.core.modality import Modality, Panel, Record
from maskedmod.core.pyramid import Pyramid
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError

from .formats import Array
from .geometry import group_points
from .pointnet import MiniPointNet, Reduced
from .reading import FACES, READERS, Centre, Part, read_cloud
from .scales import check_scales, scales


@dataclass(frozen=True)
class Cloud(Tokens):
    """Tokens that know which points they are made of: ``index`` int64 ``[B, G, S]`` into the ``total`` points of a cloud."""

    index: Tensor | None = None
    total: int = 0


class Points(Modality):
    """Point clouds and surfaces of meshes as groups of neighbouring points (Point-BERT, Yu et al. 2022, section 3.1; Point-MAE,
    Pang et al. 2022, section 3.1).

    ``points``: number that is used of every cloud, drawn at random: anew in training, the same otherwise; shorter clouds repeat
    some. ``groups`` x ``group_size``: farthest points and their nearest neighbours. ``near_origin``: points with a squared norm
    up to this become no centre, as in the reference's operator; null: any may.
    ``centre``: where coordinates count from, centroid (mean of the points), box (middle of the extent) or none; ``scale``:
    sphere divides by the largest distance from there, none.
    ``coarser``: number of groups and group size of further levels, each of which groups the centres of the one before; ``level``:
    the one that is masked and predicted, 0 = the finest (Point-M2AE, Zhang et al. 2022, section 3.1: 1 of 3).
    ``mesh``: surface takes points evenly on a mesh's faces, vertices its corners. ``drop_nan``: points that are not finite are
    left out; else they make a bad sample. ``pointnet``: widths inside the embedding of a group; ``group_width``: what it gives,
    before a linear map to the width that is asked for (Point-BERT, MaskPoint: 256), null: that width at once. ``cut_mix``: a
    second view, ``mix``, of groups from two clouds of the batch (Point-BERT, section 3.3). Raises UserError for sizes that
    contradict one another.
    """

    extensions: ClassVar[tuple[str, ...]] = tuple(READERS)
    columns: ClassVar[tuple[str, ...]] = (
        "points", "xyz", "point_cloud", "pointcloud", "cloud", "pos", "vertices", "file", "path"
    )  # fmt: skip
    wholes: ClassVar[tuple[str, ...]] = FACES
    signal: ClassVar[str] = "points"

    def __init__(
        self,
        points: int = 1024,
        groups: int = 64,
        group_size: int = 32,
        near_origin: float | None = 1e-3,
        centre: Centre = "centroid",
        scale: Literal["sphere", "none"] = "sphere",
        mesh: Literal["surface", "vertices"] = "surface",
        drop_nan: bool = False,
        pointnet: tuple[int, int, int] = (128, 256, 512),
        coarser: tuple[tuple[int, int], ...] = (),
        level: int = 0,
        group_width: int | None = None,
        cut_mix: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= group_size <= points or not 1 <= groups <= points:
            raise UserError(f"points={points}, groups={groups}, group_size={group_size}: neither may be above the points")
        self.sizes, self.level = ((groups, group_size), *coarser), level
        check_scales(self.sizes, level)
        self.part = Part(points, group_size, centre, mesh, drop_nan)
        self.groups, self.group_size, self.near_origin = groups, group_size, near_origin
        if cut_mix and coarser:
            raise UserError("modality.cut_mix mixes groups of one scale: take out modality.coarser")
        self.cut_mix = cut_mix
        self.centre, self.scale, self.pointnet, self.group_width = centre, scale, tuple(pointnet), group_width

    @property
    def spec(self) -> Spec:
        """Groups of points, at coordinates."""
        size = self.sizes[self.level][1]
        return Spec(values=size * 3, axes=3, patch=(size,), channels=3)

    def read(self, record: Record) -> Array:
        """A path, an array or a mesh (see ``reading.read_shape``) -> float32 ``[points, 3]``."""
        return read_cloud(record, self.part)

    def several(self, data: Any) -> Sequence[Any] | None:
        """An array or tensor with three axes is a batch of clouds."""
        return list(data) if getattr(data, "ndim", 0) == 3 else None

    def collate(self, samples: Sequence[Array]) -> dict[str, Any]:
        """``cloud`` float32 ``[B, P, 3]``."""
        return {"cloud": torch.from_numpy(np.stack(samples))}

    @torch.no_grad()
    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Centre, scale, then augment in training: adds ``points`` float32 ``[B, P, 3]``."""
        points = normalised(batch["cloud"].float(), self.centre, self.scale)
        batch = {**batch, "points": points}
        if self.cut_mix and (ctx.training or ctx.generator is not None):
            drawn = torch.rand(len(points), 1 + self.groups, generator=ctx.generator, device=points.device)
            batch |= {"mix_share": drawn[:, 0], "mix_noise": drawn[:, 1:]}
        return self.augment(batch, ctx) if ctx.training and self.augment is not None else batch

    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """``main``: values ``[B, G, S, 3]`` relative to each group's centre, pos float ``[B, G, 3]`` these centres; a Pyramid
        where there are coarser levels."""
        points: Tensor = batch["points"]
        if len(self.sizes) > 1:
            return {"main": Pyramid.of(scales(points, self.sizes, self.near_origin), self.level)}
        found = group_points(points, self.groups, self.group_size, self.near_origin)
        main = Cloud(found.local, found.centres, index=found.index, total=points.shape[1])
        if "mix_share" not in batch:
            return {"main": main}
        return {"main": main, "mix": cut_mixed(main, batch["mix_share"], batch["mix_noise"])}

    def embedding(self, width: int) -> nn.Module:
        """A small PointNet over the points of a group, and a linear map where it has a width of its own."""
        first, middle, last = self.pointnet
        if self.group_width is None:
            return MiniPointNet(width, 3, first, middle, last)
        return Reduced(MiniPointNet(self.group_width, 3, first, middle, last), self.group_width, width)

    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """Points ``[B, P, 3]`` of the cloud from the groups that hold them (their mean where groups overlap); NaN where none
        does; of a coarser level the centres that it groups. Predicted groups have no order of their points: take ``placed`` for
        these."""
        found, total = self._made_of(tokens)
        index = found[: len(values)].flatten(1)[..., None].expand(-1, -1, 3)
        laid = self.placed(values, tokens).flatten(1, 2)
        empty = laid.new_full((len(values), total, 3), torch.nan)
        return empty.scatter_reduce(1, index, laid, "mean", include_self=False)

    def _made_of(self, tokens: Tokens) -> tuple[Tensor, int]:
        """Which points every group holds, and of how many."""
        if isinstance(tokens, Pyramid):
            below = tokens.levels[tokens.at - 1].pos.shape[1] if tokens.at else self.part.count
            return tokens.levels[tokens.at].members, below
        assert isinstance(tokens, Cloud) and tokens.index is not None
        return tokens.index, tokens.total

    def placed(self, values: Tensor, tokens: Tokens) -> Tensor:
        """Token values ``[B, G, S, 3]`` or ``[B, G, S * 3]`` at their places in the cloud: ``[B, G, S, 3]``."""
        values = values if values.ndim == 4 else values.unflatten(-1, (-1, 3))
        return values + tokens.pos[: len(values), :, None].to(values.dtype)

    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """Every cloud from the front, the side and above, coloured by depth; of ``hidden`` groups only the centre is shown."""
        from .picture import three_views

        laid, centres = self.placed(values.detach().float(), tokens).cpu().numpy(), tokens.pos.detach().float().cpu().numpy()
        gone = np.zeros(laid.shape[:2], bool) if hidden is None else torch.as_tensor(hidden).cpu().numpy()
        caption = "from the front, the side and above"
        return [Panel(three_views(a, c, h), caption) for a, c, h in zip(laid, centres, gone, strict=False)]

    def demo(self, split: str) -> Sequence[Record]:
        """Shapes of ten kinds, see ``demo.demo_shapes``: 512 for ``train``, 128 for ``val``."""
        from .demo import demo_shapes

        return demo_shapes(split)

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Extents, shape of the covariance, histograms of height, radius and distances: see ``raw.hand_features``."""
        from .raw import hand_features

        return hand_features(batch["points"])

    def unit(self) -> str:
        """Throughput counts groups."""
        return "group"


def normalised(points: Tensor, centre: Centre = "centroid", scale: Literal["sphere", "none"] = "sphere") -> Tensor:
    """Clouds ``[B, P, 3]`` counted from their ``centre`` and, with ``sphere``, reaching to a distance of 1."""
    if centre == "centroid":
        points = points - points.mean(1, keepdim=True)
    elif centre == "box":
        points = points - (points.amin(1, keepdim=True) + points.amax(1, keepdim=True)) / 2
    if scale == "none":
        return points
    reach = points.norm(dim=-1).amax(1)[:, None, None]
    return points / torch.where(reach > 0, reach, 1.0)

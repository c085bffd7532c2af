"""Point clouds cut into local groups: ``Points`` is the adapter; its parts can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskedmod.support.lazy import lazily

if TYPE_CHECKING:  # for editors and type checkers
    from maskedmod.support.lazy import model, models

    from .adapter import Points, normalised
    from .augment.scale_shift import ScaleShift
    from .demo import demo_shapes
    from .geometry import farthest_points, group_points, nearest_points
    from .pointnet import MiniPointNet
    from .reading import read_shape
    from .surface import sample_surface

_HOME = {
    "Points": "adapter",
    "normalised": "adapter",
    "ScaleShift": "augment.scale_shift",
    "demo_shapes": "demo",
    "farthest_points": "geometry",
    "group_points": "geometry",
    "nearest_points": "geometry",
    "MiniPointNet": "pointnet",
    "read_shape": "reading",
    "sample_surface": "surface",
}

__all__ = [
    "MiniPointNet",
    "Points",
    "ScaleShift",
    "demo_shapes",
    "farthest_points",
    "group_points",
    "model",
    "models",
    "nearest_points",
    "normalised",
    "read_shape",
    "sample_surface",
]

__getattr__, __dir__ = lazily(__name__, _HOME)

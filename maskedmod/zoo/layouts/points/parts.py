"""What the layouts of point clouds share."""

from __future__ import annotations

from maskedmod.zoo.mapping import STATISTICS, Rule, unconvolved

CONVOLUTIONS = {r"first_conv\.0": "conv1", r"first_conv\.3": "conv2", r"second_conv\.0": "conv3", r"second_conv\.3": "conv4"}


def point_rules(at: str, to: str) -> list[Rule]:
    """A convolution over single points is a linear map."""
    return [Rule(rf"{at}\.weight", f"{to}.weight", unconvolved), Rule(rf"{at}\.bias", f"{to}.bias")]


def pointnet_rules(at: str, to: str) -> list[Rule]:
    """The mini-PointNet."""
    out: list[Rule] = []
    for theirs, ours in CONVOLUTIONS.items():
        out += point_rules(rf"{at}\.{theirs}", f"{to}.{ours}")
    for theirs, ours in (("first_conv", "norm1"), ("second_conv", "norm2")):
        out.append(Rule(rf"{at}\.{theirs}\.1\.{STATISTICS}", rf"{to}.{ours}.\1"))
    return out

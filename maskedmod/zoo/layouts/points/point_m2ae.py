"""Point-M2AE as ZrrSkywalker/Point-M2AE saves it (``base_model.h_encoder.*``, ``h_decoder``, ``token_prop``, ``rec_head``)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.layouts.points.parts import point_rules, pointnet_rules
from maskedmod.zoo.mapping import HEAD, INNER, STATISTICS, Rule

NAME = "point_m2ae"
SETTINGS: dict[str, Any] = {
    "points": 2048,
    "groups": [512, 256, 64],
    "group_sizes": [16, 8, 8],
    "heads": 6,
    "mask_ratio": 0.8,
    "spill": True,
    "local_radius": None,
    "drop_path": 0.0,
}
"""``local_radius``: as in the released configurations, acting as it does in the released pre-training."""
RELEASED = {
    "NAME": parts.TOLD, "num_groups": "groups", "encoder_depths": parts.TOLD, "encoder_dims": parts.TOLD,
    "decoder_depths": parts.TOLD, "decoder_dims": parts.TOLD, "decoder_up_blocks": parts.TOLD, "num_heads": "heads",
    "drop_path_rate": "drop_path",
}  # fmt: skip
"""Of ``models.Point_M2AE`` and ``cfgs/pre-training/point-m2ae.yaml`` (1bdbe05): our setting, or why it is none."""
CONFIG: dict[str, str] = {}

AT = r"(?:base_model\.)?"
NOT_READ = "the norm of a level that pre-training does not read, left as it was at the start"


def matches(weights: Weights) -> bool:
    return parts.has(weights, AT + r"h_encoder\.token_embed\.0\.first_conv\.0\.weight")


def recipe(weights: Weights, settings: Tree) -> Tree:
    norms = rf"{AT}h_encoder\.encoder_norms\.(\d+)\.weight"
    widths = [len(_numbered(weights, norms, i)) for i in range(parts.depth(weights, norms))]
    depths = [parts.depth(weights, rf"{AT}h_encoder\.encoder_blocks\.{i}\.blocks\.(\d+)\..*") for i in range(len(widths))]
    stages = parts.depth(weights, rf"{AT}h_decoder\.(\d+)\..*")
    up = [parts.depth(weights, rf"{AT}token_prop\.{i}\.extraction\.operation\.(\d+)\..*") for i in range(stages - 1)]
    down = [parts.depth(weights, rf"{AT}h_decoder\.{i}\.blocks\.(\d+)\..*") for i in range(stages)]
    groups, sizes, level = settings["groups"], settings["group_sizes"], _level(weights)
    if not len(groups) == len(sizes) == len(widths):
        raise UserError(f"groups={groups}, group_sizes={sizes}: expected one number for each of {len(widths)} levels")
    coarser = [list(pair) for pair in zip(groups[1:], sizes[1:], strict=True)]
    points = {"points": settings["points"], "groups": groups[0], "group_size": sizes[0], "coarser": coarser, "level": level}
    encoder: Tree = {"widths": widths, "depths": depths, "heads": settings["heads"], "normed": level}
    drops = {"drop_path": settings["drop_path"]} if settings["drop_path"] else {}
    encoder |= drops
    if any(_radii(settings, len(widths))):
        encoder |= {"local_radius": _radii(settings, len(widths)), "radius_on": "padding"}
    outputs = parts.tensor(weights, AT + r"rec_head\.bias").shape[0]
    return {
        "modality": {"points": points},
        "mask": {"multi_scale": {"ratio": settings["mask_ratio"], "spill": settings["spill"]}},
        "encoder": {"point_pyramid": encoder},
        "target": {"points": {}},
        "head": {"pyramid_decoder": {"depths": down, "up_blocks": up, "heads": settings["heads"], "outputs": outputs, **drops}},
        "loss": {"chamfer": {}},
    }


def _radii(settings: Tree, levels: int) -> list[float]:
    """Of every level, 0 for none."""
    radii = settings["local_radius"] or [0.0] * levels
    if len(radii) != levels:
        raise UserError(f"local_radius={radii}: expected one number for each of {levels} levels, 0 for none")
    return [float(radius) for radius in radii]


def _level(weights: Weights) -> int:
    """The level that is predicted."""
    norms = parts.depth(weights, rf"{AT}h_encoder\.encoder_norms\.(\d+)\.weight")
    return norms - parts.depth(weights, rf"{AT}h_decoder\.(\d+)\..*")


def _numbered(weights: Weights, pattern: str, number: int) -> Tensor:
    return parts.tensor(weights, pattern.replace(r"(\d+)", str(number)))


def rules(weights: Weights, settings: Tree) -> list[Rule]:
    encoder = rf"{AT}h_encoder\."
    return [
        *pointnet_rules(rf"{encoder}token_embed\.0", "encoder.embed"),
        *(
            rule
            for i in range(1, parts.depth(weights, rf"{encoder}token_embed\.(\d+)\..*"))
            for rule in pointnet_rules(rf"{encoder}token_embed\.{i}", f"encoder.merges.{i - 1}")
        ),
        *_position_rules(rf"{encoder}encoder_pos_embeds", "encoder.positions"),
        *_block_rules(rf"{encoder}encoder_blocks", "encoder.stages"),
        *(Rule(rf"{encoder}encoder_norms\.{i}\.(?:weight|bias)", unneeded=NOT_READ) for i in range(_level(weights))),
        Rule(rf"{encoder}encoder_norms\.(\d+)\.(weight|bias)", r"encoder.norms.\1.\2"),
        parts.mask_token_rule(rf"{AT}mask_token", f"{HEAD}.mask_token"),
        *_position_rules(rf"{AT}decoder_pos_embeds", f"{HEAD}.positions"),
        *_block_rules(rf"{AT}h_decoder", f"{HEAD}.stages"),
        *_propagation_rules(rf"{AT}token_prop", f"{HEAD}.ups"),
        *parts.linear_rules(rf"{AT}decoder_norm", f"{HEAD}.norm"),
        *point_rules(rf"{AT}rec_head", f"{HEAD}.pred"),
    ]


def untrained(weights: Weights) -> dict[str, str]:
    return {}


def _position_rules(at: str, to: str) -> list[Rule]:
    return [Rule(rf"{at}\.(\d+)\.{old}\.(weight|bias)", rf"{to}.\1.{new}.\2") for old, new in ((0, "fc1"), (2, "fc2"))]


def _block_rules(at: str, to: str) -> list[Rule]:
    return [Rule(rf"{at}\.(\d+)\.blocks\.(\d+)\.{INNER}", rf"{to}.\1.\2.\3")]


def _propagation_rules(at: str, to: str) -> list[Rule]:
    """The same per step and residual layer, whose numbers stand in both names."""
    residual, ours = rf"{at}\.(\d+)\.extraction\.operation\.(\d+)", rf"{to}.\1.residual.\2"
    out = [*point_rules(rf"{at}\.(\d+)\.fuse\.net\.0", rf"{to}.\1.fuse"), _numbered_norm(at)]
    for number in (1, 2):
        out += point_rules(rf"{residual}\.net{number}\.0", rf"{ours}.fc{number}")
        out.append(Rule(rf"{residual}\.net{number}\.1\.{STATISTICS}", rf"{ours}.norm{number}.\3"))
    return out


def _numbered_norm(at: str) -> Rule:
    return Rule(rf"{at}\.(\d+)\.fuse\.net\.1\.{STATISTICS}", rf"{HEAD}.ups.\1.norm.\2")

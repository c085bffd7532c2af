"""What the recordings of Point-BERT and MaskPoint share: rules for their Transformer, the model of a recipe filled with them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from maskedmod.core.model import MaskedModel
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.points.parts import pointnet_rules
from maskedmod.zoo.mapping import Rule, convert
from tests.parity.bounds import agree_in_training, own_difference
from tests.parity.golden import GRADIENT, Golden, agree

MOVED = "the moving average of a part that only the student reads"


def reduced(case: Golden) -> bool:
    """Whether there is a linear map from the width of groups: where the widths are equal, MaskPoint has none."""
    return any("reduce_dim" in key for key in case.tensors)


def network_rules(at: str, to: str, reduced: bool = True) -> list[Rule]:
    """The embedding of groups and the Transformer with a class token, into the encoder ``to``."""
    return [
        *pointnet_rules(rf"{at}\.encoder", f"{to}.embed.groups" if reduced else f"{to}.embed"),
        *parts.linear_rules(rf"{at}\.reduce_dim", f"{to}.embed.reduce"),
        *parts.linear_rules(rf"{at}\.pos_embed\.0", f"{to}.positions.fc1"),
        *parts.linear_rules(rf"{at}\.pos_embed\.2", f"{to}.positions.fc2"),
        *parts.block_rules(rf"{at}\.blocks\.blocks", f"{to}.blocks"),
        *parts.linear_rules(rf"{at}\.norm", f"{to}.norm"),
        Rule(rf"{at}\.cls_token", f"{to}.prefix_tokens"),
        Rule(rf"{at}\.cls_pos", f"{to}.prefix_positions"),
    ]


def queue_rules(loss: str) -> list[Rule]:
    return [Rule("queue", f"{loss}.queue", lambda x: x.T), Rule("queue_ptr", f"{loss}.next", lambda x: x[0])]


def filled(model: MaskedModel, case: Golden, rules: list[Rule], never: tuple[str, ...] = ()) -> MaskedModel:
    """The recipe's model with the recorded weights: all of them used, all of ours filled but what begins with ``never``."""
    found = convert(case.group("weights."), rules)
    assert not found.unexpected, found.unexpected
    told = model.load_state_dict(found.state, strict=False)
    assert not told.unexpected_keys and all(key.startswith(never) for key in told.missing_keys), told
    return model


def gradients_of(case: Golden, model: MaskedModel, rules: list[Rule], mode: str, never: tuple[str, ...] = ()) -> None:
    """Every recorded gradient; ``never``: parameters that do not learn here, whose gradient is 0 there."""
    found = convert(case.group("train.grad." if mode == "train" else "grad."), rules)
    assert found.state and not found.unexpected
    for key, reference in found.state.items():
        parameter = model.get_parameter(key)
        if key in never:
            assert not parameter.requires_grad and not reference.any()
            continue
        assert parameter.grad is not None, key
        own = own_difference(case) if mode == "train" else 0.0
        agree_in_training(f"gradient of {key}", parameter.grad, reference, own, GRADIENT)


def state_agrees(model: MaskedModel, recorded: dict[str, Tensor], rules: list[Rule]) -> None:
    """Buffers and moved parameters after a step."""
    found = convert(recorded, rules)
    assert found.state and not found.unexpected, found.unexpected
    own: dict[str, Any] = model.state_dict()
    for key, reference in found.state.items():
        agree(key, own[key].double(), reference.double())

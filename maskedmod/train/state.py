"""What a checkpoint holds of the model and its optimisers, whole and under parameter names, whatever the number of processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from maskedmod.errors import UserError


def gather(
    model: nn.Module, optimizers: Mapping[str, torch.optim.Optimizer], sharded: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Model tensors and optimiser states. All processes call it; with FSDP the first one alone gets the content."""
    if sharded:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        states = {name: get_optimizer_state_dict(model, one, options=options) for name, one in optimizers.items()}
        tensors: dict[str, Any] = get_model_state_dict(model, options=options)
        return tensors, states
    names = _names(model)
    states = {name: _by_name(one.state_dict(), one, names) for name, one in optimizers.items()}
    return dict(model.state_dict()), states


def restore(
    model: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    tensors: dict[str, Any],
    states: dict[str, Any],
    sharded: bool,
) -> None:
    """Put back what ``gather`` returned. Raises UserError when names or shapes are not those of the model."""
    if set(states) != set(optimizers):
        raise UserError(f"checkpoint has optimisers {sorted(states)}, the model has {sorted(optimizers)}")
    _check_names(set(tensors), set(model.state_dict()))
    if sharded:
        options = StateDictOptions(full_state_dict=True, strict=True)
        set_model_state_dict(model, tensors, options=options)
        for name, one in optimizers.items():
            set_optimizer_state_dict(model, one, states[name], options=options)
        return
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"checkpoint does not fit the model: {' '.join(str(error).split())}") from error
    names = _names(model)
    for name, one in optimizers.items():
        one.load_state_dict(_by_index(states[name], one, names))


def _check_names(saved: set[str], present: set[str]) -> None:
    if saved != present:
        missing, extra = sorted(present - saved), sorted(saved - present)
        raise UserError(
            f"checkpoint does not fit the model: {len(missing)} tensors are missing ({', '.join(missing[:3])}), "
            f"{len(extra)} are not in the model ({', '.join(extra[:3])})"
        )


def _names(model: nn.Module) -> dict[int, str]:
    return {id(parameter): name for name, parameter in model.named_parameters()}


def _order(optimizer: torch.optim.Optimizer, names: dict[int, str]) -> list[str]:
    return [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]


def _by_name(state: dict[str, Any], optimizer: torch.optim.Optimizer, names: dict[int, str]) -> dict[str, Any]:
    """The layout of torch.distributed.checkpoint: states and groups refer to parameter names, so that a checkpoint can go
    on under another kind of parallel run."""
    order = _order(optimizer, names)
    groups = [{**group, "params": [order[i] for i in group["params"]]} for group in state["param_groups"]]
    return {"state": {order[i]: one for i, one in state["state"].items()}, "param_groups": groups}


def _by_index(state: dict[str, Any], optimizer: torch.optim.Optimizer, names: dict[int, str]) -> dict[str, Any]:
    index = {name: i for i, name in enumerate(_order(optimizer, names))}
    groups = [{**group, "params": [index[name] for name in group["params"]]} for group in state["param_groups"]]
    return {"state": {index[name]: one for name, one in state["state"].items()}, "param_groups": groups}

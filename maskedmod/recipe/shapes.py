"""Running a network on shapes alone: float tensors have no values, whole numbers have, so that lengths, indices and masks of
packed sequences and graphs stay known."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_any, tree_map

_INDEXED = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put.default, torch.ops.aten.index_put_.default)


class Shapes(TorchDispatchMode):
    """An operation with a tensor that has no values gives one without; any other one is computed. NotImplementedError where a
    decision would hang on a value that is not there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not tree_any(_empty, (args, kwargs)):
            return func(*args, **kwargs)
        if func is torch.ops.aten._local_scalar_dense.default:
            raise NotImplementedError("a decision depends on values that are not known before training")
        if func in _INDEXED:
            args = (args[0], _places(args[1]), *args[2:])
        return func(*tree_map(_emptied, args), **tree_map(_emptied, kwargs))


def floats_emptied(value: Any) -> Any:
    """The same value with every float tensor in it without values."""
    if isinstance(value, Tensor):
        return _emptied(value) if value.is_floating_point() else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{f.name: floats_emptied(getattr(value, f.name)) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {key: floats_emptied(part) for key, part in value.items()}
    return tuple(floats_emptied(part) for part in value) if isinstance(value, tuple) else value


def drawn(value: Any) -> Any:
    """The same value with numbers from 0 to 1 in every float tensor that has none: what stands for a
    teacher's output before a mask."""
    if isinstance(value, Tensor):
        generator = torch.Generator().manual_seed(0)
        return torch.rand(value.shape, generator=generator) if _empty(value) and value.is_floating_point() else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{f.name: drawn(getattr(value, f.name)) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {key: drawn(part) for key, part in value.items()}
    return tuple(drawn(part) for part in value) if isinstance(value, tuple) else value


def _empty(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_meta


def _emptied(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) and not value.is_meta else value


def _places(indices: Any) -> list[Any]:
    """Yes-or-no indices as numbers, since how many are yes is a value."""
    out: list[Any] = []
    for index in indices:
        known = isinstance(index, Tensor) and not index.is_meta and index.dtype in (torch.bool, torch.uint8)
        out += list(index.nonzero().unbind(1)) if known else [index]
    return out

"""Labels of records as tensors: what kind of task they make, and which class is which number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from maskedmod.errors import UserError

Task = Literal["classes", "tags", "numbers", "tokens"]


@dataclass(frozen=True)
class Labels:
    """``task``: classes (one name or int a sample), tags (a list of 0, 1 or missing a sample), numbers (to be regressed),
    tokens (a class for every token, see finetune/tokens.py).
    ``y``: int64 ``[n]`` for classes, else float32 ``[n, K]`` with NaN where a label is missing. ``names`` of the classes."""

    task: Task
    y: Tensor
    names: tuple[str, ...] = ()


def encode(raw: Sequence[Any], numbers: bool, keys: Sequence[str]) -> Labels:
    """Labels of all samples, training and test together, so that they share their numbering. ``numbers``: the protocol is a
    regression, and labels are read as numbers even when they are text. UserError names the sample whose label does not fit."""
    if numbers:
        return Labels("numbers", torch.stack([_row(label, key) for label, key in zip(raw, keys, strict=True)]))
    if any(isinstance(label, list | tuple | np.ndarray) for label in raw):
        return Labels("tags", _tags(raw, keys))
    for label, key in zip(raw, keys, strict=True):
        if isinstance(label, float) and not label.is_integer():
            raise UserError(f"{key}: label {label} is a number, not a class; protocol=ridge predicts numbers")
    names = sorted({_name(label) for label in raw}, key=_numbers_first)
    number = {name: i for i, name in enumerate(names)}
    return Labels("classes", torch.tensor([number[_name(label)] for label in raw]), tuple(names))


def missing(label: Any) -> bool:
    """True for None and NaN."""
    return label is None or (isinstance(label, float) and math.isnan(label))


def minus_one(label: Any) -> bool:
    """True for the integer -1."""
    return isinstance(label, int | np.integer) and int(label) == -1


def minus_one_is_missing(raw: Sequence[Any], numbers: bool) -> bool:
    """Whether the integer -1 stands for no label, as in published test sets, given the labels of all parts. Among numbers it is
    one of them. Among classes it is a class unless two others remain, none of them negative (+1 and -1 are two classes);
    beside lists it is no label."""
    rest = [label for label in raw if not missing(label) and not minus_one(label)]
    if numbers or not any(minus_one(label) for label in raw):
        return False
    if any(isinstance(label, float) and not label.is_integer() for label in rest):
        return False
    if any(isinstance(label, list | tuple | np.ndarray) for label in rest):
        return True
    negative = any(isinstance(label, int | float | np.integer) and label < 0 for label in rest)
    return not negative and len({_name(label) for label in rest}) >= 2


def _tags(raw: Sequence[Any], keys: Sequence[str]) -> Tensor:
    rows = [_row(label, key) for label, key in zip(raw, keys, strict=True)]
    for row, key in zip(rows, keys, strict=True):
        if len(row) != len(rows[0]):
            raise UserError(f"{key}: {len(row)} labels, {keys[0]} has {len(rows[0])}")
        if not bool(((row == 0) | (row == 1) | row.isnan()).all()):
            raise UserError(f"{key}: labels {row.tolist()}; a list of labels must hold 0, 1 or nothing")
    return torch.stack(rows)


def _row(label: Any, key: str) -> Tensor:
    """float32 ``[K]``, NaN for None."""
    values = list(label) if isinstance(label, list | tuple | np.ndarray) else [label]
    try:
        row = torch.tensor([math.nan if value is None else float(value) for value in values])
    except (TypeError, ValueError):
        raise UserError(f"{key}: label {label!r} is no number, and this protocol predicts numbers") from None
    if bool(row.isinf().any()):
        raise UserError(f"{key}: label {label!r} is infinite, or beyond single precision")
    return row


def _name(label: Any) -> str:
    return str(int(label)) if isinstance(label, float | np.integer) else str(label)


def _numbers_first(name: str) -> tuple[bool, int, str]:
    number = name.lstrip("-").isdecimal()
    return (not number, int(name) if number else 0, name)

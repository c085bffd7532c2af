"""Build a model whose first weights nobody will see: they are about to be read from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

WITHIN = torch.zeros(())


class Unfilled(TorchFunctionMode):
    """Within ``with Unfilled():`` parameters are made and not drawn, in this thread alone. Their memory is not touched, so it
    costs neither time nor pages."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        if args and isinstance(args[0], nn.Parameter):
            name = getattr(func, "__name__", "")
            if name in ("uniform_", "copy_"):
                return args[0]
            if name == "normal_":
                return WITHIN  # truncated normals look whether what they drew lies within bounds, and copy it
        return func(*args, **kwargs)

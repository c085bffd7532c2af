"""What a recipe costs before it runs: parameters, operations and memory of a step, counted on shapes alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from maskedmod.core.apply import Seen, apply
from maskedmod.core.blocks.teacher import Checkpoints
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import View
from maskedmod.core.tokens import Tokens
from maskedmod.recipe.build import build_mask, build_modality, build_model


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters; ``trained`` have a gradient, the rest is fixed (teachers, position tables)."""

    total: int
    trained: int
    encoder: int
    heads: int
    teacher: int


@dataclass(frozen=True)
class Cost:
    """Of one optimiser step. ``flops``: floating-point operations (a multiply-add is two), forward, backward and teacher.
    ``state_bytes``: weights, gradients and optimiser moments; ``activation_bytes``: kept from forward to backward."""

    samples: int
    tokens: int
    visible: int
    flops: int
    state_bytes: int
    activation_bytes: int


def meta_model(tree: dict[str, Any], checkpoints: Checkpoints | None = None) -> MaskedModel:
    """The model without memory: parameters have shapes, no values. The modality and the mask are real. ``checkpoints``: see
    ``build_model``."""
    modality = build_modality(tree)
    with torch.device("meta"), _NoDraws():
        model = build_model(tree, modality, checkpoints)
    model.mask = build_mask(tree, modality.spec)
    return model


class _NoDraws(TorchFunctionMode):
    """First values are left out: meta tensors have none, and working them out takes torch seconds."""

    SKIPPED = frozenset(
        [
            *("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "constant_", "zero_", "fill_"),
            *("erfinv_", "mul_", "add_", "div_", "clamp_"),
        ]
    )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else kwargs.get("tensor")
        if getattr(func, "__name__", "") in self.SKIPPED and isinstance(first, Tensor) and first.is_meta:
            return first
        return (torch.empty if func in (torch.randn, torch.rand) else func)(*args, **kwargs)


def count_parameters(model: MaskedModel) -> Parameters:
    """Parameters by part; tensors that parts share count once in the total."""

    def size(module: nn.Module | None, trained: bool = False) -> int:
        return 0 if module is None else sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)

    return Parameters(size(model), size(model, True), size(model.encoder), size(model.objectives), size(model.teacher))


def count_cost(model: MaskedModel, batch_size: int, accumulate: int = 1) -> Cost:
    """Cost of a step of ``batch_size`` samples, from a forward pass of one built-in sample on meta tensors.

    Attention counts as its two matrix products; targets and losses, below a percent, are left out. Activations are of one
    accumulation part. Raises ValueError for a mask that looks at a teacher's values, which shapes alone do not give.
    """
    from torch.utils.flop_counter import FlopCounterMode

    if model.mask.needs_teacher:
        raise ValueError("the mask depends on the teacher's values")
    tokens = _sample(model)
    rows = tokens.repeat(model.mask.per_sample)
    mask = model.mask(rows, Context(generator=torch.Generator().manual_seed(0)))
    seen = apply(rows, mask, model.encoder.sees)
    with FlopCounterMode(display=False) as taught:
        teacher = _teach(model, tokens, seen)
    kept: list[Tensor] = []
    with FlopCounterMode(display=False) as learnt, torch.autograd.graph.saved_tensors_hooks(_keep_in(kept), _same):
        student = model.encoder(_meta(seen), model._taps("head"))
        view = View(_meta(tokens), _meta(rows), _meta(mask), student, teacher)
        predictions = [objective.head(view, view.mask.where(objective.region)) for _, objective in model._each()]
    kept += predictions
    samples, parameters = tokens.batch, count_parameters(model)
    return Cost(
        samples=batch_size,
        tokens=_length(tokens),
        visible=_length(seen.tokens) * rows.batch // samples,
        flops=(3 * learnt.get_total_flops() + taught.get_total_flops()) * batch_size // samples,
        state_bytes=4 * parameters.total + 12 * parameters.trained,
        activation_bytes=_bytes(kept, model) * max(1, batch_size // accumulate) // samples,
    )


def _sample(model: MaskedModel) -> Tokens:
    """Tokens of one built-in sample, on the CPU."""
    modality = model.modality
    with torch.no_grad():
        sample = modality.read(modality.expand(modality.demo("val")[0])[0])
        modality.statistics.update(modality.measure([sample]))
        context = Context(training=False, generator=torch.Generator().manual_seed(0))
        return next(iter(modality.tokenize(modality.prepare(modality.collate([sample]), context)).values()))


@torch.no_grad()
def _teach(model: MaskedModel, tokens: Tokens, seen: Seen) -> Latent | None:
    if model.teacher is None:
        return None
    shown = Seen(tokens) if model.teacher.sees == "full" else dataclasses.replace(seen, hidden=None)
    return model.teacher(_meta(shown), model._taps("target"))


def _keep_in(kept: list[Tensor]) -> Callable[[Tensor], Tensor]:
    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    return keep


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _bytes(kept: list[Tensor], model: MaskedModel) -> int:
    """Memory of the tensors; views of one storage and the model's own tensors do not count again."""
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    sizes = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in kept}
    return sum(size for storage, size in sizes.items() if storage not in own)


def _length(tokens: Tokens) -> int:
    """Tokens per sample (of a packed batch: the mean)."""
    return tokens.shape[0] // tokens.batch if tokens.layout.packed else tokens.shape[1]


def _meta(value: Any) -> Any:
    """The same value with every tensor on the meta device."""
    if isinstance(value, Tensor):
        return value.to("meta")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{f.name: _meta(getattr(value, f.name)) for f in dataclasses.fields(value)})
    return tuple(_meta(part) for part in value) if isinstance(value, tuple) else value

"""What a recipe costs before it runs: parameters, operations and memory of a step, counted on shapes alone. Packed sequences and
graphs, whose samples have no size of their own, are counted on built-in ones."""

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
from maskedmod.core.modality import Modality
from maskedmod.core.model import MaskedModel
from maskedmod.core.step import View
from maskedmod.core.tokens import Tokens
from maskedmod.errors import UserError
from maskedmod.recipe.build import build_mask, build_modality, build_model
from maskedmod.recipe.shapes import Shapes, drawn, floats_emptied

PACKED = 8
"""Built-in samples that a packed count is the mean of."""


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
    ``state_bytes``: weights, gradients and optimiser moments; ``activation_bytes``: kept from forward to backward. ``sample``:
    what a count of packed samples stands on."""

    samples: int
    tokens: int
    visible: int
    flops: int
    state_bytes: int
    activation_bytes: int
    sample: str = ""


def meta_model(
    tree: dict[str, Any], checkpoints: Checkpoints | None = None, statistics: dict[str, Any] | None = None
) -> MaskedModel:
    """The model without memory: parameters have shapes, no values. The modality and the mask are real. ``checkpoints``: see
    ``build_model``. ``statistics``: what the modality would have measured on data."""
    modality = build_modality(tree)
    modality.statistics.update(statistics or {})
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


def sized_model(tree: dict[str, Any], checkpoints: Checkpoints | None = None) -> tuple[MaskedModel, str]:
    """``meta_model``, with sizes that only data tell (values of a node) taken from the built-in sample, and what was taken."""
    try:
        return meta_model(tree, checkpoints), ""
    except UserError:
        modality = build_modality(tree)
        found = modality.measure([modality.read(record) for record in modality.typical(1)])
        if not found:
            raise
        return meta_model(tree, checkpoints, found), ", ".join(f"{key} {value}" for key, value in found.items())


def count_cost(model: MaskedModel, batch_size: int, accumulate: int = 1, batch_tokens: int | None = None) -> Cost:
    """Cost of a step of ``batch_size`` samples, or of packed ``batch_tokens``, from a forward pass of built-in samples on tensors
    without values.

    Attention counts as its two matrix products; targets and losses, below a percent, are left out. Activations are of one
    accumulation part. Raises NotImplementedError where a frozen teacher would have to be fetched.
    """
    from torch.utils.flop_counter import FlopCounterMode

    tokens = _sample(model)
    context = Context(generator=torch.Generator().manual_seed(0))
    rows = tokens.repeat(model.mask.per_sample)
    teacher, taught = None, FlopCounterMode(display=False)
    with Shapes(), taught:
        teacher = _teach(model, Seen(tokens), "full")
    mask = model.mask(rows, context.with_teacher(drawn(teacher)))
    seen = apply(rows, mask, model.encoder.sees)
    kept: list[Tensor] = []
    if teacher is None and model.teacher is not None:
        with Shapes(), taught:
            teacher = _teach(model, seen, "same")
    learnt = FlopCounterMode(display=False)
    with Shapes(), learnt, torch.autograd.graph.saved_tensors_hooks(_keep_in(kept), _same):
        student = model.encoder(floats_emptied(seen), model._taps("head"))
        view = View(floats_emptied(tokens), floats_emptied(rows), floats_emptied(mask), student, teacher)
        predictions = [objective.head(view, view.mask.where(objective.region)) for _, objective in model._each()]
    kept += predictions
    samples, parameters, length = tokens.batch, count_parameters(model), _length(tokens)
    if batch_tokens is not None:
        batch_size = max(1, batch_tokens // length)
    return Cost(
        samples=batch_size,
        tokens=length,
        visible=_length(seen.tokens) * rows.batch // samples,
        flops=(3 * learnt.get_total_flops() + taught.get_total_flops()) * batch_size // samples,
        state_bytes=4 * parameters.total + 12 * parameters.trained,
        activation_bytes=_bytes(kept, model) * max(1, batch_size // accumulate) // samples,
        sample=_told(tokens, model.modality) if tokens.layout.packed else "",
    )


def _told(tokens: Tokens, modality: Modality) -> str:
    """What a packed count stands on, since its samples have no size of their own."""
    return (
        f"{tokens.batch} built-in samples of {_length(tokens)} {modality.unit()}s in the mean; longer or larger ones cost in "
        "proportion, attention more"
    )


def _sample(model: MaskedModel) -> Tokens:
    """Tokens of one built-in sample, or of several packed ones, on the CPU."""
    modality = model.modality
    with torch.no_grad():
        first = modality.read(modality.expand(modality.typical(1)[0])[0])
        known = dict(modality.statistics)
        modality.statistics.update({**modality.measure([first]), **known})
        context = Context(training=False, generator=torch.Generator().manual_seed(0))
        tokens = _tokens(modality, [first], context)
        if tokens.layout.packed:
            tokens = _tokens(modality, [modality.read(record) for record in modality.typical(PACKED)], context)
        return tokens


def _tokens(modality: Modality, samples: list[Any], context: Context) -> Tokens:
    return next(iter(modality.tokenize(modality.prepare(modality.collate(samples), context)).values()))


@torch.no_grad()
def _teach(model: MaskedModel, seen: Seen, moment: str) -> Latent | None:
    if model.teacher is None or model.teacher.sees != moment:
        return None
    return model.teacher(floats_emptied(dataclasses.replace(seen, hidden=None)), model._taps("target"))


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

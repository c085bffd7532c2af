"""maskedmod show recipe=NAME [key=value ...]

Prints the resolved recipe with every default, its number of parameters, and what a training step costs (operations, memory).
Nothing is trained. The words are those of `maskedmod train`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.config import resolve, stages
from maskedmod.recipe.file import dump


def run(words: Sequence[str]) -> int:
    """Print the recipe and the figures of each of its stages."""
    tree = resolve(words)
    print(dump(tree))
    for name, stage in stages(tree):
        print("\n".join(figures(stage, "" if name == "main" else f" of stage {name}")))
    return 0


def figures(tree: dict[str, Any], of: str = "") -> list[str]:
    """Lines with the parameters and the cost of a step."""
    from maskedmod.recipe.estimate import count_cost, count_parameters, meta_model
    from maskedmod.zoo.load import Checkpoints

    try:
        model = meta_model(tree, Checkpoints())
    except UserError as error:  # sizes that only the data tell
        return [f"# parameters{of}: not counted ({error})"]
    parameters = count_parameters(model)
    parts = [f"encoder {parameters.encoder:,}", f"heads {parameters.heads:,}"]
    if parameters.teacher:
        parts.append(f"teacher {parameters.teacher:,}")
    lines = [f"# parameters{of}: {parameters.total:,} ({parameters.trained:,} trained; {', '.join(parts)})"]
    train = tree["train"]
    try:
        cost = count_cost(model, train["batch_size"], train["accumulate"])
    except (ValueError, NotImplementedError, RuntimeError) as error:
        return [*lines, f"# cost of a step{of}: not counted ({str(error).splitlines()[0]})"]
    lines.append(f"# tokens per sample{of}: {cost.tokens}, of which the encoder sees {cost.visible}")
    lines.append(
        f"# operations per step{of}: {_scaled(cost.flops, 1000, 'FLOP')} for {cost.samples} samples (forward and backward)"
    )
    state, kept = _scaled(cost.state_bytes, 1024, "iB"), _scaled(cost.activation_bytes, 1024, "iB")
    note = "; a part of the latter with activation_checkpointing" if train["activation_checkpointing"] else ""
    lines.append(f"# memory{of}: about {state} for weights, gradients and AdamW, {kept} for activations in float32{note}")
    return lines


def _scaled(number: float, base: int, unit: str) -> str:
    prefixes = ["", "K", "M", "G", "T", "P", "E"]
    while number >= base and len(prefixes) > 1:
        number, prefixes = number / base, prefixes[1:]
    return f"{number:.3g} {prefixes[0]}{unit}"

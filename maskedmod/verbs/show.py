"""maskedmod show recipe=NAME [key=value ...]
maskedmod show RUN

Prints the resolved recipe with every default, its number of parameters, and what a training step costs (operations, memory).
Nothing is trained. The words are those of `maskedmod train`.

Of a run folder: its recipe, parameters, step and last metrics, checkpoints and evaluations.

  maskedmod show mae preset=tiny
  maskedmod show runs/a

json=true   print it as one JSON object
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe.config import resolve, stages
from maskedmod.recipe.file import dump, load_tree
from maskedmod.report.files import flat
from maskedmod.report.overview import checkpoints, evaluations, is_run, overview
from maskedmod.support.columns import entry
from maskedmod.verbs.words import print_json, switch


def run(words: Sequence[str]) -> int:
    """Print the recipe and the figures of each of its stages, or what there is of a run."""
    words, as_json = switch(words, "json")
    named = [word.partition("=")[2] for word in words if word.partition("=")[0] in ("recipe", "checkpoint")]
    if any(word.startswith("checkpoint=") for word in words) and not (len(words) == 1 and is_run(named[0])):
        raise UserError(
            f"checkpoint={','.join(named)} must stand alone and be a run folder: maskedmod show RUN, or recipe=NAME ..."
        )
    if len(words) == 1 and named and is_run(named[0]):
        return _run(Path(named[0]), as_json)
    tree = resolve(words)
    found = [(name, Figures.of(stage)) for name, stage in stages(tree)]
    if as_json:
        print_json({"recipe": tree, "stages": {name: one.to_json() for name, one in found}})
        return 0
    print(dump(tree))
    for name, one in found:
        print("\n".join(one.lines("" if name == "main" else f" of stage {name}")))
    return 0


def _run(run: Path, as_json: bool) -> int:
    """A run folder. Parts that it has not are left out."""
    found, tree = overview(run), load_tree(run / "recipe.yaml")
    saved, judged = checkpoints(run), evaluations(run)
    counted = {name: Figures.of(stage) for name, stage in stages(tree)}
    if as_json:
        print_json({
            **found.to_json(), "recipe": tree, "stages": {name: one.to_json() for name, one in counted.items()},
            "last": found.last, "last_validation": found.validated, "checkpoints": saved, "evaluations": judged,
        })  # fmt: skip
        return 0
    print(dump(tree))
    for name, one in counted.items():
        print("\n".join(one.lines("" if name == "main" else f" of stage {name}")))
    print(_comment("run", found.line()))
    for title, line in (("last step", found.last), ("last validation", found.validated)):
        if line:
            print(_comment(title, ", ".join(f"{key} {_short(value)}" for key, value in flat(line).items())))
    print(_comment("checkpoints", ", ".join(saved) or "none yet"))
    for file, result in judged.items():
        print(_comment(file, _judged(result)))
    if not judged:
        print(_comment("evaluations", f"none yet: maskedmod eval {run} protocol=knn"))
    return 0


def _judged(result: dict[str, Any]) -> str:
    if not result:
        return "cannot be read"
    metric = str(result.get("metric"))
    others = [f"{name} {_short(one.get('mean'))}" for name, one in (result.get("baselines") or {}).items()]
    return f"{result.get('protocol')}, {metric}: {_short(result.get('mean'))}" + (f" ({', '.join(others)})" if others else "")


@dataclasses.dataclass(frozen=True)
class Figures:
    """Parameters and cost of a step of one recipe; where one is None, ``why``. ``sizes``: those of the built-in sample, where
    data alone would tell."""

    parameters: Any
    cost: Any
    why: str = ""
    sizes: str = ""
    recomputed: bool = False

    @classmethod
    def of(cls, tree: dict[str, Any]) -> Figures:
        """Count on shapes alone."""
        from maskedmod.recipe.estimate import count_cost, count_parameters, sized_model
        from maskedmod.zoo.load import Checkpoints

        try:
            model, sizes = sized_model(tree, Checkpoints())
        except UserError as error:  # what only data tell
            return cls(None, None, str(error))
        parameters, train = count_parameters(model), tree["train"]
        try:
            cost = count_cost(model, train["batch_size"], train["accumulate"], train.get("batch_tokens"))
        except (ValueError, NotImplementedError, RuntimeError) as error:
            return cls(parameters, None, str(error).splitlines()[0], sizes)
        return cls(parameters, cost, "", sizes, bool(train["activation_checkpointing"]))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "parameters": None if self.parameters is None else dataclasses.asdict(self.parameters),
            "cost": None if self.cost is None else dataclasses.asdict(self.cost),
            **({"not_counted": self.why} if self.why else {}),
            **({"sizes_of_built_in_sample": self.sizes} if self.sizes else {}),
        }

    def lines(self, of: str = "") -> list[str]:
        """Comments below a recipe."""
        if self.parameters is None:
            return [_comment(f"parameters{of}", f"not counted ({self.why})")]
        p = self.parameters
        parts = [f"encoder {p.encoder:,}", f"heads {p.heads:,}", *([f"teacher {p.teacher:,}"] if p.teacher else [])]
        lines = [_comment(f"parameters{of}", f"{p.total:,} ({p.trained:,} trained; {', '.join(parts)})")]
        if self.sizes:
            lines.append(_comment(f"sizes{of}", f"{self.sizes}, as in the built-in sample; data of your own tell theirs"))
        if self.cost is None:
            return [*lines, _comment(f"cost of a step{of}", f"not counted ({self.why})")]
        c = self.cost
        lines.append(_comment(f"tokens per sample{of}", f"{c.tokens}, of which the encoder sees {c.visible}"))
        operations = f"{_scaled(c.flops, 1000, 'FLOP')} for {c.samples} samples (forward and backward)"
        lines.append(_comment(f"operations per step{of}", operations))
        if c.sample:
            lines.append(_comment(f"counted on{of}", c.sample))
        state, kept = _scaled(c.state_bytes, 1024, "iB"), _scaled(c.activation_bytes, 1024, "iB")
        note = "; a part of the latter with activation_checkpointing" if self.recomputed else ""
        memory = f"about {state} for weights, gradients and AdamW, {kept} for activations in float32{note}"
        return [*lines, _comment(f"memory{of}", memory)]


def _comment(title: str, text: str) -> str:
    """``# title: text`` in lines of at most 80, all of them comments."""
    return "\n".join(f"# {line}" for line in entry(f"{title}: ", text, 2 if len(title) > 30 else None, width=78).splitlines())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _scaled(number: float, base: int, unit: str) -> str:
    prefixes = ["", "K", "M", "G", "T", "P", "E"]
    while number >= base and len(prefixes) > 1:
        number, prefixes = number / base, prefixes[1:]
    return f"{number:.3g} {prefixes[0]}{unit}"

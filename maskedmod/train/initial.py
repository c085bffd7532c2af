"""First weights from another run or a published checkpoint (``init=``), with every key accounted for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from maskedmod.errors import UserError


@dataclass
class Reused:
    """Names of tensors: taken over; of another shape; only in the model (they stay as drawn); only in the source."""

    taken: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def lines(self, source: str) -> list[str]:
        """One line a kind, for the reader."""
        kinds = (
            ("tensors taken over", self.taken),
            ("have another shape and stay as drawn", self.reshaped),
            ("are not in it and stay as drawn", self.fresh),
            ("of it are not in the model", self.unused),
        )
        found = [
            f"{len(names)} {what}" + (f" ({_short(names)})" if what != kinds[0][0] else "") for what, names in kinds if names
        ]
        return [f"init={source}: {line}" for line in found]


def start_from(model: nn.Module, source: str | Path) -> Reused:
    """Copy every tensor of ``source`` that has a namesake of the same shape in the model; nothing is dropped unsaid. Raises
    UserError when nothing fits."""
    from maskedmod.zoo.load import load

    loaded = load(source, strict=False)
    drawn = {*loaded.report.untrained, *loaded.report.missing}  # fresh random numbers, not the file's
    theirs = {name: tensor for name, tensor in loaded.model.state_dict().items() if name not in drawn}
    reused = match(model, theirs)
    reused.unused += sorted(loaded.report.unexpected)
    if not reused.taken:
        raise UserError(f"init={source}: none of its {len(theirs)} tensors fits the model")
    return reused


def match(model: nn.Module, theirs: dict[str, Tensor]) -> Reused:
    """The copying itself."""
    own = model.state_dict()
    reused = Reused(unused=sorted(theirs.keys() - own.keys()))
    for name, tensor in own.items():
        if name not in theirs:
            reused.fresh.append(name)
        elif theirs[name].shape != tensor.shape:
            reused.reshaped.append(name)
        else:
            tensor.copy_(theirs[name])
            reused.taken.append(name)
    return reused


def _short(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")

"""What became of every key of a file and every parameter of the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """``used``: keys of the file that went into the model. ``unneeded``: keys known not to be needed, with the reason.
    ``altered``: keys whose numbers were changed, with what was done. ``untrained``: parameters of the model that the file does
    not hold and that keep their fresh values, with the reason.
    ``prefix``: what was taken off the keys.
    ``settings``: what no tensor tells (heads, eps, mask ratio, ...) with the value taken. ``unexpected`` and ``missing`` are
    empty unless loading was told not to be strict."""

    layout: str
    used: list[str] = field(default_factory=list)
    unneeded: dict[str, str] = field(default_factory=dict)
    altered: dict[str, str] = field(default_factory=dict)
    untrained: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    prefix: str = ""

    def __str__(self) -> str:
        off = f", {self.prefix} taken off them" if self.prefix else ""
        lines = [f"layout {self.layout}: {len(self.used)} keys used{off}"]
        groups = (("not needed", self.unneeded), ("altered", self.altered), ("not in the file, fresh values", self.untrained))
        for title, keys in groups:
            for reason in dict.fromkeys(keys.values()):
                names = [key for key, why in keys.items() if why == reason]
                lines.append(f"  {title}: {_few(names)}: {reason}")
        for title, left in (("unexpected", self.unexpected), ("missing", self.missing)):
            if left:
                lines.append(f"  {title}: {_few(left)}")
        lines.append("  settings: " + ", ".join(f"{key}={value}" for key, value in self.settings.items()))
        return "\n".join(lines)


def _few(names: list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"

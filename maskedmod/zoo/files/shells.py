"""Settings that a pickle keeps in objects of other packages: shells that take what they are given, and back to plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS = (
    "argparse.Namespace", "omegaconf.", "yacs.config.", "easydict.", "addict.", "munch.", "ml_collections.", "mmcv.utils.config.",
    "mmengine.config.", "fairseq.dataclass.", "fairseq.tasks.", "fairseq.models.", "fairseq.criterions.", "types.SimpleNamespace",
    "pathlib.", "typing.", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "_codecs.encode",
    "datetime.", "torch.device", "torch.memory_format", "enum.", "pytorch_lightning.", "lightning.", "numpy.ndarray",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
)  # fmt: skip
"""Classes that runs keep their settings in, read as shells; ``name.``: everything below it."""


class Shell:
    """An object of a class that is known to hold settings alone: what it was made of, and no behaviour."""

    origin = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.args: tuple[Any, ...] = args
        self.items: dict[Any, Any] = {}
        self.values: list[Any] = []
        self.state: Any = None

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        self.values.append(value)

    def extend(self, values: Any) -> None:
        self.values.extend(values)


def plain(found: Any, seen: dict[int, Any] | None = None) -> Any:
    """The object with its shells turned into dicts, lists and texts. What holds itself becomes None there."""
    seen = {} if seen is None else seen
    if not isinstance(found, Shell | Mapping | list | tuple):
        return found
    if id(found) in seen:
        return seen[id(found)]
    seen[id(found)] = None
    out: Any
    if isinstance(found, Shell):
        out = _unpacked(found, seen)
    elif isinstance(found, Mapping):
        out = {key: plain(value, seen) for key, value in found.items()}
    else:
        out = [plain(value, seen) for value in found]
        out = tuple(out) if isinstance(found, tuple) else out
    seen[id(found)] = out
    return out


def _unpacked(shell: Shell, seen: dict[int, Any]) -> Any:
    state = shell.state[0] if isinstance(shell.state, tuple) and shell.state else shell.state
    if isinstance(state, Mapping):
        for inner in ("_content", "_val", "_cfg_dict", "_fields"):  # omegaconf's containers and values, mmcv's, ml_collections'
            if inner in state:
                return plain(state[inner], seen)
        return plain({**shell.items, **state}, seen)
    if shell.items or shell.values:
        return plain(shell.items or shell.values, seen)
    if shell.origin.startswith("pathlib."):
        return "/".join(str(part) for part in shell.args)
    return plain(shell.args[0] if len(shell.args) == 1 else list(shell.args), seen)

"""Optional packages: one line that mends a missing one, and a repair for wheels whose compiled part does not fit torch.

The wheels of torchvision and torchaudio on PyPI are linked to CUDA. Beside a CPU build of torch their compiled libraries do not
load and the import itself fails, although the Python parts that are used here need none of it. The repairs below give the
import what it asks for, only when the library does not load; on a fitting install they change nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from maskedmod.errors import UserError

_KEPT_ALIVE: list[Any] = []


def require(module: str, extra: str) -> ModuleType:
    """Import ``module``, repaired where that is needed. A missing package raises UserError with the ``pip install`` that
    brings it (``extra`` names the group of optional dependencies); other failures of the import pass through."""
    root = module.partition(".")[0]
    repair = _REPAIRS.get(root)
    if repair is not None:
        repair()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != root:
            raise
        raise UserError(f'{root} is not installed; pip install "maskedmod[{extra}]" brings it') from None


def repair_torchvision() -> bool:
    """Make ``import torchvision`` work where its compiled operators do not load; True when something was repaired now.

    Transforms, datasets and models work then; ``torchvision.ops`` and ``torchvision.io`` do not. Call it before whatever
    imports torchvision (timm, transformers). Harmless when torchvision is absent, fits, or was repaired before.
    """
    folder = _folder("torchvision")
    if folder is None or "torchvision" in sys.modules or _loads(sorted(folder.glob("_C*.so")) + sorted(folder.glob("_C*.pyd"))):
        return False
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT_ALIVE.append(library)  # the definitions die with the object
    return True


def repair_torchaudio() -> bool:
    """The same for torchaudio: a stand-in for its extension module. Transforms, functional and compliance work then;
    forced alignment and decoders do not."""
    folder = _folder("torchaudio")
    if folder is None or "torchaudio" in sys.modules or "torchaudio._extension" in sys.modules:
        return False
    libraries = sorted(p for p in (folder / "lib").glob("*torchaudio.*") if p.suffix in (".so", ".pyd"))
    if not libraries or _loads(libraries):
        return False
    stub = ModuleType("torchaudio._extension")
    for name, attribute in {
        "_IS_TORCHAUDIO_EXT_AVAILABLE": False,
        "_IS_ALIGN_AVAILABLE": False,
        "_check_cuda_version": lambda: None,
        "_load_lib": lambda name: False,
        "fail_if_no_align": _unavailable,
    }.items():
        setattr(stub, name, attribute)
    sys.modules[stub.__name__] = stub
    return True


def _unavailable(function: Callable[..., Any]) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{function.__name__} needs torchaudio's compiled library, which does not fit this torch")

    return fail


def _folder(package: str) -> Path | None:
    """Where a package lies, without importing it."""
    found = importlib.util.find_spec(package) if package not in sys.modules else sys.modules[package].__spec__
    return None if found is None or found.origin is None else Path(found.origin).parent


def _loads(libraries: list[Path]) -> bool:
    import torch

    try:
        for path in libraries:
            torch.ops.load_library(path)
    except OSError:
        return False
    return bool(libraries)


def _repair_both() -> bool:
    """transformers imports torchvision and, for audio models, torchaudio; peft imports transformers."""
    mended = [repair_torchvision(), repair_torchaudio()]
    return any(mended)


_REPAIRS: dict[str, Callable[[], bool]] = {
    "torchvision": repair_torchvision,
    "torchaudio": repair_torchaudio,
    "timm": repair_torchvision,
    "transformers": _repair_both,
    "peft": _repair_both,
}

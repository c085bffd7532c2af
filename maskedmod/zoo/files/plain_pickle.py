"""Read a pickle as plain data. Nothing that a file names is imported or called.

A pickle is a program for a small machine; what it can do is what its names stand for. Here every name stands for a function of
this file or for an empty shell that keeps what it is given, and any other name is refused. Tensors come out as declarations,
to be checked against the file before memory is taken for them.
"""

from __future__ import annotations

import io
import mmap
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from maskedmod.errors import UserError
from maskedmod.zoo.files.shells import SETTINGS, Shell


class RefusedError(ValueError):
    """A name, an instruction or a tensor that plain weights do not have."""


@dataclass(frozen=True)
class Storage:
    """``count`` numbers of ``dtype`` that the file keeps under ``key``; ``dtype`` None: bytes, the tensor says of what type."""

    key: str
    dtype: torch.dtype | None
    count: int
    first: int = 0


@dataclass(frozen=True)
class _Mark:
    """What the name of a storage class stands for: its type of number."""

    dtype: torch.dtype | None


@dataclass(frozen=True)
class Declared:
    """A tensor as the pickle declares it; nothing is allocated."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16,
    "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128, "UntypedStorage": None,
}  # fmt: skip


def load(stream: io.BytesIO | mmap.mmap, path: Path, storages: dict[str, Storage] | None = None) -> Any:
    """The next object of a stream; ``storages`` is filled with those it refers to. UserError names the file, and what in it is no
    plain data."""
    try:
        return _Reader(stream, {} if storages is None else storages).load()
    except RefusedError as error:
        raise UserError(f"{path}: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: cut off or damaged, nested too deeply") from None
    except Exception as error:  # damaged pickles raise nearly anything
        raise UserError(f"{path}: cut off or damaged, not a whole PyTorch file ({type(error).__name__})") from None


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Declared:
    """``torch._utils._rebuild_tensor``, ``_v2`` and ``_v3``, which names the type last."""
    dtype = rest[-1] if rest and isinstance(rest[-1], torch.dtype) else getattr(storage, "dtype", None)
    numbers = (offset, *size, *stride)
    if not isinstance(storage, Storage) or dtype is None or not all(type(x) is int for x in numbers):
        raise RefusedError("cut off or damaged, a tensor without storage, type or size")
    return Declared(storage, dtype, offset, tuple(size), tuple(stride))


def _parameter(data: Any, *rest: Any) -> Any:
    return data


def _typed(make: Any, kind: Any, args: Any, *rest: Any) -> Any:
    """``torch._tensor._rebuild_from_type_v2``: a parameter that has attributes of its own."""
    if make not in (_tensor, _parameter):
        raise RefusedError("cut off or damaged, a tensor made in an unknown way")
    return make(*args)


NAMES: dict[str, Any] = {
    "collections.OrderedDict": dict,
    "collections.defaultdict": lambda *args: {},
    "collections.Counter": dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.nn.parameter.Parameter": "Parameter",
    "torch.nn.parameter.Buffer": "Buffer",
    "torch.Size": tuple,
    "builtins.set": lambda *args: list(*args),
    "builtins.frozenset": lambda *args: list(*args),
    "builtins.list": list,
    "builtins.dict": dict,
    "builtins.tuple": tuple,
    "builtins.int": "int",
    "builtins.str": "str",
    "builtins.float": "float",
    "builtins.bool": "bool",
    "builtins.object": "object",
    **{f"torch.{name}": _Mark(dtype) for name, dtype in STORAGES.items()},
    "torch.storage.UntypedStorage": _Mark(None),
    **{
        f"torch.{name}": getattr(torch, name)
        for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64",
                     "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")
    },
}  # fmt: skip
"""What a name stands for: a function of this file or a type of plain data, called with what the file gives; or an inert mark."""
ALIASES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
RECONSTRUCT = ("copyreg._reconstructor", "copyreg.__newobj__")


def _shell(origin: str) -> type[Shell]:
    return type("Shell", (Shell,), {"origin": origin})


class _Reader(pickle._Unpickler):
    """The pure Python machine, with a table of instructions cut down to those that ``torch.save`` writes."""

    stack: list[Any]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, stream: Any, storages: dict[str, Storage]) -> None:
        super().__init__(stream, encoding="utf-8", errors="replace")
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        full = f"{ALIASES.get(module, module)}.{name}"
        if full in NAMES:
            return NAMES[full]
        if full in RECONSTRUCT:
            return lambda cls, *rest: self._made(cls, ())
        if any(full == known or (known.endswith(".") and full.startswith(known)) for known in SETTINGS):
            return _shell(full)
        raise RefusedError(f"holds an object of {full}, which could run code; only plain data is read")

    def persistent_load(self, pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise RefusedError("cut off or damaged, a reference to no storage")
        mark, key, count = pid[1], pid[2], pid[4]
        if not isinstance(mark, _Mark) or type(count) is not int or count < 0:
            raise RefusedError("cut off or damaged, a storage without type or size")
        view = pid[5] if len(pid) > 5 else None  # old files: (key of the view, offset, size)
        first, count = (int(view[1]), int(view[2])) if isinstance(view, tuple) else (0, count)
        found = Storage(str(key), mark.dtype, count, first)
        self.storages.setdefault(found.key, found)
        return found

    def _made(self, cls: Any, args: tuple[Any, ...]) -> Any:
        if isinstance(cls, type) and issubclass(cls, Shell):
            return cls(*args)
        if cls in (dict, list, tuple):
            return cls(*args)
        raise RefusedError("cut off or damaged, an object of no class")

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack.append(self._made(self.stack.pop(), args))

    def load_reduce(self) -> None:
        args = self.stack.pop()
        made = self.stack.pop()
        if isinstance(made, type):
            self.stack.append(self._made(made, args))
        elif callable(made) and not isinstance(made, Shell):
            self.stack.append(made(*args))
        else:
            raise RefusedError("cut off or damaged, a call of what is no function")

    def load_build(self) -> None:
        """State of an object: kept by shells, dropped by dicts (the versions that a state dict notes), refused by all else."""
        state = self.stack.pop()
        last = self.stack[-1]
        if isinstance(last, Shell):
            last.state = state
        elif not isinstance(last, dict | Declared):
            raise RefusedError("cut off or damaged, state for an object that has none")


REFUSED_CODES = {
    pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.BYTEARRAY8, pickle.NEXT_BUFFER,
    pickle.READONLY_BUFFER, pickle.PERSID,
}  # fmt: skip
for _code in REFUSED_CODES:
    _Reader.dispatch.pop(_code[0], None)
_Reader.dispatch.update(
    {
        pickle.NEWOBJ[0]: _Reader.load_newobj,
        pickle.REDUCE[0]: _Reader.load_reduce,
        pickle.BUILD[0]: _Reader.load_build,
    }
)

"""Pickles of arrays from elsewhere, read without running anything in them."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from maskedmod.errors import UserError

ARRAYS = {
    "numpy.core.multiarray": "numpy._core.multiarray", "numpy._core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric", "numpy._core.numeric": "numpy._core.numeric",
}  # fmt: skip
"""Modules of numpy by the names they had."""
ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
    ("_codecs", "encode"): __import__("_codecs").encode,
}
SPARSE = ("csr", "csc", "coo", "lil")


class _Narrow(pickle.Unpickler):
    """Finds what arrays, sparse matrices and dictionaries of lists are made of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module in ARRAYS and name in ("_reconstruct", "scalar", "_frombuffer"):
            return getattr(__import__(ARRAYS[module], fromlist=[name]), name)
        kind = name.removesuffix("_matrix").removesuffix("_array")
        if module.startswith("scipy.sparse") and kind in SPARSE and name != kind:
            import scipy.sparse

            return getattr(scipy.sparse, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of an array")


def read_pickle(path: Path) -> Any:
    """What a pickle of Python 2 or 3 holds: numbers, arrays, SciPy's sparse matrices, lists and dictionaries of these. UserError
    for a file that is none, is cut short, or asks for anything else; nothing of that is run."""
    try:
        return _Narrow(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise UserError(f"{path} cannot be read as a pickle of arrays: {error}") from None

"""The run folder: what makes a run repeatable, written before its first step, and compared when the run goes on."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.recipe import schema
from maskedmod.recipe.file import load_tree
from maskedmod.support.version import __version__
from maskedmod.zoo import step_folder

FREE = {"out", "resume", "init", "recipe", "preset", "stages", "presets"}
FREE_TRAIN = {
    "workers", "log_every", "checkpoint_every", "keep", "val_every", "val_batches", "health_every", "pictures_every",
    "tensorboard", "threads", "device", "distributed", "probe_every", "probe", "probe_samples",
}  # fmt: skip
"""What may differ when a run goes on: none of it changes what is learned."""
MEASURED = ("statistics.json", "baseline.safetensors", "bad_samples.jsonl")
"""Left by an attempt that ended before its first checkpoint: it may have had other data, so they are made anew."""


def open_run(out: Path, tree: dict[str, Any]) -> None:
    """Make the folder and write ``recipe.yaml``, or compare it. UserError when ``out`` holds a run of another recipe, or any run
    that has begun while ``resume=never``."""
    import yaml

    if out.exists() and not out.is_dir():
        raise UserError(f"out={out} is a file; name a folder")
    begun = step_folder.complete(out / "checkpoints")
    if begun and tree.get("resume") == "never":
        raise UserError(f"out={out} holds a run already ({begun[-1].name}); name another folder, or resume=auto to go on")
    recipe = out / "recipe.yaml"
    if begun and recipe.exists():
        _compare(out, load_tree(recipe), tree)
    elif out.exists() and not recipe.exists() and any(out.iterdir()):
        raise UserError(f"out={out} is not empty and holds no run; name another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not begun:
            for name in MEASURED:
                (out / name).unlink(missing_ok=True)
        write(recipe, yaml.safe_dump(plain(tree), sort_keys=False, allow_unicode=True))
        write(out / "environment.json", json.dumps(environment(), indent=1))
    except OSError as error:
        raise UserError(f"out={out} cannot be written: {error}") from error


def _compare(out: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    old, new = _flat(plain(_today(before))), _flat(plain(now))
    changed = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key) and not _free(key)]
    if changed:
        shown = ", ".join(f"{key} was {old.get(key)!r} and is {new.get(key)!r}" for key in changed[:4])
        more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
        raise UserError(
            f"out={out} holds a run of another recipe: {shown}{more}; name another folder, with init={out} for its weights"
        )


def _today(before: dict[str, Any]) -> dict[str, Any]:
    """A saved recipe with the arguments that blocks have got since: their defaults are what was done before. As it is where
    its arguments are not known any more."""
    try:
        return schema.complete(before)
    except UserError:
        return before


def _free(key: str) -> bool:
    first, _, rest = key.partition(".")
    return first in FREE or (first == "train" and rest in FREE_TRAIN)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def plain(value: Any) -> Any:
    """Tuples as lists and paths as text, as YAML keeps them."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def write(path: Path, text: str) -> None:
    """Write a small file so that a crash leaves the old or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


def add_facts(out: Path, **facts: Any) -> None:
    """Put further facts into ``environment.json``."""
    path = out / "environment.json"
    write(path, json.dumps({**json.loads(path.read_text()), **facts}, indent=1))


def environment() -> dict[str, Any]:
    """Versions, device and command of this process."""
    import torch

    program = Path(sys.argv[0])
    name = "maskedmod" if program.name in ("maskedmod", "__main__.py") else program.name
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "maskedmod": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "command": shlex.join([name, *sys.argv[1:]]),
    }

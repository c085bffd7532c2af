"""The run folder: what makes a run repeatable, written before its first step, and compared when the run goes on."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from maskedmod.errors import UserError
from maskedmod.recipe import schema
from maskedmod.recipe.file import load_tree
from maskedmod.support.version import __version__
from maskedmod.train.claim import LOCK
from maskedmod.zoo import step_folder

FREE = {"out", "resume", "init", "recipe", "preset", "stages", "presets"}
FREE_TRAIN = {
    "workers", "log_every", "checkpoint_every", "keep", "val_every", "val_batches", "health_every", "pictures_every",
    "tensorboard", "threads", "device", "distributed", "probe_every", "probe", "probe_samples",
}  # fmt: skip
"""What may differ when a run goes on: none of it changes what is learned."""
LENGTHS = ("train.steps", "train.epochs")
MEASURED = ("statistics.json", "baseline.safetensors", "bad_samples.jsonl")
"""Left by an attempt that ended before its first checkpoint: it may have had other data, so they are made anew."""


def open_run(out: Path, tree: dict[str, Any]) -> list[str]:
    """Write ``recipe.yaml`` into a folder that is claimed, or compare it -> what the reader should know. UserError when ``out``
    holds a run of another recipe, or any run that has begun while ``resume=never``."""
    notes: list[str] = []
    begun = step_folder.complete(out / "checkpoints")
    if begun and tree.get("resume") == "never":
        raise UserError(f"out={out} holds a run already ({begun[-1].name}); name another folder, or resume=auto to go on")
    recipe = out / "recipe.yaml"
    if begun and recipe.exists():
        notes = _compare(out, _completed(load_tree(recipe)), tree)
    elif not recipe.exists() and any(path.name != LOCK for path in out.iterdir()):
        raise UserError(f"out={out} is not empty and holds no run; name another folder")
    try:
        if not begun:
            for name in MEASURED:
                (out / name).unlink(missing_ok=True)
        write(recipe, yaml.safe_dump(plain(tree), sort_keys=False, allow_unicode=True))
        write(out / "environment.json", json.dumps(environment(), indent=1))
    except OSError as error:
        raise UserError(f"out={out} cannot be written: {error}") from error
    return notes


def _completed(tree: dict[str, Any]) -> dict[str, Any]:
    """An older version's recipe with the arguments that blocks have got since, at their defaults: these change nothing."""
    try:
        return schema.complete(tree)
    except UserError:  # an argument that there is no more: it will be named in the comparison
        return tree


def _compare(out: Path, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """UserError for another recipe; a run may be made longer, which is said, since schedules reach to its new end."""
    old, new = _flat(plain(before)), _flat(plain(now))
    changed = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key) and not _free(key)]
    longer = [key for key in LENGTHS if key in changed and _more(old.get(key), new.get(key))]
    if changed and changed == longer:
        lengths = " and ".join(f"{key} was {old[key]} and is {new[key]}" for key in longer)
        return [f"{lengths}: schedules (learning rate, momentum) reach to the new end from where the run goes on"]
    if changed:
        shown = ", ".join(f"{key} was {old.get(key)!r} and is {new.get(key)!r}" for key in changed[:4])
        more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
        raise UserError(
            f"out={out} holds a run of another recipe: {shown}{more}; name another folder, with init={out} for its weights"
        )
    return []


def _more(old: Any, new: Any) -> bool:
    return all(isinstance(length, int | float) for length in (old, new)) and new > old


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

"""Imports run one way. Read from the source, so that an import inside a function counts too."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = ("masks", "encoders", "targets", "heads", "losses", "teachers", "optimizers")
LOW = (
    "tokens",
    "context",
    "schedules",
    "errors",
    "layers",
    "apply",
    "modality",
    "masking",
    "corruption",
    "compat",
    "drawing",
    "pyramid",
    "distances",
)
"""What blocks and modalities may lean on, beside each other's base classes."""
LEANS = {"molecular_graph": ("graph", "molecule")}
"""Modalities that are made of others."""


def imported(path: Path, package: str) -> set[str]:
    """Dotted names that a file imports; ``package`` resolves relative ones."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            found.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return found


def modules(folder: str, name: str) -> dict[str, set[str]]:
    """Module name -> what it imports, for all files of a folder."""
    out = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = [name, *path.relative_to(ROOT / folder).with_suffix("").parts]
        package = ".".join(parts[:-1])
        out[package if parts[-1] == "__init__" else ".".join(parts)] = imported(path, package)
    return out


CORE = modules("maskedmod", "maskedmod")


def of_ours(names: set[str]) -> set[str]:
    """First part under maskedmod of every import of ours."""
    return {name.split(".")[1] for name in names if name.startswith("maskedmod.")}


def test_the_core_imports_no_modality() -> None:
    wrong = {module: found for module, names in CORE.items() if (found := {n for n in names if "modalities" in n.split(".")})}
    assert not wrong


def test_tokens_and_errors_stand_on_nothing() -> None:
    assert not of_ours(CORE["maskedmod.core.tokens"]) and not of_ours(CORE["maskedmod.errors"])


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_import_downwards(block: str) -> None:
    """A block knows the values that cross borders and its own family, not the model, the trainer or the command line."""
    for module, names in CORE.items():
        if module.split(".")[1:2] == [block]:
            upwards = of_ours(names) - {*LOW, *BLOCKS, "zoo", "apply", "__version__"}
            assert not upwards, f"{module} imports {upwards}"


def test_the_model_names_no_block() -> None:
    """model.py sees base classes alone: ``maskedmod.masks``, never ``maskedmod.masks.random``."""
    for name in CORE["maskedmod.core.model"]:
        parts = name.split(".")
        assert not (parts[0] == "maskedmod" and parts[1:2] and parts[1] in BLOCKS and len(parts) > 2 and parts[2].islower()), name


def test_the_trainer_imports_no_block() -> None:
    for module, names in CORE.items():
        if module.startswith("maskedmod.train"):
            found = {
                n
                for n in names
                if n.split(".")[1:2] and n.split(".")[1] in BLOCKS and len(n.split(".")) > 2 and n.split(".")[2].islower()
            }
            assert not found, f"{module} imports {found}"
    assert not of_ours(CORE["maskedmod.train.trainer"]) & {"model", "build", "config", "cli", "verbs", "zoo"}


def test_low_modules_know_nothing_of_high_ones() -> None:
    high = {"cli", "verbs", "config", "build", "schema", "catalog", "train", "evaluate", "zoo", "report", "pictures"}
    for module, names in CORE.items():
        if module.split(".")[1:2] and module.split(".")[1] in (*LOW, "model", "health"):
            assert not of_ours(names) & high, f"{module} imports {of_ours(names) & high}"


def test_modalities_import_the_core_and_themselves() -> None:
    for module, names in modules("modalities", "maskedmod.modalities").items():
        own = [*module.split("."), ""][2]
        known = (own, *LEANS.get(own, ()))
        others = {n for n in names if n.startswith("maskedmod.modalities.") and n.split(".")[2] not in known}
        assert not others, f"{module} imports another modality: {others}"
        absolute = {n for n in names if n.split(".")[0] in ("modalities", "recipes")}
        assert not absolute and not of_ours(names) & {"cli", "verbs", "config", "build", "train"}, module


def test_every_folder_is_a_package() -> None:
    """A folder without ``__init__.py`` would be missing from the wheel."""
    for folder in ("maskedmod", "modalities"):
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path.parent


@pytest.mark.parametrize("name", ["modalities", "recipes"])
def test_no_second_import_under_another_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ImportError, match=f"maskedmod.{name}"):
        importlib.import_module(name)
    assert importlib.import_module(f"maskedmod.{name}").__name__ == f"maskedmod.{name}"


def test_the_command_line_starts_without_torch() -> None:
    """Time is for test_cli; this names what was imported."""
    code = (
        "import sys, maskedmod; from maskedmod.cli import main; main(['--help']); main(['ls'])\n"
        "heavy = {'torch', 'numpy', 'jsonargparse', 'matplotlib', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

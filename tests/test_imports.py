"""The house: rooms in one order, imports one way, no circle. Read from the source, so that an import inside a function, and one
for type checkers alone, counts like any other. ``docs/generate.py`` draws the picture of docs/architecture.md from ``LEVELS``."""

from __future__ import annotations

import ast
import importlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = ("masks", "encoders", "targets", "heads", "losses", "teachers", "optimizers")
LEVELS: tuple[tuple[str, ...], ...] = (
    ("errors", "support"),
    ("core",),
    ("layers",),
    (*BLOCKS, "sequences"),
    ("data", "recipe", "recipes", "testing", "modalities"),
    ("zoo",),
    ("features", "reconstruct"),
    ("evaluate", "embed", "score"),
    ("report",),
    ("train",),
    ("finetune",),
    ("api",),
    ("verbs", "cli", "__init__", "__main__"),
)
"""Rooms from the ground up: what stands directly under ``maskedmod``. A room imports rooms that stand before it, and itself."""
ROOMS = [room for level in LEVELS for room in level]
FILES = {"__init__.py", "__main__.py", "cli.py", "errors.py", "py.typed"}
"""All files of the root."""
PACKAGES = {"maskedmod": "maskedmod", "modalities": "maskedmod.modalities", "recipes": "maskedmod.recipes"}
"""Folders of the checkout, and what they are installed as."""
LEANS = {"molecular_graph": ("graph", "molecule")}
"""Modalities that are made of others."""


class Import(NamedTuple):
    """One name that a file imports: ``name`` as it is written, ``module`` the file of ours that this is or comes from."""

    path: Path
    line: int
    importer: str
    name: str
    module: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {room(self.importer)} imports {self.name}"


def room(module: str) -> str:
    """``maskedmod.zoo.load`` -> ``zoo``."""
    return [*module.split("."), "__init__"][1]


def files(root: Path = ROOT) -> dict[str, Path]:
    """Path of every file of ours, relative to the checkout, by the name of its module."""
    found = {}
    for folder, package in PACKAGES.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = [package, *path.relative_to(root / folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.relative_to(root)
    return found


def imports(root: Path = ROOT) -> list[Import]:
    """Every import of ours by ours, wherever in a file it stands."""
    known = files(root)
    out = []
    for importer, path in known.items():
        package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
        for line, name in _imported(root / path, package):
            module = name
            while module and module not in known:
                module = module.rpartition(".")[0]
            if module:
                out.append(Import(path, line, importer, name, module))
    return out


def _imported(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all that a file imports; ``package`` resolves relative names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def upwards(found: list[Import]) -> list[str]:
    """Imports that do not go to a room further down."""
    order = {name: place for place, name in enumerate(ROOMS)}
    return [str(one) for one in found if order[room(one.module)] > order[room(one.importer)]]


def circle(found: list[Import]) -> list[str]:
    """Files that import one another in a circle, the first that is met; none is right."""
    graph: dict[str, set[str]] = {}
    for one in found:
        if one.module != one.importer:
            graph.setdefault(one.importer, set()).add(one.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def stack(found: list[Import]) -> int:
    """Rooms that stand on one another, at most."""
    below: dict[str, set[str]] = {name: set() for name in ROOMS}
    for one in found:
        if room(one.module) != room(one.importer):
            below[room(one.importer)].add(room(one.module))
    height: dict[str, int] = {}
    for name in TopologicalSorter(below).static_order():
        height[name] = 1 + max((height[other] for other in below[name]), default=0)
    return max(height.values())


FOUND = imports()


def test_every_import_goes_to_a_room_further_down(capsys: pytest.CaptureFixture[str]) -> None:
    """The list holds for every import of every file, with no exception."""
    between = sum(room(one.module) != room(one.importer) for one in FOUND)
    with capsys.disabled():
        print(f"\n  {len(ROOMS)} rooms on {len(LEVELS)} levels, {stack(FOUND)} on one another at most; ", end="")
        print(f"{len(files())} files, {len(FOUND)} imports of ours, {between} of them between rooms")
    assert len(FOUND) > 1000 and between > 500
    assert not upwards(FOUND), "\n" + "\n".join(upwards(FOUND))


def test_no_files_import_one_another_in_a_circle() -> None:
    assert not circle(FOUND), " -> ".join(circle(FOUND))


def test_the_house_has_no_room_that_is_not_on_the_list() -> None:
    assert {path.name for path in (ROOT / "maskedmod").iterdir() if path.is_file()} == FILES
    assert {room(module) for module in files()} == set(ROOMS) and len(set(ROOMS)) == len(ROOMS)
    assert len(LEVELS) <= 13 and stack(FOUND) <= 13


def test_files_are_short_and_folders_not_crowded() -> None:
    lengths = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in files().values()}
    assert statistics.median(lengths.values()) < 100
    assert not {path: count for path, count in lengths.items() if count > 350}
    crowded = [folder for folder in {path.parent for path in lengths} if len(list((ROOT / folder).glob("[!_]*.py"))) > 20]
    assert not crowded, f"more than 20 files: {crowded}"


@pytest.mark.parametrize(
    "late",
    [
        "def later():\n    from maskedmod.train.run import train\n    return train\n",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import maskedmod.train.run\n",
        "def later():\n    from ..train import run\n    return run\n",
        "def later():\n    import maskedmod\n    return maskedmod\n",
    ],
)
def test_a_wrong_import_is_named_with_its_line(late: str, tmp_path: Path) -> None:
    """What the rule is worth: imports that hide in functions, behind TYPE_CHECKING, or in dots."""
    for name in ("", "core/", "train/"):
        (tmp_path / "maskedmod" / name).mkdir() if name else (tmp_path / "maskedmod").mkdir()
        (tmp_path / "maskedmod" / name / "__init__.py").touch()
    (tmp_path / "maskedmod" / "train" / "run.py").write_text("from maskedmod.core import wrong\n")
    (tmp_path / "maskedmod" / "core" / "wrong.py").write_text(late)
    line = 1 + next(i for i, text in enumerate(late.splitlines()) if "import" in text and "TYPE_CHECKING" not in text)
    (told,) = upwards(imports(tmp_path))
    assert told.startswith(f"maskedmod/core/wrong.py:{line}: core imports maskedmod")
    assert ("run" not in late) or set(circle(imports(tmp_path))) == {"maskedmod.core.wrong", "maskedmod.train.run"}


def test_the_model_and_the_trainer_name_no_block() -> None:
    """They see the base classes of ``core/blocks`` alone."""
    wrong = [str(one) for one in FOUND if room(one.importer) in ("core", "train") and room(one.module) in BLOCKS]
    assert not wrong, "\n" + "\n".join(wrong)


def test_modalities_import_what_is_below_and_themselves() -> None:
    for one in FOUND:
        parts = one.importer.split(".")
        if room(one.importer) == "modalities" and room(one.module) == "modalities" and len(parts) > 2:
            assert one.module.split(".")[2] in (parts[2], *LEANS.get(parts[2], ())), one
    assert not [one for one in FOUND if room(one.module) == "modalities" and room(one.importer) != "modalities"], (
        "the core names no modality"
    )


def test_every_folder_is_a_package() -> None:
    """A folder without ``__init__.py`` would be missing from the wheel."""
    for path in files().values():
        assert (ROOT / path.parent / "__init__.py").exists(), path.parent


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

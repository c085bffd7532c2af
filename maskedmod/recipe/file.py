"""Recipe files: finding them by name, reading YAML strictly."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from maskedmod.errors import UserError, one_line, unknown

ENDINGS = (".yaml", ".yml")
RUN = "recipe.yaml"
"""The resolved recipe in a run folder."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which ``2e-4`` is a number and a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(  # PyYAML follows YAML 1.1, which wants a dot and a sign in the exponent
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def parse(text: str, what: str) -> Any:
    """A YAML value; ``what`` names it in the error."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{what}: not valid YAML: {one_line(str(error))}") from None


def folder() -> Path:
    """Where the recipes of the package lie."""
    spec = find_spec("maskedmod.recipes")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def paths() -> list[Path]:
    """Files of the recipes of the package, sorted by name."""
    return sorted(folder().glob("*.yaml"), key=lambda path: path.stem)


def names() -> list[str]:
    """Names of the recipes of the package, sorted."""
    return [path.stem for path in paths()]


def find(name: str) -> Path:
    """File of a recipe: a name of the package's, the path of a YAML file, or a run folder."""
    path = Path(name).expanduser()
    if path.is_dir() and (path / RUN).is_file() and ("/" in name or name not in names()):
        return path / RUN
    if name.endswith(ENDINGS) or "/" in name:
        if not path.is_file():
            raise UserError(f"recipe file {name} does not exist")
        return path
    if name not in names():
        raise unknown("recipe", name, [*names(), "the path of a .yaml file", "a run folder"])
    return folder() / f"{name}.yaml"


def read_text(path: Path) -> str:
    """Text of a recipe file, comments and all."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe file {path}: cannot be read: {error}") from None


def load_tree(path: str | Path) -> dict[str, Any]:
    """Content of a recipe file as it stands."""
    path = Path(path)
    tree = parse(read_text(path), f"recipe file {path}")
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise UserError(f"recipe file {path}: expected key: value lines at the top")
    return tree


def dump(tree: dict[str, Any]) -> str:
    """A tree as YAML, keys in their order, one line for every value that is a list."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=130).rstrip()


class _Dumper(yaml.SafeDumper):
    """Lists of plain values in one line; numbers that this file's reader and any other one read alike."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        flat = all(not isinstance(item, list | dict) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=flat or flow_style)

    def ignore_aliases(self, data: Any) -> bool:
        return True

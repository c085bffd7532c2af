"""Recipe files: finding them by name, reading YAML strictly, their first comment line."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from maskedmod.errors import UserError, one_line, unknown

ENDINGS = (".yaml", ".yml")


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


def names() -> list[str]:
    """Names of the recipes of the package, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def find(name: str) -> Path:
    """File of a recipe: a name of the package's, or the path of a YAML file."""
    path = Path(name).expanduser()
    if name.endswith(ENDINGS) or "/" in name:
        if not path.is_file():
            raise UserError(f"recipe file {name} does not exist")
        return path
    if name not in names():
        raise unknown("recipe", name, [*names(), "the path of a .yaml file"])
    return folder() / f"{name}.yaml"


def load_tree(path: str | Path) -> dict[str, Any]:
    """Content of a recipe file as it stands."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe file {path}: cannot be read: {error}") from None
    tree = parse(text, f"recipe file {path}")
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise UserError(f"recipe file {path}: expected key: value lines at the top")
    return tree


def summary(path: Path) -> str:
    """First comment line of a recipe: the system and its paper."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                return line.lstrip("# ").strip()
    return ""


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

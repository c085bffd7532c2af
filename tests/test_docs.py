"""The reference is what the signatures say. Commands and examples of the pages run in test_docs_commands.py."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    return generate


def test_the_recipe_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert written == generator().reference(), "run: make docs"


def test_the_table_of_checkpoints_is_up_to_date() -> None:
    page = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    assert page == generator().with_checkpoints(page) and page.count("| `facebook/vit-mae-base` |") == 1, "run: make docs"


def test_the_picture_of_the_rooms_is_up_to_date() -> None:
    """From the list in test_imports and the imports as they are, so that it cannot drift."""
    drawn = (ROOT / "docs" / "images" / "rooms.svg").read_text(encoding="utf-8")
    assert drawn == generator().rooms() and drawn.count("<circle") > 100, "run: make docs"


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    """``zoo/load.py`` is a file of the checkout or of the package."""
    named = set(re.findall(r"`([\w/]+/[\w/]*(?:\.(?:py|yaml|md|toml))?)`", (ROOT / page).read_text(encoding="utf-8")))
    gone = [
        name for name in named if not any((root / name).exists() for root in (ROOT, ROOT / "maskedmod")) and "NAME" not in name
    ]
    made_up = re.compile("NAME|MODALITY|my_idea")
    assert len(named) > 10 and not [name for name in gone if not made_up.search(name)]

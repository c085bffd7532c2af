"""The reference is what the signatures say. Commands and examples of the pages run in test_docs_commands.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_recipe_reference_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    written = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert written == generate.reference(), "run: make docs"

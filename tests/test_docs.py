"""The reference is what the signatures say, and the commands of the quick start are words that exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from maskedmod.cli import VERBS
from maskedmod.config import resolve_names

ROOT = Path(__file__).resolve().parent.parent


def test_the_recipe_reference_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    written = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert written == generate.reference(), "run: make docs"


def test_commands_of_the_quick_start_resolve() -> None:
    text = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(?:maskedmod|.*-m maskedmod) (\w+) ?(.*)$", text, re.MULTILINE)
    assert len(commands) > 8
    for verb, words in commands:
        assert verb in VERBS, verb
        if verb in ("train", "show") and "mine.yaml" not in words:
            resolve_names(words.split("  #")[0].split())

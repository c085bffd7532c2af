"""The notebooks run from the first cell to the last in a fresh kernel, and show what they are there to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
LIMIT = 300
"""Seconds for one cell before it counts as stuck."""


def _shown(book: Any, kind: str) -> list[str]:
    """What cells gave in one form, such as ``image/png``, and printed as ``text``."""
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    if kind == "text":
        return [output.text for output in outputs if output.output_type == "stream"]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def test_there_is_one_for_each_modality() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["audio", "image"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs(path: Path) -> None:
    book = pytest.importorskip("nbformat").read(path, as_version=4)
    assert all(not cell.outputs and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.read(path, as_version=4)
    client.NotebookClient(book, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures, pages = _shown(book, "image/png"), _shown(book, "text/html")
    assert len(pictures) == 2 and all(len(picture) > 10_000 for picture in pictures)
    assert len(pages) == 2 and all("<audio" in page if path.stem == "audio" else "<audio" not in page for page in pages)
    table = "".join(_shown(book, "text"))
    for row in ("pre-trained", "random initialisation", "raw features"):
        assert row in table

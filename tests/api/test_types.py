"""What a type checker, and so an editor, knows of the Python API of an installed package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SNIPPET = """
import maskedmod
from maskedmod.modalities import audio, image

model = maskedmod.load("runs/a")
reveal_type(model.embed(["a.png"], pool="cls", layer=-1))
reveal_type(model.reconstruct("a.png", ratio=0.5))
reveal_type(model.predict_masked("a.png").values)
reveal_type(model.tokenize("a.png").values)
reveal_type(model.encoder)
reveal_type(maskedmod.create("mae"))
reveal_type(image.model("mae"))
reveal_type(audio.models())
"""
TENSOR, LOADED = "torch._tensor.Tensor", "maskedmod.api.loaded.Loaded"
KNOWN = [
    *(TENSOR, "maskedmod.api.reconstruction.Reconstruction", TENSOR, TENSOR, "maskedmod.features.backbone.Backbone"),
    *(LOADED, "Any", "list[str]"),
]


@pytest.mark.slow
def test_the_api_is_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "maskedmod", tmp_path / "installed" / "maskedmod", ignore=hidden)
    shutil.copytree(ROOT / "modalities", tmp_path / "installed" / "maskedmod" / "modalities", ignore=hidden)
    (tmp_path / "snippet.py").write_text(SNIPPET + 'model.embed("a.png", pool="middle")\n')
    settings = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", "--python-version=3.12"]
    words = [sys.executable, "-m", "mypy", *settings, "snippet.py"]
    environment = {**os.environ, "MYPYPATH": str(tmp_path / "installed")}
    said = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    assert [re.sub(r'["*]|builtins\.', "", found) for found in re.findall(r"Revealed type is (.*)", said)] == KNOWN, said
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert len(errors) == 1 and "expected \"Literal['mean', 'sum', 'max', 'mean_max', 'cls', 'none']\"" in errors[0], said

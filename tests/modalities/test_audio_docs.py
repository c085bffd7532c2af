"""The Python examples of the audio page run as they stand, one after another."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import ROOT


def test_python_examples_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "audio.md").read_text(), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(example, names)
    printed = capsys.readouterr().out
    for line in ("torch.Size([4, 192, 64])", "torch.Size([4, 48, 256]) (12, 4)", "torch.Size([8, 998, 128])"):
        assert line in printed


def test_page_names_every_argument() -> None:
    import inspect

    from maskedmod.modalities.audio import Audio

    page = (ROOT / "docs" / "audio.md").read_text()
    table = page[page.index("## Arguments") : page.index("## Clips of many lengths")]
    for name in list(inspect.signature(Audio).parameters):
        assert f"`{name}`" in table, name

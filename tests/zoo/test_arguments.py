"""Every argument of a published constructor is read, said by a setting, without effect, or refused by a line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskedmod.errors import UserError
from maskedmod.zoo.files.source import Source
from maskedmod.zoo.layouts.arguments import Argument, Only, Setting
from maskedmod.zoo.layouts.known import LAYOUTS
from maskedmod.zoo.settings import settle

STATED: list[Any] = [layout for layout in LAYOUTS if hasattr(layout, "ARGUMENTS")]


@pytest.mark.parametrize("layout", STATED, ids=lambda layout: layout.NAME)
def test_arguments(layout: Any) -> None:
    arguments: dict[str, Argument] = layout.ARGUMENTS
    assert "@" in layout.REFERENCE, "name the repository, the commit and the class"
    for name, how in arguments.items():
        if isinstance(how, Setting):
            assert how.name in layout.SETTINGS, f"{name}: {layout.NAME} has no setting {how.name}"
    for name in (name for name, how in arguments.items() if isinstance(how, Only)):
        for kind in ("args", "config"):
            with pytest.raises(UserError, match=f"{name}='something else' is not supported by layout {layout.NAME}"):
                settle(layout, Source(Path("file.pth"), {}, **{kind: {name: "something else"}}), {})
        values = arguments[name].values  # type: ignore[union-attr]
        for value in values:
            settle(layout, Source(Path("file.pth"), {}, args={name: value}), {})

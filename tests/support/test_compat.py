"""Missing packages name their install; wheels that do not fit torch are repaired, others left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from maskedmod.errors import UserError
from maskedmod.support import compat


def test_require_imports_or_names_the_install() -> None:
    assert compat.require("json.decoder", "audio") is sys.modules["json.decoder"]
    with pytest.raises(UserError) as error:
        compat.require("no_such_package.part", "audio")
    assert str(error.value) == 'no_such_package is not installed; pip install "maskedmod[audio]" brings it'


def test_a_package_broken_inside_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_installed.py").write_text("import another_missing_one\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_missing_one"):
        compat.require("half_installed", "audio")


def test_torchaudio_and_torchvision_import_and_work() -> None:
    functional = compat.require("torchaudio.functional", "audio")
    assert functional.resample(torch.zeros(1, 100), 2, 1).shape == (1, 50)
    transforms = compat.require("torchvision.transforms.v2", "image")
    assert transforms.functional.hflip(torch.tensor([[[1, 2]]])).tolist() == [[[2, 1]]]
    assert hasattr(torch.ops.torchvision, "nms")
    assert not compat.repair_torchvision(), "nothing is repaired twice"
    assert not compat.repair_torchaudio(), "nothing is repaired twice"


@pytest.mark.parametrize("package", ["torchvision", "torchaudio"])
def test_a_fitting_install_is_left_alone(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (package, f"{package}._extension"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(compat, "_loads", lambda libraries: True)
    monkeypatch.setattr(torch.library, "Library", None)
    assert not getattr(compat, f"repair_{package}")()
    assert f"{package}._extension" not in sys.modules


def test_absent_packages_need_no_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_folder", lambda package: None)
    assert not compat.repair_torchvision()
    assert not compat.repair_torchaudio()


def test_what_the_stand_in_cannot_do_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torchaudio", "torchaudio._extension"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(compat, "_loads", lambda libraries: False)
    if compat._folder("torchaudio") is None:
        pytest.skip("torchaudio is not installed")
    assert compat.repair_torchaudio()
    stub = sys.modules.pop("torchaudio._extension")

    def forced_align() -> None: ...

    with pytest.raises(RuntimeError, match="forced_align needs torchaudio's compiled library"):
        stub.fail_if_no_align(forced_align)()

"""What the pages of version 0.1 imported is still there, and says where it stands now."""

from __future__ import annotations

import importlib
import sys

import pytest

from maskedmod.api.moved import MOVED

DOCUMENTED = [
    ("maskedmod.context", "Context View Step step_seed"),
    ("maskedmod.modality", "Modality Record BadSample Panel Grouping altered"),
    ("maskedmod.tokens", "Tokens Layout Relation MaskSet Where Visibility Latent Spec take PREDICT"),
    ("maskedmod.config", "resolve"),
    ("maskedmod.compat", "require"),
    ("maskedmod.pictures", "reconstruct_run"),
    ("maskedmod.embedding", "embed Embedded"),
    ("maskedmod.api.backbone", "Backbone"),
    ("maskedmod.evaluate.run", "evaluate"),
    ("maskedmod.evaluate.prepare", "Settings"),
    ("maskedmod.evaluate.finetune.saved", "load_network"),
    ("maskedmod.evaluate.finetune.trial", "finetune Work"),
    ("maskedmod.report", "write_report"),
    ("maskedmod.testing", "check_modality"),
    ("maskedmod.train.run", "train"),
    ("maskedmod.data.loader", "Loader"),
    ("maskedmod.data.stream", "RecordStream"),
    ("maskedmod.data.sources.folder", "Folder"),
    ("maskedmod.data.graph", "clean"),
    *((f"maskedmod.{room}", base) for room, base in (("masks", "Mask"), ("encoders", "Encoder"), ("heads", "Head"))),
    *((f"maskedmod.{room}", base) for room, base in (("targets", "Target"), ("losses", "Loss"), ("teachers", "Teacher"))),
    ("maskedmod.optimizers", "Optimizer"),
]


@pytest.mark.parametrize(("module", "names"), DOCUMENTED)
def test_documented_names_are_there(module: str, names: str) -> None:
    for name in names.split():
        assert getattr(importlib.import_module(module), name) is not None


@pytest.mark.parametrize("module", sorted(MOVED))
def test_an_old_name_says_the_new_one(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.warns(DeprecationWarning, match=f"^{module} is {MOVED[module][0]}"):
        found = importlib.import_module(module)
    with pytest.raises(AttributeError, match=f"has no attribute 'nothing'; it is {MOVED[module][0]}"):
        found.nothing  # noqa: B018
    assert all(home not in MOVED and importlib.import_module(home) for home in MOVED[module])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("module", sorted(MOVED))
def test_who_looks_through_all_modules_loads_nothing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``inspect.getmodule`` does, and torch calls it while it is imported."""
    monkeypatch.delitem(sys.modules, module, raising=False)
    found, loaded = importlib.import_module(module), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr("maskedmod.api.moved.import_module", loaded.append)
        assert not hasattr(found, "__file__")
    assert not loaded


def test_a_name_that_never_was_stays_unknown() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"maskedmod\.modalitys"):
        importlib.import_module("maskedmod.modalitys")

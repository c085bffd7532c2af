"""Every modality that can be found passes the contract suite; and the suite notices broken promises."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import pytest
import torch

from maskedmod.core.modality import Modality, Record
from maskedmod.testing.contract import CHECKS, ContractError, Sample, check_modality, prepare_sample
from tests.conftest import ROOT

THIRD_PARTY = ROOT / "tests" / "thirdparty"
OURS = sorted(p.parent.name for p in (ROOT / "modalities").glob("*/__init__.py"))


@pytest.fixture
def series(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(THIRD_PARTY))
    from maskedmod_series import Series

    yield Series
    for name in [name for name in sys.modules if name.startswith("maskedmod_series")]:
        del sys.modules[name]


def make(name: str) -> Modality:
    from maskedmod.recipe.build import build_modality

    return build_modality({"modality": {name: {}}})


@cache
def demo_sample(name: str) -> Sample:
    modality = make(name)
    return prepare_sample(modality, list(islice(modality.demo("train"), 3)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", OURS)
def test_our_modalities(name: str, check: Callable[[Sample], None]) -> None:
    check(demo_sample(name))


def test_third_party(series: Any) -> None:
    check_modality(series(length=64, patch_size=8))


def test_mixed_lengths_of_third_party(series: Any) -> None:
    records = [Record(torch.randn(n).numpy(), key=str(n)) for n in (64, 40, 23, 8)]
    check_modality(series(length=64, patch_size=8), records)


def _break(series: Any, name: str) -> Modality:
    """A Series with one broken promise."""

    class Broken(series):  # type: ignore[misc, valid-type]
        def read(self, record: Record) -> Any:
            if name == "read" and not hasattr(record.data, "__len__"):
                return torch.zeros(self.length)
            return super().read(record)

        def tokenize(self, batch: dict[str, Any]) -> Any:
            t = super().tokenize(batch)["main"]
            if name == "pos":
                t = replace(t, pos=t.pos + 1)
            if name == "values":
                t = replace(t, values=t.values[..., :-1])
            return {"main": t}

        def prepare(self, batch: dict[str, Any], ctx: Any) -> dict[str, Any]:
            batch = super().prepare(batch, ctx)
            if name == "random":
                batch["series"] = batch["series"] + torch.rand(())
            return batch

        def untokenize(self, values: Any, tokens: Any) -> Any:
            x = super().untokenize(values, tokens)
            return x.flip(1) if name == "inverse" else x

        def draw(self, values: Any, tokens: Any, hidden: Any = None) -> Any:
            return super().draw(values, tokens, None if name == "draw" else hidden)

        def demo(self, split: str) -> Any:
            return super().demo("train" if name == "demo" else split)

    return Broken()


BROKEN = {
    "pos": "row-major indices",
    "values": "spec.values says",
    "random": "two results for one generator seed",
    "inverse": "untokenize",
    "draw": "look like visible",
    "demo": "in train and val",
    "read": "returns a sample, expected BadSample",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_promises_are_named(series: Any, name: str) -> None:
    sample = prepare_sample(_break(series, name), list(series().demo("train"))[:3])
    with pytest.raises(ContractError, match=BROKEN[name]):
        for check in CHECKS:
            if check.__name__ != "check_loading":  # a class inside a function cannot be pickled
                check(sample)


def test_what_cannot_be_pickled_is_named(series: Any) -> None:
    modality = series()
    modality.hook = lambda x: x
    with pytest.raises(ContractError, match="picklable"):
        check_modality(modality)


def test_broken_packing_is_named() -> None:
    from maskedmod.testing.packing import broken_packing

    sample = demo_sample("protein")
    t, told = sample.views()["main"], [record.data for record in sample.records]
    cu = t.layout.cu_seqlens
    assert cu is not None and broken_packing(t, sample.modality, told) == ""
    for layout, said in (
        (replace(t.layout, cu_seqlens=cu.long()), "int32"),
        (replace(t.layout, cu_seqlens=cu[:-1]), "do not cut"),
        (replace(t.layout, max_seqlen=1), "max_seqlen is 1"),
    ):
        assert said in broken_packing(replace(t, layout=layout), sample.modality, told)
    assert "count from 0" in broken_packing(replace(t, pos=t.pos + 1), sample.modality, told)
    assert "promises" in broken_packing(t, sample.modality, [text[:3] for text in told])

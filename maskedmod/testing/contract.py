"""The contract suite that every modality passes, ours or a third party's.

    maskedmod.testing.check_modality(Series(length=64), records)

Each broken promise raises ContractError with a sentence that says which one and how. The checks can also be run one by one:
``for check in CHECKS: check(sample)``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.modality import BadSample, Modality, Panel, Record
from maskedmod.core.tokens import Tokens
from maskedmod.support.compare import matches, same
from maskedmod.testing.packing import broken_packing


class ContractError(AssertionError):
    """A promise of ``maskedmod.core.modality.Modality`` that an adapter does not keep."""


@dataclass
class Sample:
    """What the checks look at: a modality, records of it, and one collated batch of these."""

    modality: Modality
    records: Sequence[Record]
    batch: dict[str, Any]

    def prepared(self, training: bool = False, seed: int = 0) -> dict[str, Any]:
        """The batch through ``prepare`` with a generator of the given seed."""
        ctx = Context(training=training, seed=seed, generator=torch.Generator().manual_seed(seed))
        return self.modality.prepare(dict(self.batch), ctx)

    def views(self) -> dict[str, Tokens]:
        """Tokens of the batch in evaluation."""
        return self.modality.tokenize(self.prepared())


def check_modality(modality: Modality, records: Sequence[Record] | None = None) -> None:
    """Run all checks. ``records``: two to eight good records; None takes the first four of ``demo("train")``."""
    if records is None:
        records = list(islice(modality.demo("train"), 4))
    sample = prepare_sample(modality, records)
    for check in CHECKS:
        check(sample)


def prepare_sample(modality: Modality, records: Sequence[Record]) -> Sample:
    """Read and collate; ContractError when good records cannot be."""
    _require(len(records) >= 2, f"the checks need at least 2 records, got {len(records)}")
    try:
        samples = [modality.read(record) for record in records]
    except BadSample as error:
        raise ContractError(f"read() refuses a good record: {error}") from error
    found = modality.measure(samples)
    _require(isinstance(found, dict), f"measure() must return a dict, got {type(found).__name__}")
    for key, number in found.items():
        _require(isinstance(number, float | int | list | tuple | str), f"measure()[{key!r}] must be a number or a list of such")
    modality.statistics.update(found)
    batch = modality.collate(samples)
    _require(isinstance(batch, dict) and batch != {}, "collate() must return a dict of tensors")
    _require(any(isinstance(x, Tensor) for x in batch.values()), "collate() returned no tensor")
    return Sample(modality, records, batch)


def check_tokens(sample: Sample) -> None:
    """Shapes of values, positions, validity and eligibility agree with one another, with the batch and with the spec."""
    spec, views = sample.modality.spec, sample.views()
    _require(bool(views), "tokenize() returned no view")
    _require(len(views) > 1 or "main" in views, f"a single view is called main, not {next(iter(views))!r}")
    _require(spec.width == spec.teacher == spec.target == 0, "spec.width, .teacher and .target are the model's: leave them 0")
    for name, t in views.items():
        lead = t.shape
        places, due = tuple(t.pos.shape), (*lead, spec.axes)
        _require(places == due, f"view {name}: pos is {places}, expected {due}")
        _require(t.batch == len(sample.records), f"view {name}: {t.batch} samples came out of {len(sample.records)} records")
        for what, flags in (("valid", t.layout.valid), ("eligible", t.eligible)):
            if flags is not None:
                _require(flags.dtype == torch.bool and tuple(flags.shape) == lead, f"view {name}: {what} must be bool {lead}")
        _check_values(name, t, sample)
        if t.layout.packed:
            told = [record.data for record in sample.records]
            _require(not (broken := broken_packing(t, sample.modality, told)), f"view {name}: {broken}")


def _check_values(name: str, t: Tokens, sample: Sample) -> None:
    spec = sample.modality.spec
    if spec.vocab is not None:
        _require(t.values.dtype == torch.int64, f"view {name}: ids must be int64, got {t.values.dtype}")
        _require(int(t.values.min()) >= 0 and int(t.values.max()) < spec.vocab, f"view {name}: ids leave 0..{spec.vocab - 1}")
        return
    width = int(np.prod(t.values.shape[len(t.shape) :]))
    _require(width == spec.values, f"view {name}: {width} values per token, spec.values says {spec.values}")
    _require(bool(torch.isfinite(t.values[_valid(t)]).all()), f"view {name}: values are not finite")


def check_positions(sample: Sample) -> None:
    """On a lattice, positions are its indices in row-major order and tokens fill it."""
    spec = sample.modality.spec
    for name, t in sample.views().items():
        if (grid := t.layout.grid) is None:
            continue
        _require(spec.grid is None or spec.grid == grid, f"view {name}: grid {grid}, spec.grid says {spec.grid}")
        _require(int(np.prod(grid)) == t.shape[1], f"view {name}: {t.shape[1]} tokens do not fill the lattice {grid}")
        axes = torch.meshgrid(*[torch.arange(n) for n in grid], indexing="ij")
        expected = torch.stack([axis.flatten() for axis in axes], dim=-1)
        valid = _valid(t)
        got, wanted = t.pos.cpu().long()[valid.cpu()], expected.expand(t.shape[0], -1, -1)[valid.cpu()]
        _require(torch.equal(got, wanted), f"view {name}: pos of valid tokens are not row-major indices of the lattice {grid}")


def check_determinism(sample: Sample) -> None:
    """One generator seed gives one result, also in training; evaluation does not depend on it."""
    for training in (True, False):
        first, second = sample.prepared(training, 1), sample.prepared(training, 1)
        _require(same(first, second), f"prepare() gives two results for one generator seed (training={training})")
    _require(same(sample.prepared(False, 1), sample.prepared(False, 2)), "prepare() is random in evaluation")
    again = sample.modality.collate([sample.modality.read(record) for record in sample.records])
    _require(same(sample.batch, again), "read() and collate() give two results for the same records")
    _require(not _changes_batch(sample), "prepare() changed the collated batch in place")


def _changes_batch(sample: Sample) -> bool:
    before = {key: x.clone() if isinstance(x, Tensor) else x for key, x in sample.batch.items()}
    sample.prepared(True, 3)
    return not same(before, sample.batch)


def check_inverse(sample: Sample) -> None:
    """untokenize(tokenize(x)) is x wherever a valid token covers it."""
    if sample.modality.spec.vocab is not None:
        return
    prepared = sample.prepared()
    for name, t in sample.modality.tokenize(prepared).items():
        if t.layout.packed:
            continue
        signal = sample.modality.untokenize(t.values, t)
        ones = torch.ones_like(t.values) * _valid(t).reshape(*t.shape, *[1] * (t.values.ndim - 2))
        covered = sample.modality.untokenize(ones, t) > 0.999
        _require(bool(covered.any()), f"view {name}: untokenize() of ones is nowhere one")
        found = [key for key, x in prepared.items() if isinstance(x, Tensor) and matches(x, signal, covered)]
        _require(bool(found), f"view {name}: untokenize(tokenize(x)) {tuple(signal.shape)} equals no tensor of the batch")


def check_embedding(sample: Sample) -> None:
    """The embedding maps values to the width asked for, and every parameter of it gets a gradient."""
    embedding = sample.modality.embedding(16)
    for name, t in sample.views().items():
        out = embedding(t.values)
        got, due = tuple(out.shape), (*t.shape, 16)
        _require(got == due, f"view {name}: embedding(16) gives {got}, expected {due}")
        out.float().pow(2).sum().backward()
    for name, parameter in embedding.named_parameters():
        _require(parameter.grad is not None, f"parameter {name} of the embedding gets no gradient")
    _require(len(list(sample.modality.parameters())) == 0, "a modality has no parameters: learned maps belong in embedding()")


def check_drawing(sample: Sample) -> None:
    """One panel per sample, uint8 ``[H, W, 3]``; hiding tokens changes the picture and not its size."""
    for name, t in sample.views().items():
        plain = sample.modality.draw(t.values, t)
        hidden = sample.modality.draw(t.values, t, torch.ones(t.shape, dtype=torch.bool))
        for panels in (plain, hidden):
            _require(len(panels) == t.batch, f"view {name}: draw() gives {len(panels)} panels for {t.batch} samples")
            _require(all(isinstance(panel, Panel) for panel in panels), f"view {name}: draw() must give Panels")
        for a, b in zip(plain, hidden, strict=True):
            image = np.asarray(a.image)
            right = image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3
            _require(right, f"view {name}: panels are uint8 [H, W, 3]")
            _require(image.shape == np.asarray(b.image).shape, f"view {name}: hiding tokens changes the size of the picture")
            _require(not np.array_equal(image, b.image), f"view {name}: hidden tokens look like visible ones")


def check_demo(sample: Sample) -> None:
    """The built-in sample has both splits, its keys name one record each, and no record is in both."""
    train, val = list(sample.modality.demo("train")), list(sample.modality.demo("val"))
    for split, records in (("train", train), ("val", val)):
        _require(0 < len(records) == len({r.key for r in records}), f"demo({split!r}) is empty, or two records have one key")
    both = {r.key for r in train} & {r.key for r in val}
    _require(not both, f"demo: {len(both)} records are in train and val, {sorted(both)[:1]} among them")
    again = [record.key for record in islice(sample.modality.demo("train"), 8)]
    _require(again == [r.key for r in train][:8], "demo('train') is not the same every time")


def check_loading(sample: Sample) -> None:
    """Loader processes get a modality and records by pickling, and what they read is the same."""
    try:
        copy, records = pickle.loads(pickle.dumps((sample.modality, list(sample.records))))
    except Exception as error:  # whatever an object that cannot be pickled raises
        raise ContractError(f"a modality and its records must be picklable for loader processes: {error}") from error
    _require(same(sample.batch, copy.collate([copy.read(r) for r in records])), "an unpickled modality reads other samples")
    _require(copy.statistics == sample.modality.statistics, "statistics are lost by pickling")


def check_bad_records(sample: Sample) -> None:
    """What cannot be read is a BadSample with a message, not another error and not a sample."""
    with TemporaryDirectory() as folder:
        bad: list[tuple[str, Any]] = [("an object of no known kind", object())]
        for ending in sample.modality.extensions:
            for what, content in (("an empty file", b""), ("a text file", b"this is no such file\n" * 4)):
                path = Path(folder) / f"{what.split()[1]}{ending}"
                path.write_bytes(content)
                bad.append((f"{what} named *{ending}", path))
            bad.append((f"a missing file *{ending}", Path(folder) / f"missing{ending}"))
        for what, data in bad:
            _refuses(sample.modality, what, data)


def _refuses(modality: Modality, what: str, data: Any) -> None:
    try:
        modality.read(Record(data, key="bad"))
    except BadSample as error:
        _require(bool(str(error).strip()), f"read() of {what}: BadSample without a message")
    except Exception as error:
        raise ContractError(f"read() of {what} raises {type(error).__name__} ({error}), expected BadSample") from error
    else:
        raise ContractError(f"read() of {what} returns a sample, expected BadSample")


CHECKS: tuple[Callable[[Sample], None], ...] = (
    check_tokens,
    check_positions,
    check_determinism,
    check_inverse,
    check_embedding,
    check_drawing,
    check_demo,
    check_loading,
    check_bad_records,
)


def _require(kept: bool, message: str) -> None:
    if not kept:
        raise ContractError(message)


def _valid(t: Tokens) -> Tensor:
    return t.layout.valid if t.layout.valid is not None else torch.ones(t.shape, dtype=torch.bool, device=t.device)

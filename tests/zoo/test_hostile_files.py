"""Files that were made to do harm, or broke: each is refused with one clear line, nothing runs, nothing is left behind."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import resource
import struct
import sys
import tarfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import maskedmod
from maskedmod.errors import UserError
from maskedmod.zoo.files import plain_pickle
from tests.zoo.test_load import SETTINGS, fair_encoder, fair_whole

MEMORY = 100_000  # kB that a refusal may take at most


class Runs:
    """Would make a file when it is unpickled."""

    def __init__(self, file: Path, how: Callable[[Path], Any] = Path.touch) -> None:
        self.file, self.how = file, how

    def __reduce__(self) -> Any:
        return self.how, (self.file,)


def header(entries: dict[str, Any] | bytes, numbers: bytes = b"", length: int | None = None) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def entry(kind: str, shape: list[int], start: int, stop: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}


def zipped(
    file: Path, change: Callable[[zipfile.ZipFile, dict[str, bytes]], None], weights: dict[str, Tensor] | None = None
) -> None:
    """A file of torch.save, its entries written again by ``change``."""
    saved = io.BytesIO()
    torch.save(fair_encoder() if weights is None else weights, saved)
    with zipfile.ZipFile(saved) as source:
        entries = {info.filename: source.read(info) for info in source.infolist()}
    with zipfile.ZipFile(file, "w") as target:
        change(target, entries)


def write_all(target: zipfile.ZipFile, entries: dict[str, bytes]) -> None:
    for name, content in entries.items():
        target.writestr(name, content)


def pickle_that_runs(folder: Path) -> Path:
    torch.save({"model": fair_whole(), "args": Runs(folder / "ran")}, folder / "a.pth")
    return folder / "a.pth"


def old_pickle_that_runs(folder: Path) -> Path:
    torch.save({"model": Runs(folder / "ran")}, folder / "a.pth", _use_new_zipfile_serialization=False)
    return folder / "a.pth"


def bare_pickle_that_runs(folder: Path) -> Path:
    (folder / "a.pt").write_bytes(pickle.dumps({"model": Runs(folder / "ran", os.mkdir)}))
    return folder / "a.pt"


def pickle_by_getattr(folder: Path) -> Path:
    """``getattr(torch.Tensor, ...)``: names that are harmless one by one."""
    program = b"\x80\x02cbuiltins\ngetattr\nctorch\nTensor\nX\x04\x00\x00\x00dataX\x00\x00\x00\x00\x87R."
    zipped(folder / "a.pth", lambda out, all: write_all(out, {**all, next(n for n in all if n.endswith("data.pkl")): program}))
    return folder / "a.pth"


def settings_of_functions(folder: Path) -> Path:
    """State for one of the reader's own functions: defaults of a function must not be changed from a file."""
    program = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x0c\x00\x00\x00__defaults__K\x01sb."
    zipped(folder / "a.pth", lambda out, all: write_all(out, {**all, next(n for n in all if n.endswith("data.pkl")): program}))
    return folder / "a.pth"


def allocating_pickle(folder: Path) -> Path:
    """An instruction that takes 1 TB before it reads a byte."""
    program = b"\x80\x05\x96" + struct.pack("<Q", 10**12) + b"."
    zipped(folder / "a.pth", lambda out, all: write_all(out, {**all, next(n for n in all if n.endswith("data.pkl")): program}))
    return folder / "a.pth"


def zip_that_leaves_its_folder(folder: Path) -> Path:
    zipped(folder / "a.pth", lambda out, all: write_all(out, {**all, "archive/../../ran": b"x"}))
    return folder / "a.pth"


def zip_bomb(folder: Path) -> Path:
    def change(out: zipfile.ZipFile, all: dict[str, bytes]) -> None:
        write_all(out, all)
        out.writestr("archive/data/99", bytes(50_000_000), zipfile.ZIP_DEFLATED)

    zipped(folder / "a.pth", change)
    return folder / "a.pth"


def zip_with_an_entry_twice(folder: Path) -> Path:
    def change(out: zipfile.ZipFile, all: dict[str, bytes]) -> None:
        write_all(out, all)
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr(next(name for name in all if name.endswith("data/0")), bytes(128))

    zipped(folder / "a.pth", change)
    return folder / "a.pth"


def declared_10_tb(folder: Path) -> Path:
    size = 10**13
    (folder / "a.safetensors").write_bytes(header({"cls_token": entry("F32", [size // 4], 0, size)}, bytes(64)))
    return folder / "a.safetensors"


def torch_file_declaring(folder: Path, old: bytes, new: bytes) -> Path:
    """A tensor [1000] whose pickle says other numbers."""

    def change(out: zipfile.ZipFile, all: dict[str, bytes]) -> None:
        name = next(name for name in all if name.endswith("data.pkl"))
        assert old in all[name]
        write_all(out, {**all, name: all[name].replace(old, new)})

    zipped(folder / "a.pth", change, {"cls_token": torch.zeros(1000)})
    return folder / "a.pth"


THOUSAND, HUGE = b"M\xe8\x03", b"\x8a\x06" + (10**13 // 4).to_bytes(6, "little")


def tensor_beyond_its_storage(folder: Path) -> Path:
    return torch_file_declaring(folder, b"K\x00" + THOUSAND + b"\x85", b"K\x00" + HUGE + b"\x85")


def storage_beyond_its_entry(folder: Path) -> Path:
    return torch_file_declaring(folder, THOUSAND, HUGE)


def tensor_of_stride_zero(folder: Path) -> Path:
    tail = b"\x85q\x08K%c\x85"
    return torch_file_declaring(folder, THOUSAND + tail % 1, HUGE + tail % 0)


def cut_safetensors(folder: Path) -> Path:
    save_file(fair_encoder(), folder / "a.safetensors")
    (folder / "a.safetensors").write_bytes((folder / "a.safetensors").read_bytes()[:-100])
    return folder / "a.safetensors"


def long_header(folder: Path) -> Path:
    (folder / "a.safetensors").write_bytes(header(b"{}", length=10**15))
    return folder / "a.safetensors"


def nested_header(folder: Path) -> Path:
    (folder / "a.safetensors").write_bytes(header(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"))
    return folder / "a.safetensors"


def keys_twice(folder: Path) -> Path:
    one = json.dumps(entry("F32", [1], 0, 4))
    (folder / "a.safetensors").write_bytes(header(f'{{"cls_token": {one}, "cls_token": {one}}}'.encode(), bytes(4)))
    return folder / "a.safetensors"


def overlapping_tensors(folder: Path) -> Path:
    places = {"a": entry("F32", [4], 0, 16), "b": entry("F32", [4], 8, 24)}
    (folder / "a.safetensors").write_bytes(header(places, bytes(24)))
    return folder / "a.safetensors"


def unknown_type(folder: Path) -> Path:
    (folder / "a.safetensors").write_bytes(header({"cls_token": entry("F33", [4], 0, 16)}, bytes(16)))
    return folder / "a.safetensors"


def type_that_does_not_fit(folder: Path) -> Path:
    (folder / "a.safetensors").write_bytes(
        header({"cls_token": entry("F32", [9], 0, 32), "b": entry("F32", [1], 32, 36)}, bytes(36))
    )
    return folder / "a.safetensors"


def whole_numbers(folder: Path) -> Path:
    save_file({**fair_whole(), "norm.weight": torch.ones(32, dtype=torch.int64)}, folder / "a.safetensors")
    return folder / "a.safetensors"


def not_a_number(folder: Path) -> Path:
    weights = fair_whole()
    weights["blocks.1.mlp.fc1.weight"][3, 7] = torch.nan
    torch.save({"model": weights}, folder / "a.pth")
    return folder / "a.pth"


def infinite(folder: Path) -> Path:
    weights = fair_whole()
    weights["norm.bias"][3] = -torch.inf
    save_file(weights, folder / "a.safetensors")
    return folder / "a.safetensors"


def beginning(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def tar(folder: Path) -> Path:
    with tarfile.open(folder / "a.pth", "w") as archive:
        archive.addfile(tarfile.TarInfo("../ran"))
    return folder / "a.pth"


def program(folder: Path) -> Path:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(folder / "a.pt"))
    return folder / "a.pt"


def a_billion_blocks(folder: Path) -> Path:
    save_file({**fair_encoder(), "blocks.1000000000.norm1.weight": torch.ones(32)}, folder / "a.safetensors")
    return folder / "a.safetensors"


def a_model_far_larger_than_the_file(folder: Path) -> Path:
    """Width 1,000,000 by its patch map alone: the model would have 10^13 weights."""
    weights = {**fair_encoder(), "patch_embed.proj.weight": torch.zeros(1_000_000, 1, 4, 4)}
    torch.save(weights, folder / "a.pth")
    return folder / "a.pth"


def index(names: dict[str, str] | str, *files: str) -> Callable[[Path], Path]:
    """An index over files that hold the class token and one key each."""

    def make(folder: Path) -> Path:
        text = names if isinstance(names, str) else json.dumps({"weight_map": names})
        (folder / "model.safetensors.index.json").write_text(text)
        for file in files:
            save_file({"cls_token": torch.zeros(2), file: torch.zeros(2)}, folder / file)
        return folder

    return make


BAD: dict[Callable[[Path], Path], str] = {
    pickle_that_runs: "could run code",
    old_pickle_that_runs: "could run code",
    bare_pickle_that_runs: "could run code",
    pickle_by_getattr: "builtins.getattr, which could run code",
    settings_of_functions: "damaged",
    allocating_pickle: "damaged",
    zip_that_leaves_its_folder: "leads out of the folder",
    zip_bomb: "is packed",
    zip_with_an_entry_twice: "is there twice",
    declared_10_tb: "10.0 TB",
    tensor_beyond_its_storage: "its storage has 1000",
    storage_beyond_its_entry: "10.0 TB",
    tensor_of_stride_zero: "more numbers than its storage has",
    cut_safetensors: "cut off or damaged",
    long_header: "a header of 1000.0 TB is declared",
    nested_header: "not JSON",
    keys_twice: "'cls_token' is there twice",
    overlapping_tensors: "b begins at byte 8",
    unknown_type: "'F33'",
    type_that_does_not_fit: "36 bytes, but has 32",
    whole_numbers: "norm.weight is of type int64",
    not_a_number: "blocks.1.mlp.fc1.weight holds NaN",
    infinite: "norm.bias holds infinity",
    beginning("text.pth", b"not a checkpoint\n" * 9): "text, not weights",
    beginning("text.safetensors", b"not a checkpoint\n" * 9): "cut off or damaged",
    beginning("page.pth", b"<!DOCTYPE html><html>"): "a web page",
    beginning("pointer.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:0"): "git-lfs",
    beginning("empty.pth", b""): "the file is empty",
    beginning("noise.pth", bytes(range(255, 0, -1))): "cut off or damaged",
    tar: "a tar",
    program: "TorchScript",
    a_billion_blocks: "block 1000000000",
    a_model_far_larger_than_the_file: "allocate",
    index({"cls_token": "model-1.safetensors"}): "model-1.safetensors, which is not beside it",
    index({"cls_token": "model.safetensors.index.json"}): "which is an index and not weights",
    index({"cls_token": "../model.safetensors"}): "which is not beside it",
    index({"cls_token": "a.safetensors", "norm": "a.safetensors"}, "a.safetensors"): "norm should be in a.safetensors",
    index({"a.safetensors": "a.safetensors", "b.safetensors": "b.safetensors"}, "a.safetensors", "b.safetensors"): "another file",
    index('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}'): "'a' is there twice",
    index('{"weight_map": []}'): "which has a weight_map",
}


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("make", BAD, ids=lambda make: f"{make.__name__}-{BAD[make][:12]}")
def test_a_bad_file_is_refused(make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    before, memory = listing(tmp_path), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as caught:
        maskedmod.load(path, settings=SETTINGS)
    message = str(caught.value)
    assert BAD[make] in message, message
    assert str(tmp_path) in message and "\n" not in message and len(message) < 500, message
    assert listing(tmp_path) == before and not (tmp_path.parent / "ran").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MEMORY


def test_the_readers_functions_are_as_they_were(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        maskedmod.load(settings_of_functions(tmp_path))
    assert plain_pickle._tensor.__defaults__ is None


@pytest.mark.parametrize("new", [True, False])
def test_settings_of_known_kinds_become_plain_data(new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes that are not installed here: their names and contents are read, they are never imported."""
    module = types.ModuleType("omegaconf.dictconfig")
    for name in ("DictConfig", "AnyNode"):
        setattr(module, name, type(name, (), {"__module__": module.__name__, "__qualname__": name}))
    value, settings = module.AnyNode(), module.DictConfig()
    value.__dict__.update(_val=0.6, _parent=settings)
    settings.__dict__.update(_content={"mask_ratio": value}, _parent=None)
    content = {"model": fair_whole(), "cfg": {"model": settings}, "run": argparse.Namespace(out=Path("/a/b"))}
    with monkeypatch.context() as patch:
        for name in ("omegaconf", module.__name__):
            patch.setitem(sys.modules, name, module)
        torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=new)
        for name in ("omegaconf", module.__name__):
            patch.setitem(sys.modules, name, None)
        loaded = maskedmod.load(tmp_path / "a.pth", settings=SETTINGS)
    assert loaded.report.settings["mask_ratio"] == 0.6 and "run" in loaded.report.unneeded


@pytest.mark.parametrize("new", [True, False])
def test_tensors_are_those_of_torch_load(new: bool, tmp_path: Path) -> None:
    base = torch.randn(6, 4)
    tensors = {
        "part": base[1:3], "turned": base.t(), "one": torch.tensor(3.0), "none": torch.zeros(0, 3), "half": torch.randn(7).half(),
        "brain": torch.randn(3).bfloat16(), "flags": torch.tensor([True, False]), "long": torch.arange(5),
        "wide": base.double()[2:], "parameter": torch.nn.Parameter(torch.randn(2)),
    }  # fmt: skip
    torch.save(tensors, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    from maskedmod.zoo.files.source import read

    ours = read(tmp_path / "a.pt").weights
    for key, tensor in torch.load(tmp_path / "a.pt", weights_only=True).items():
        assert (
            ours[key].dtype == tensor.dtype and ours[key].stride() == tensor.stride() and torch.equal(ours[key], tensor.detach())
        )


def test_the_file_can_be_replaced_after_loading(tmp_path: Path) -> None:
    """Nothing that was loaded is a view of the file."""
    weights = fair_whole()
    weights["pos_embed"] = torch.randn(1, 17, 32)
    save_file(weights, tmp_path / "a.safetensors")
    loaded = maskedmod.load(tmp_path / "a.safetensors", settings=SETTINGS)
    (tmp_path / "a.safetensors").write_bytes(b"")
    state = loaded.model.state_dict()
    assert torch.equal(state["encoder.norm.weight"], weights["norm.weight"])
    assert all(torch.isfinite(tensor).all() for tensor in state.values())

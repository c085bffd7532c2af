"""What the README and the pages say is run as it stands: every command, every Python example, in a folder with small files.

Training commands get words that keep them short. Commands of other programs are known by their first word and not run; what
they and commands on data sets of the hub say must still resolve.
"""

from __future__ import annotations

import inspect
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maskedmod
from maskedmod.cli import VERBS, main
from maskedmod.recipe import catalog
from maskedmod.recipe.config import resolve, resolve_names
from maskedmod.recipe.layering import chosen
from tests.conftest import ROOT
from tests.zoo.test_load import blocks, table

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
FETCHED = "docs/real-weights.md"
"""Its commands need weights that it fetches: it is followed in ``tests/test_real_weights.py``."""
NOT_RUN = {"make", "pip", "python3", ".venv/bin/pip", "torchrun"}
SHORT = [
    *("train.steps=2", "train.warmup_steps=0", "train.val_every=0", "train.val_batches=1", "train.baseline_batches=1"),
    *("train.batch_size=4", "train.tensorboard=false", "encoder.depth=2", "encoder.width=32", "encoder.heads=2"),
]
SHORT_DECODER = ["head.depth=1", "head.width=32", "head.heads=2"]
SPOKEN_OF = ("mae", "esm2", "bert", "graph_mae", "attr_masking", "tokenizer")
"""Runs that later commands of a page use."""
_RUN: set[tuple[str, ...]] = set()
"""Training commands that stand on several pages run once."""


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages speak of: photographs, clips, tables, weights, and a trained run of each modality."""
    folder = tmp_path_factory.mktemp("stock")
    _photos_and_clips(folder)
    for name, width, grid in (("mae_pretrain_vit_base_full", 64, (4, 4)), ("my_mae", 384, (14, 28))):
        torch.save({"model": _mae_weights(width, grid)}, folder / f"{name}.pth")
    small = maskedmod.create("esm2", "encoder.depth=2", "encoder.width=32", "encoder.heads=4", preset="tiny")
    small.extras.update({"contact.weight": torch.randn(1, 8), "contact.bias": torch.zeros(1)})
    small.export("fair_esm", folder / "esm2_t6_8M_UR50D")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for recipe, data, run in (("mae", "photos", "a"), ("audio_mae", "clips", "sounds")):
            words = [f"recipe={recipe}", "preset=tiny", "data=folder", f"data.path={data}/", f"out=runs/{run}"]
            assert main(["train", *words, *SHORT, *SHORT_DECODER]) == 0
        assert main(["train", "recipe=mae", "out=runs/mae", *SHORT, *SHORT_DECODER]) == 0
    return folder


@pytest.fixture
def here(stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files as the working directory."""
    shutil.copytree(stock, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _photos_and_clips(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import soundfile
    from PIL import Image

    draw = np.random.default_rng(0)
    for name in ("photos", "clips", "cifar10"):
        (folder / name).mkdir()
    rows: dict[str, list[dict[str, Any]]] = {"image": [], "audio": []}
    for i in range(24):
        picture, sound = io.BytesIO(), io.BytesIO()
        shape = (int(draw.integers(40, 80)), int(draw.integers(40, 80)), 3)
        Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(picture, "PNG")
        rate = (8000, 16000, 44100)[i % 3]
        soundfile.write(sound, draw.normal(0, 0.1, rate), rate, format="WAV")
        (folder / "photos" / f"{i}.png").write_bytes(picture.getvalue())
        (folder / "clips" / f"word_{i}.wav").write_bytes(sound.getvalue())
        rows["image"].append({"bytes": picture.getvalue(), "path": f"{i}.png"})
        rows["audio"].append({"bytes": sound.getvalue(), "path": f"{i}.wav"})
    shutil.copy(folder / "clips" / "word_1.wav", folder / "call.wav")
    Image.open(folder / "photos" / "0.png").save(folder / "photo.jpg")
    pq.write_table(pa.table({"audio": rows["audio"]}), folder / "sounds.parquet")
    for split in ("train", "test"):
        pq.write_table(pa.table({"image": rows["image"]}), folder / "cifar10" / f"{split}.parquet")


def _mae_weights(width: int, grid: tuple[int, int], patch: int = 16, narrow: int = 32) -> dict[str, torch.Tensor]:
    """A small MAE as facebookresearch/mae saves it."""
    shapes = {
        "cls_token": (1, 1, width), "patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,),
        "norm.weight": (width,), "norm.bias": (width,), "mask_token": (1, 1, narrow),
        "decoder_embed.weight": (narrow, width), "decoder_embed.bias": (narrow,), "decoder_norm.weight": (narrow,),
        "decoder_norm.bias": (narrow,), "decoder_pred.weight": (3 * patch**2, narrow), "decoder_pred.bias": (3 * patch**2,),
    }  # fmt: skip
    tables = {"pos_embed": table(width, grid), "decoder_pos_embed": table(narrow, grid)}
    stacks = blocks("blocks", width, 1) | blocks("decoder_blocks", narrow, 1)
    return {name: torch.randn(shape) for name, shape in shapes.items()} | tables | stacks


def fenced(page: str) -> Iterator[tuple[str, str]]:
    """Language and text of the fenced blocks of a page."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """Words of each command of a shell block. On data sets that are not here, marked as such, nothing can be run: there the
    verb must exist and the words of ``train`` must resolve."""
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words and line.endswith("# your own files"):
            assert words[0] == "maskedmod" and words[1] in VERBS
            if words[1] == "train":
                resolve(words[2:])
        elif words:
            yield words


@pytest.mark.parametrize("page", [page for page in PAGES if page != FETCHED])
def test_a_page_can_be_followed(page: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for language, text in fenced(page):
        if language == "python":
            exec(text, names)
            printed = capsys.readouterr().out
            for shape in re.findall(r"^print.*# (\[[\d, ]+\])", text, re.MULTILINE):
                assert shape in printed, text
        elif language == "yaml" and (named := re.match(r"# (\S+\.yaml)\n", text)):
            (here / named[1]).write_text(text)
        elif language in ("", "sh", "bash"):
            for words in commands(text):
                _follow(words, capsys)


def _follow(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if words[0] != "maskedmod":
        assert words[0] in NOT_RUN, f"{words}: neither maskedmod nor a program that is known"
        if "maskedmod" in words:
            assert words[words.index("maskedmod") + 1] == "train"
            resolve(words[words.index("maskedmod") + 2 :])
        return
    verb, rest = words[1], words[2:]
    if "data=hf" in rest:
        if verb == "train":
            resolve(rest)
        return
    if verb == "train":
        named = bool({f"out=runs/{name}" for name in SPOKEN_OF} & set(rest))
        if tuple(rest) in _RUN and not named:
            return
        _RUN.add(tuple(rest))
        tree = resolve_names(rest, say=lambda line: None)
        known = {argument.name for argument in catalog.entry("encoder", str(chosen(tree["encoder"]))).arguments}
        short = [word for word in SHORT if not word.startswith("encoder.") or word[8:].partition("=")[0] in known]
        decoder = "mae_decoder" in tree["head"]
        rest = [*rest, *short, *(SHORT_DECODER if decoder else []), *([] if named else [f"out=runs/{len(_RUN)}"])]
    code = main([verb, *rest])
    assert code == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"


def test_commands_inside_sentences_name_verbs_that_exist() -> None:
    for page in PAGES:
        for verb in re.findall(r"`maskedmod ([a-z]+)", (ROOT / page).read_text("utf-8")):
            assert verb in VERBS, f"{page}: maskedmod {verb}"


def test_every_verb_and_every_modality_has_its_page() -> None:
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert re.findall(r"^## ([a-z]+)$", text, re.MULTILINE) == list(VERBS)
    readme = (ROOT / "README.md").read_text("utf-8")
    for page in PAGES[1:]:
        assert f"({page})" in readme, f"README does not link {page}"
    for name in catalog.names("modality"):
        page = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
        for argument in inspect.signature(catalog.load("modality", name)).parameters:
            assert f"`{argument}`" in page, f"docs/{name}.md does not explain {argument}"


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, "CONTRIBUTING.md"]:
        prose = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#:]+)\)", prose):
            assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"

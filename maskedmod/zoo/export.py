"""Write a model in a published layout, so that the published code reads it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.writers.known import meant, write
from maskedmod.zoo.writing import Written


def export(loaded: Loaded, layout: str, path: str | Path | None = None, version: int = 5) -> dict[str, Tensor]:
    """The state dict in the names of a layout (its name, or a family: hf, timm, fair, fair-esm), also written to ``path``.

    Layouts of transformers and timm are a folder with ``model.safetensors`` and ``config.json``; the others one file,
    ``path.pth``. ``fair_esm``: ``path.pt`` and ``path-contact-regression.pt``; the reader of fair-esm wants names of ESM-2 to
    begin with ``esm2``. ``version``: of transformers, whose names changed with 5. UserError names what of the model the layout
    has no place for.
    """
    layout = meant(loaded.tree, layout)
    written = write(loaded, layout, version)
    if path is not None:
        save(written, layout, Path(path))
    return written.weights


def save(written: Written, layout: str, path: Path) -> list[Path]:
    """Write the files of a layout -> their paths."""
    if layout == "fair_esm":
        return _save_fair_esm(path, written.weights, written.config)
    if written.style in ("pth", "state"):
        return _save_pth(path, written)
    return _save_folder(path, written)


def _save_pth(path: Path, written: Written) -> list[Path]:
    file = path if path.suffix == ".pth" else path.with_name(f"{path.name}.pth")
    file.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"model": written.weights}
    if written.nested:
        content = {}
        for key, tensor in written.weights.items():
            part, _, name = key.partition(".")
            content.setdefault(part, {})[name] = tensor
    torch.save(written.weights if written.style == "state" else {**content, "args": written.config}, file)
    return [file, *_save_texts(file.parent, written.files)]


def _save_folder(path: Path, written: Written) -> list[Path]:
    from safetensors.torch import save_file

    path.mkdir(parents=True, exist_ok=True)
    save_file(written.weights, path / "model.safetensors", metadata={"format": "pt"})
    return [path / "model.safetensors", *_save_texts(path, {"config.json": written.config, **written.files})]


def _save_texts(folder: Path, files: Mapping[str, Any]) -> list[Path]:
    """Text, or what becomes JSON, by the name of its file."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content, indent=1) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def _save_fair_esm(path: Path, named: dict[str, Tensor], settings: dict[str, Any]) -> list[Path]:
    regression = {key: tensor for key, tensor in named.items() if key.startswith("contact_head.")}
    state = {key: tensor for key, tensor in named.items() if key not in regression}
    args = argparse.Namespace(
        arch="roberta_large",
        encoder_layers=settings["layers"],
        encoder_embed_dim=settings["width"],
        encoder_ffn_embed_dim=settings["inner"],
        encoder_attention_heads=settings["heads"],
        max_positions=settings["rows"] - 2,
        token_dropout=settings["token_dropout"],
        final_bias=True,
    )
    content = {"cfg": {"model": args}} if settings["rotary"] else {"args": args}
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.with_name(f"{path.name}.pt")]
    torch.save({**content, "model": state}, files[0])
    if regression:
        files.append(path.with_name(f"{path.name}-contact-regression.pt"))
        torch.save({"model": regression}, files[1])
    return files

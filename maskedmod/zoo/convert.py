"""A run folder or checkpoint -> a folder in a published layout with its model card, and on to the hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError, one_line
from maskedmod.zoo.card import card
from maskedmod.zoo.export import save
from maskedmod.zoo.load import load
from maskedmod.zoo.writers.known import meant, write


@dataclass(frozen=True)
class Conversion:
    """``files``: what was written. ``notes``: what of the model the layout has no place for. ``count``: tensors."""

    layout: str
    files: list[Path]
    notes: list[str]
    count: int


def convert(checkpoint: str, to: str, output: str | Path, version: int = 4, how: Mapping[str, Any] | None = None) -> Conversion:
    """Write ``checkpoint`` in the layout of a family (hf, timm, fair, fair-esm) or of a name into the folder ``output``, whole or
    not at all. ``version``: of transformers, whose names changed with 5; both read those of 4.
    ``how`` the checkpoint is read: see ``load``. UserError where ``output`` holds
    anything, and where the layout has no place for a part of the model."""
    folder = Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"output={folder} exists already; name a new or empty folder")
    if version not in (4, 5):
        raise UserError(f"version={version}: transformers 4 or 5")
    loaded = load(checkpoint, **(how or {}))
    layout = meant(loaded.tree, to)
    written = write(loaded, layout, version)
    made = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    try:
        made.mkdir(parents=True)
        files = save(written, layout, made / _stem(layout, loaded.tree) if written.style in ("pth", "state") else made)
        command = f"maskedmod convert {checkpoint} to={to} output={output}" + (f" version={version}" if version != 4 else "")
        text = card(loaded, checkpoint, layout, written, files, command)
        (made / "README.md").write_text(text, encoding="utf-8")
        os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    files = [folder / file.relative_to(made) for file in [*files, made / "README.md"]]
    return Conversion(layout, files, written.notes, len(written.weights))


def push(folder: Path, repository: str, token: str | None = None, private: bool = False) -> str:
    """Upload a folder to the hub -> its address. ``token``: default is the one that huggingface_hub finds. UserError says what
    the hub answered."""
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise UserError(f"push={repository}: expected ORGANISATION/NAME")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = huggingface_hub.HfApi(token=token)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        info = api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Converted by maskedmod")
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError) as error:
        what = one_line(str(error), 200)
        raise UserError(f"push={repository}: the hub refused ({what}); `hf auth login` or HF_TOKEN gives a token") from None
    return str(getattr(info, "repo_url", None) or repository)


def _stem(layout: str, tree: dict[str, object]) -> str:
    """Name of the file: fair-esm takes the kind of model from it."""
    if layout != "fair_esm":
        return "checkpoint"
    encoder = tree["encoder"]
    assert isinstance(encoder, dict)
    return "esm2" if encoder["transformer"].get("positions") == "rotary" else "esm1b"

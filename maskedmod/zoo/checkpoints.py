"""Public checkpoints that are known by name: the entries of ``checkpoints.yaml``. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Names looked for in a folder, in this order."""

FILE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Checkpoint:
    """``hub``: id on the Hugging Face Hub; ``url``: else where its file is, ``also`` where those beside it are; ``page``: else
    the page that a person fetches it from. ``files``: their names, weights first, where they are not the hub's usual
    ones. ``size``: of the weights, about. ``sha256``: as published, by file; empty: the hashes of the first
    download are kept and hold from then on. ``holds``: encoder, decoder, heads. ``target``: what was predicted. ``scores``: as
    published. ``layout``: by which it is loaded; empty: not yet. ``settings``: for loading it. ``unconfirmed``: the place was
    not seen to answer."""

    name: str
    recipe: str
    holds: str
    licence: str
    hub: str = ""
    url: str = ""
    also: tuple[str, ...] = ()
    page: str = ""
    files: tuple[str, ...] = ()
    size: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    target: str = ""
    scores: str = ""
    layout: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    unconfirmed: bool = False

    @property
    def place(self) -> str:
        """Where it is published."""
        return self.url or self.page or f"https://huggingface.co/{self.hub}"


@lru_cache(maxsize=1)
def entries() -> dict[str, Checkpoint]:
    """All of them by name, in the order of the file."""
    import yaml

    found: dict[str, Checkpoint] = {}
    for recipe, group in yaml.safe_load(FILE.read_text(encoding="utf-8")).items():
        usual = {key: value for key, value in group.items() if key != "checkpoints"}
        for name, own in group["checkpoints"].items():
            values = {**usual, **(own or {})}
            if not values.get("url") and not values.get("page"):
                values.setdefault("hub", name)
            urls = [values.get("url", ""), *values.get("also", ())]
            named = [url.rpartition("/")[2] for url in urls if url]
            values["files"], values["also"] = tuple(values.get("files", named)), tuple(urls[1:])
            found[name] = Checkpoint(name=name, **{"recipe": recipe, **values})
    return found

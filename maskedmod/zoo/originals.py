"""The published implementations that can be run beside ours, where they are installed: transformers, timm, fair-esm."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.apply import Seen, apply
from maskedmod.core.context import Context
from maskedmod.core.mask_set import MaskSet
from maskedmod.core.masking import from_masked, from_noise
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError, one_line
from maskedmod.recipe.layering import chosen
from maskedmod.sequences.packing import positions
from maskedmod.support.compat import require
from maskedmod.zoo.checkpoints import WEIGHT_FILES
from maskedmod.zoo.export import export
from maskedmod.zoo.files.source import read
from maskedmod.zoo.loaded import Loaded
from maskedmod.zoo.pair import Pair, Stack
from maskedmod.zoo.writers.known import meant, write

READS = {"transformers": ("hf_",), "timm": ("timm_vit", "fair_mae"), "fair-esm": ("fair_esm",)}
"""Beginnings of the layouts whose files a library reads itself."""
FAMILY = {"transformers": "hf", "timm": "timm", "fair-esm": "fair-esm"}


def usual(loaded: Loaded) -> str:
    """The library whose files the checkpoint is one of, else transformers."""
    return next((name for name, begins in READS.items() if loaded.layout.startswith(begins)), "transformers")


def file_for(loaded: Loaded, checkpoint: Path, against: str, folder: Path) -> tuple[Path, bool]:
    """-> the file or folder that the library is given, and whether it was written from our model."""
    own = loaded.layout.startswith(READS[against])
    if against == "transformers" and checkpoint.name in WEIGHT_FILES and (checkpoint.parent / "config.json").is_file():
        checkpoint = checkpoint.parent
    if own and (against != "transformers" or checkpoint.is_dir()) and checkpoint.exists():
        return checkpoint, False
    layout = _written_for(loaded, against)
    name = "esm2" if layout == "fair_esm" and loaded.tree["encoder"]["transformer"].get("positions") == "rotary" else "esm1b"
    export(loaded, layout, folder / name, version=4)
    return (folder / f"{name}.pt" if layout == "fair_esm" else folder / name), True


def _written_for(loaded: Loaded, against: str) -> str:
    """The library's layout for this model. UserError when the library has no such model."""
    try:
        layout = meant(loaded.tree, FAMILY[against])
    except UserError:
        layout = ""
    if layout in ("", "molformer"):  # MolFormer's code lies on the hub, and code is not fetched to be run
        what = f"{chosen(loaded.tree.get('modality'))} with encoder={chosen(loaded.tree.get('encoder'))}"
        raise UserError(f"{against} has no model to compare with ({what}); against={'|'.join(FAMILY)} are the libraries")
    return layout


def pair(loaded: Loaded, path: Path, against: str) -> Pair:
    """Both models, ready to run."""
    return {"transformers": _transformers, "timm": _timm, "fair-esm": _fair_esm}[against](loaded, path)


def _transformers(loaded: Loaded, path: Path) -> Pair:
    library = require("transformers", "verify")
    config = library.AutoConfig.from_pretrained(path)
    name = (config.architectures or ["AutoModel"])[0]
    try:
        model = getattr(library, name).from_pretrained(path, attn_implementation="eager").eval()
    except AttributeError:
        raise UserError(f"this transformers has no {name}") from None
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{path}: transformers cannot make its {name}: {one_line(str(error), 200)}") from None
    blocks = _first(model, "layers", "encoder.layer")
    if loaded.modality.spec.vocab is not None:
        ids = _ids(loaded)
        head = hasattr(model, "lm_head") or hasattr(model, "cls")

        def run() -> dict[str, Tensor]:
            found = model(ids[None])
            return {"scores": found[0][0] if name != "BertForPreTraining" else found.prediction_logits[0]} if head else {}

        return Pair([Stack("encoder", _units(loaded), blocks)], _of_ids(loaded, ids, head), run)
    return _pictures(loaded, model, name, blocks)


def _pictures(loaded: Loaded, model: Any, name: str, blocks: list[nn.Module]) -> Pair:
    """Vision Transformers of transformers, masked as they are in training."""
    image = _image(loaded)
    n = int(torch.tensor(loaded.modality.spec.grid).prod())
    stacks = [Stack("encoder", _units(loaded), blocks)]
    if name.startswith("ViTMAE"):
        noise = torch.rand(len(image), n, generator=torch.Generator().manual_seed(1))
        mask = from_noise(noise, float(model.config.mask_ratio))
        if name == "ViTMAEForPreTraining":
            head: Any = loaded.model.objectives["main"].head
            first = torch.zeros(len(image), 1, dtype=torch.long)
            order = torch.cat([first, 1 + mask.keep, 1 + mask.targets[:, 0]], dim=1)
            stacks.append(Stack("decoder", list(head.blocks), list(model.decoder.decoder_layers), order))
            return Pair(stacks, _of_pictures(loaded, image, mask, True), lambda: {"prediction": model(image, noise=noise).logits})
        return Pair(stacks, _of_pictures(loaded, image, mask, False), lambda: {"features": model(image, noise=noise)[0]})
    hidden = torch.rand(len(image), n, generator=torch.Generator().manual_seed(1)) < 0.4
    if name == "ViTForMaskedImageModeling":
        untokenize = loaded.modality.untokenize
        tokens = loaded.modality.tokenize({"pixels": image})["main"]
        ours = _of_pictures(loaded, image, from_masked(hidden), True)
        return Pair(
            stacks,
            lambda: {"prediction": untokenize(ours()["prediction"], tokens)},
            lambda: {"prediction": model(image, bool_masked_pos=hidden).reconstruction},
        )
    if name == "BeitForMaskedImageModeling":
        ours = _of_pictures(loaded, image, from_masked(hidden), True)
        return Pair(stacks, ours, lambda: {"prediction": model(image, bool_masked_pos=hidden).logits})
    return Pair(stacks, _of_pictures(loaded, image, None, False), lambda: {"features": model(image)[0]})


def _timm(loaded: Loaded, path: Path) -> Pair:
    timm = require("timm", "verify")
    arguments = write(loaded, "timm_vit").config["model_args"]
    eps = float(loaded.tree["encoder"]["transformer"].get("eps", 1e-6))
    norm = partial(nn.LayerNorm, eps=eps)
    model = timm.create_model("vit_base_patch16_224", num_classes=0, norm_layer=norm, **arguments).eval()
    mine = {key: tensor for key, tensor in read(path).weights.items() if not key.startswith(("decoder", "mask_token"))}
    model.load_state_dict(mine)
    image = _image(loaded)
    stack = Stack("encoder", _units(loaded), list(model.blocks))
    return Pair([stack], _of_pictures(loaded, image, None, False), lambda: {"features": model.forward_features(image)})


def _fair_esm(loaded: Loaded, path: Path) -> Pair:
    esm = require("esm", "verify")
    regression = path.with_name(f"{path.stem}-contact-regression.pt")
    with torch.serialization.safe_globals([argparse.Namespace]):  # no code of the file runs
        content = torch.load(path, map_location="cpu", weights_only=True)
        beside = torch.load(regression, map_location="cpu", weights_only=True) if regression.is_file() else None
    kind = "esm2" if "cfg" in content else "esm1b"
    model, _ = esm.pretrained.load_model_and_alphabet_core(kind, content, beside)
    model.eval()
    ids = _ids(loaded)
    return Pair(
        [Stack("encoder", _units(loaded), list(model.layers))],
        _of_ids(loaded, ids, True),
        lambda: {"scores": model(ids[None])["logits"][0]},
    )


def _of_pictures(loaded: Loaded, image: Tensor, mask: MaskSet | None, head: bool) -> Callable[[], dict[str, Tensor]]:
    """Our model on normalised pixels: the prediction of all patches, or features with the class token first."""

    def run() -> dict[str, Tensor]:
        model, ctx, batch = loaded.model, Context(training=False), {"pixels": image}
        tokens = model.modality.tokenize(batch)["main"]
        if head:
            assert mask is not None
            step = Step(model.modality, batch, ctx, {"main": model.view(tokens, ctx, mask=mask)})
            view, objective = step.views["main"], model.objectives["main"]
            return {"prediction": objective.head(view, view.mask.where("all"))[:, 0]}  # type: ignore[operator,union-attr]
        latent = model.encoder(Seen(tokens) if mask is None else apply(tokens, mask, "visible"))
        whole = latent.tokens if latent.prefix is None else torch.cat([latent.prefix, latent.tokens], dim=1)
        return {"features": whole}

    return run


def _of_ids(loaded: Loaded, ids: Tensor, head: bool) -> Callable[[], dict[str, Tensor]]:
    """Our model on one sequence, packed: the scores of all ids."""

    def run() -> dict[str, Tensor]:
        cu = torch.tensor([0, len(ids)], dtype=torch.int32)
        layout = Layout(cu_seqlens=cu, max_seqlen=len(ids))
        latent = loaded.model.encoder(Seen(Tokens(ids, positions(layout, len(ids)), layout)))
        lm: Any = loaded.model.objectives["main"].head
        return {"scores": lm.logits(latent.tokens)} if head else {}

    return run


def _units(loaded: Loaded) -> list[nn.Module]:
    return list(loaded.model.encoder.units())


def _first(model: nn.Module, *names: str) -> list[nn.Module]:
    """The blocks of an encoder, by one of the names that versions give them."""
    for key, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and any(key == name or key.endswith(f".{name}") for name in names):
            return list(module)
    raise UserError(f"{type(model).__name__} has no blocks called {' or '.join(names)}")


def _image(loaded: Loaded) -> Tensor:
    spec = loaded.modality.spec
    assert spec.grid is not None and spec.patch is not None
    size = [g * p for g, p in zip(spec.grid, spec.patch, strict=True)]
    return torch.randn(2, spec.channels or 1, *size, generator=torch.Generator().manual_seed(0))


def _ids(loaded: Loaded) -> Tensor:
    """A sequence of 30 ids, a mask token among them, between those of start and end."""
    letters = loaded.modality.alphabet or getattr(loaded.modality, "letters", None)
    if letters is None:
        raise UserError("the ids of this model are unknown: its tokenizer is not beside it")
    low = 4 if loaded.modality.spec.vocab == 33 else 5
    ids = torch.randint(low, min(24, loaded.modality.spec.vocab or 24), (20,), generator=torch.Generator().manual_seed(0))
    if letters.mask is not None:
        ids[7] = letters.mask
    ends = [[] if end is None else [end] for end in (letters.cls, letters.eos)]
    return torch.cat([torch.tensor(ends[0], dtype=torch.long), ids, torch.tensor(ends[1], dtype=torch.long)])

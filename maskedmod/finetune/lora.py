"""Low-rank adapters (LoRA, Hu et al. 2021) in the blocks of an encoder, by PEFT."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.errors import UserError
from maskedmod.finetune.classifier import Classifier
from maskedmod.finetune.options import Options
from maskedmod.support.compat import require

ADAPTER = "adapter"
"""Folder of the adapter, which ``peft.PeftModel.from_pretrained(encoder, folder)`` reads."""


def layers(encoder: Encoder, options: Options) -> dict[str, nn.Linear]:
    """The linear layers of the blocks that get an adapter, by their names in the encoder. UserError for a target that no block
    has."""
    inside = {id(module) for unit in encoder.units() for module in unit.modules()}
    linear = {name: module for name, module in encoder.named_modules() if isinstance(module, nn.Linear) and id(module) in inside}
    known = sorted({name.rsplit(".", 1)[-1] for name in linear})
    for target in options.lora_targets:
        if target not in known:
            there = ", ".join(known) or "none"
            raise UserError(f"lora_targets: no linear layer {target!r} in the encoder's blocks; there are {there}")
    return {name: module for name, module in linear.items() if name.rsplit(".", 1)[-1] in options.lora_targets}


def learning(model: Classifier, options: Options) -> tuple[int, int]:
    """Parameters that learn, and all of the network without adapters: those of what stands after the encoder, and rank times
    inputs and outputs of every adapted layer."""
    own = {id(parameter) for parameter in model.net.encoder.parameters()}
    head = sum(p.numel() for p in model.net.parameters() if id(p) not in own)
    sizes = [layer.in_features + layer.out_features for layer in layers(model.net.encoder, options).values()]
    return head + options.lora_rank * sum(sizes), sum(p.numel() for p in model.net.parameters())


def attach(model: Classifier, options: Options, seed: int) -> Any:
    """Put adapters into the network and freeze the rest of its encoder -> the ``PeftModel`` around the same encoder. They begin
    as no change; torch's random state is as before afterwards. UserError without the package peft."""
    peft, encoder = require("peft", "lora"), model.net.encoder
    config = peft.LoraConfig(
        r=options.lora_rank, lora_alpha=options.lora_alpha, lora_dropout=options.lora_dropout, bias="none",
        target_modules=list(layers(encoder, options)),
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = peft.get_peft_model(encoder, config)
    if model.average is not None:
        model.average = copy.deepcopy(model.net).requires_grad_(False).eval()
    return adapted


def settle(model: Classifier, adapted: Any, folder: Path) -> None:
    """Write the adapter of the judged weights into ``folder/adapter``, then merge it into the encoder, which is a plain one
    again."""
    if model.average is not None:
        model.net.load_state_dict(model.average.state_dict())
        model.average = None
    adapted.save_pretrained(folder / ADAPTER, save_embedding_layers=False)
    (folder / ADAPTER / "README.md").unlink(missing_ok=True)  # a form to be filled in
    merged = adapted.merge_and_unload(safe_merge=True)
    assert merged is model.net.encoder

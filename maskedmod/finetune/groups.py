"""Parameter groups with a learning rate that falls from the head to the input."""

from __future__ import annotations

from typing import Any

from torch import nn

from maskedmod.core.blocks.encoder import Encoder


def layer_groups(net: nn.Module, encoder: Encoder, decay: float) -> list[dict[str, Any]]:
    """Groups ``{params, names, decay, lr_scale, optimizer}`` of the trainable parameters of ``net``; ``encoder`` is in it.

    ``lr_scale = decay ** (L - l)`` (BEiT, Bao et al. 2022, appendix; MAE, He et al. 2022, table 9): l = 0 for what comes before
    the blocks (embedding, class token, positions), i + 1 for block i, L = blocks + 1 for the final norm and the head.
    Vectors, tokens and position tables take no weight decay."""
    units = encoder.units()
    last = len(units) + 1
    layer = {id(parameter): 0 for parameter in encoder.parameters()}
    layer |= {id(parameter): last for parameter in _final(encoder)}
    for i, unit in enumerate(units):
        layer |= {id(parameter): i + 1 for parameter in unit.parameters()}
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            continue
        decayed = parameter.ndim > 1 and not name.rsplit(".", 1)[-1].endswith(("token", "tokens", "table"))
        key = (layer.get(id(parameter), last), decayed)
        fresh = {"params": [], "names": [], "decay": decayed, "lr_scale": decay ** (last - key[0]), "optimizer": "main"}
        group = groups.setdefault(key, fresh)
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def _final(encoder: Encoder) -> list[nn.Parameter]:
    """Parameters of the norm after the last block, which encoders call ``norm``."""
    norm = getattr(encoder, "norm", None)
    return list(norm.parameters()) if isinstance(norm, nn.Module) else []

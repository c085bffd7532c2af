"""What BEiT and its relatives (data2vec, SimMIM, BEiT v2, VQ-KD) share under the names that microsoft/unilm gave them."""

from __future__ import annotations

import torch
from torch import Tensor

from maskedmod.errors import UserError
from maskedmod.layers.positions import lattice
from maskedmod.zoo.layouts import parts
from maskedmod.zoo.layouts.arguments import FREE, TENSORS, Argument, Setting, only
from maskedmod.zoo.layouts.parts import Tree, Weights
from maskedmod.zoo.mapping import Rule

VIT: dict[str, Argument] = {
    "img_size": Setting("image_size"),
    "num_heads": Setting("heads"),
    "norm_layer": Setting("eps"),
    "qk_scale": only(None),
    **dict.fromkeys(("patch_size", "in_chans", "embed_dim", "depth", "mlp_ratio", "qkv_bias", "init_values"), TENSORS),
    **dict.fromkeys(("use_abs_pos_emb", "use_rel_pos_bias", "use_shared_rel_pos_bias"), TENSORS),
    **dict.fromkeys(("drop_rate", "attn_drop_rate", "drop_path_rate"), FREE),
}
"""Arguments of the constructors of all of them."""
TABLE = r"relative_position_bias_table"


def tree(weights: Weights, at: str, settings: Tree) -> tuple[Tree, int]:
    """Modality and encoder slots, and the number of patches. ``at``: pattern of what stands before the keys."""
    patch = rf"{at}patch_embed\.proj\.weight"
    kernel, table, places = parts.tensor(weights, patch), _table(weights, at), parts.found(weights, rf"{at}pos_embed")
    if places is not None:
        tokens = places.shape[1] - 1
    elif table is not None:
        settings = {**settings, "image_size": settings["image_size"] or _size(weights, at, kernel)}
        tokens = parts.relative_tokens(table, (kernel.shape[2], kernel.shape[3]), settings["image_size"])
    else:
        tokens = parts.image_tokens(kernel, settings["image_size"])
    modality, _ = parts.image(weights, patch, tokens, settings)
    heads = settings["heads"] if table is None else table.shape[1]
    fc1, blocks = rf"{at}blocks\.0\.mlp\.fc1\.weight", rf"{at}blocks\.(\d+)\..*"
    encoder = parts.transformer(weights, patch, blocks, fc1, {**settings, "heads": heads})
    encoder.update(_options(weights, at))
    return {"modality": modality, "encoder": {"transformer": encoder}}, tokens


def _table(weights: Weights, at: str) -> Tensor | None:
    """The shared table of relative biases, or that of a block."""
    return parts.found(weights, rf"{at}(?:rel_pos_bias|blocks\.\d+\.attn)\.{TABLE}")


def _index(weights: Weights, at: str) -> Tensor | None:
    return parts.found(weights, rf"{at}(?:rel_pos_bias|blocks\.\d+\.attn)\.relative_position_index")


def _size(weights: Weights, at: str, kernel: Tensor) -> list[int] | None:
    """Height and width whose index of pairs the file has; None where it has none. An index that was averaged as if it were a
    weight (the teacher of data2vec) may be one less here and there."""
    index = _index(weights, at)
    if index is None or index.ndim != 2:
        return None
    tokens = len(index) - 1
    for grid in ((h, tokens // h) for h in range(1, tokens + 1) if tokens % h == 0):
        if (index[1:, 1] - pairs(grid)[1:, 1]).abs().max() <= 1:
            return [grid[0] * kernel.shape[2], grid[1] * kernel.shape[3]]
    return None


def pairs(grid: tuple[int, int]) -> Tensor:
    """The buffer ``relative_position_index`` int64 ``[1 + N, 1 + N]``: the row of the table for every pair of tokens."""
    pos = lattice(grid)
    delta = pos[:, None] - pos[None] + torch.tensor([grid[0] - 1, grid[1] - 1])
    inside = delta[..., 0] * (2 * grid[1] - 1) + delta[..., 1]
    rows = (2 * grid[0] - 1) * (2 * grid[1] - 1)
    index = torch.nn.functional.pad(inside, (1, 0, 1, 0))
    index[0, 1:], index[1:, 0], index[0, 0] = rows, rows + 1, rows + 2
    return index


def _told(weights: Weights, at: str) -> str:
    """Why the index is not needed, and whether it is what it should be."""
    index, kernel = _index(weights, at), parts.tensor(weights, rf"{at}patch_embed\.proj\.weight")
    size = _size(weights, at, kernel)
    if index is None or size is None:
        return parts.INDEX
    odd = int((index != pairs((size[0] // kernel.shape[2], size[1] // kernel.shape[3]))).sum())
    return f"{odd} of {index.numel()} numbers are not those of the grid, which are taken" if odd else parts.INDEX


def places(placed: bool, shared: bool, own: bool) -> Tree:
    """Positions of an encoder with a table of absolute ones, a shared one of biases, one of every block's own."""
    if shared and own:
        raise UserError("tables of biases both shared (use_shared_rel_pos_bias) and own (use_rel_pos_bias) are not supported")
    positions = "learned" if placed else "relative" if shared else "none"
    return {"positions": positions, "relative": "block" if own else "shared" if placed and shared else "none"}


def _options(weights: Weights, at: str) -> Tree:
    """Encoder arguments: masked inside, positions, biases of attention, layer scale."""
    placed, shared = parts.has(weights, rf"{at}pos_embed"), parts.has(weights, rf"{at}rel_pos_bias\.{TABLE}")
    own = parts.has(weights, rf"{at}blocks\.0\.attn\.{TABLE}")
    return {
        "sees": "mask_token",
        **places(placed, shared, own),
        "qkv_bias": "qv" if parts.has(weights, rf"{at}blocks\.0\.attn\.q_bias") else "none",
        "layer_scale": 0.1 if parts.has(weights, rf"{at}blocks\.0\.gamma_1") else None,
        "final_norm": parts.has(weights, rf"{at}norm\.weight"),
    }


def rules(weights: Weights, at: str, to: str = "encoder") -> list[Rule]:
    """Where the keys of such an encoder go."""
    places = parts.found(weights, rf"{at}pos_embed")
    shared = f"{to}.positions.table" if places is None else f"{to}.relative.0.table"
    return [
        parts.class_rule(rf"{at}cls_token", places, to),
        parts.mask_token_rule(rf"{at}mask_token", f"{to}.mask_token"),
        parts.table_rule(rf"{at}pos_embed", "learned", f"{to}.positions.table", 1),
        *parts.patch_rules(rf"{at}patch_embed\.proj", f"{to}.embed"),
        *parts.block_rules(rf"{at}blocks", f"{to}.blocks"),
        *parts.linear_rules(rf"{at}norm", f"{to}.norm"),
        Rule(rf"{at}rel_pos_bias\.{TABLE}", shared),
        Rule(rf"{at}blocks\.(\d+)\.attn\.{TABLE}", rf"{to}.relative.\1.table"),
        Rule(rf"{at}(?:rel_pos_bias|blocks\.\d+\.attn)\.relative_position_index", unneeded=_told(weights, at)),
    ]

"""An encoder with a linear layer that learns from labels, as the trainer wants it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.encoder import Encoder
from maskedmod.core.context import Context
from maskedmod.core.modality import Modality
from maskedmod.core.tokens import Tokens
from maskedmod.evaluate.features import Pool, pooled
from maskedmod.evaluate.token_labels import labelled
from maskedmod.finetune.goals import Goal
from maskedmod.finetune.groups import layer_groups
from maskedmod.finetune.mixing import Mixing
from maskedmod.sequences.windows import encode, inner

Rows = Literal["samples", "tokens", "eligible"]
"""What has a label: a sample, every valid token, or every token that may be masked."""


class Net(nn.Module):
    """tokens -> encoder -> pooling -> norm -> linear layer. ``rows``: the layer answers for samples or for tokens.

    A fine-tuned encoder that is pooled over tokens has its final norm after the pooling (MAE's ``fc_norm``); ``frozen``: the
    encoder stays as it is, in evaluation mode and without gradient, behind BatchNorm without parameters (He et al. 2022,
    section A.1). The layer starts at deviation 2e-5, frozen 0.01, as MAE's."""

    def __init__(self, encoder: Encoder, pool: Pool, rows: Rows, width: int, outputs: int, frozen: bool) -> None:
        super().__init__()
        self.encoder, self.pool, self.rows, self.frozen = encoder, pool, rows, frozen
        self.norm: nn.Module = nn.Identity()
        if frozen:
            encoder.requires_grad_(False)
            self.norm = nn.BatchNorm1d(width, affine=False, eps=1e-6)
        elif rows == "samples" and pool not in ("cls", "both") and isinstance(getattr(encoder, "norm", None), nn.LayerNorm):
            encoder.norm = nn.Identity()
            self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, outputs)
        nn.init.trunc_normal_(self.head.weight, std=0.01 if frozen else 2e-5)
        nn.init.zeros_(self.head.bias)

    def train(self, mode: bool = True) -> Net:
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, tokens: Tokens, modality: Modality) -> Tensor:
        """Output ``[B, outputs]``, or ``[T, outputs]`` for the T tokens of a batch that have a label each."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            x = features(self.encoder, tokens, modality, self.pool, self.rows)
        return self.head(self.norm(x))  # type: ignore[no-any-return]


def features(encoder: nn.Module, tokens: Tokens, modality: Modality, pool: Pool, rows: Rows) -> Tensor:
    """What the linear layer reads, ``[B, D]`` or ``[T, D]``; the encoder sees all tokens, long sequences window by window."""
    latent = encode(encoder, tokens, modality)
    if rows == "samples":
        return pooled(latent, pool)
    mask, kept, x = labelled(tokens, modality, rows == "eligible"), inner(tokens, modality), latent.tokens
    if mask is None:
        return x if tokens.layout.packed else x.flatten(0, 1)
    return x[mask if kept is None else mask[kept]]


class Classifier(nn.Module):
    """What is trained; ``maskedmod.train.protocol.Trainable``. ``ema``: decay d of an average of the weights, kept in
    ``average``; at update t it is min(d, (1 + t) / (10 + t)), so that short runs do not average their first weights."""

    def __init__(
        self, modality: Modality, net: Net, goal: Goal, mixing: Mixing, augment: bool = True, layer_decay: float = 1.0,
        ema: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.modality, self.net, self.goal = modality, net, goal
        self.mixing, self.augment, self.layer_decay, self.ema = mixing, augment, layer_decay, ema
        self.average = copy.deepcopy(net).requires_grad_(False).eval() if ema else None

    def train(self, mode: bool = True) -> Classifier:
        super().train(mode)
        if self.average is not None:
            self.average.eval()
        return self

    def forward(self, batch: dict[str, Any], ctx: Context, watch: bool = False) -> dict[str, Tensor]:
        """Loss of one batch of ``labelled.Labelled``."""
        prepared = self.modality.prepare(batch["batch"], ctx if self.augment else replace(ctx, training=False))
        prepared, goal = self.mixing(self.modality, prepared, self.goal(batch["labels"]), ctx)
        return {"loss": self.goal.loss(self.net(self._tokens(prepared), self.modality), goal)}

    @torch.no_grad()
    def answers(self, batch: dict[str, Any]) -> Tensor:
        """Scores or numbers for a collated batch of the modality, nothing augmented, by the averaged weights where there are any;
        float32 ``[B, outputs]``, of tokens ``[T, outputs]``. The module must be in evaluation mode."""
        prepared = self.modality.prepare(batch, Context(training=False))
        return self.goal.answer(self.judged(self._tokens(prepared), self.modality))

    @property
    def judged(self) -> Net:
        """The network whose answers count."""
        return self.net if self.average is None else self.average

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups by layer."""
        return layer_groups(self.net, self.net.encoder, self.layer_decay)

    @torch.no_grad()
    def after_step(self, ctx: Context) -> None:
        """Move the average; buffers are copied."""
        if self.average is None:
            return
        decay = min(self.ema, (1 + ctx.step) / (10 + ctx.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - decay)
        for mine, new in zip(self.average.buffers(), self.net.buffers(), strict=True):
            mine.copy_(new)

    def diagnose(self) -> dict[str, float]:
        """Nothing: vital signs are those of masked predictions."""
        return {}

    def units(self) -> list[nn.Module]:
        """The encoder's blocks; a frozen encoder has no backward pass that recomputing or sharding would help."""
        return [] if self.net.frozen else self.net.encoder.units()

    def _tokens(self, prepared: dict[str, Any]) -> Tokens:
        return next(iter(self.modality.tokenize(prepared).values()))

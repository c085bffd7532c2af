"""A loaded model with the everyday uses: embed, reconstruct, predict, tokenize."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskedmod.api.reconstruction import Reconstruction
from maskedmod.core.blocks.mask import Mask
from maskedmod.core.context import Context
from maskedmod.core.tokens import Tokens
from maskedmod.encoders.transformer import Transformer
from maskedmod.errors import UserError
from maskedmod.features import inputs
from maskedmod.features.backbone import Backbone
from maskedmod.features.contacts import contacts
from maskedmod.features.given import Given, evaluating, mask_from_words, masked_by
from maskedmod.features.inputs import Input
from maskedmod.features.vectors import Features, Pool, features, tokens_of
from maskedmod.reconstruct.dense import reconstruct
from maskedmod.reconstruct.prediction import Prediction, predict
from maskedmod.score import Filled, Method, Scan, Scores, fill, scan, score
from maskedmod.zoo import loaded as value
from maskedmod.zoo.export import export


class Loaded(value.Loaded):
    """A loaded model (see ``zoo.loaded``) with its everyday uses as methods.

    Every method takes one sample or many (see ``Input``) and answers with one row per sample, in their order. A sample that
    cannot be used is a UserError that names it.
    """

    @cached_property
    def encoder(self) -> Backbone:
        """The encoder as a plain ``nn.Module``: normalised signal in, one vector per sample out. See Backbone."""
        return Backbone(self.model.encoder, self.modality)

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.model.parameters())
        encoder, kind = type(self.model.encoder).__name__, type(self.modality).__name__
        name = self.tree.get("recipe") or self.layout
        return f"Loaded({name}: {kind}, {encoder} of width {self.encoder.width}, {count:,} parameters, on {self.device})"

    def embed(self, x: Input, pool: Pool = "mean", layer: int | None = None, batch_size: int = 32) -> Tensor:
        """Features of whole, unmasked samples: float32 ``[B, D]`` on the CPU; ``[B, N, D]`` with ``pool="none"``, padding NaN.

        ``pool``: ``mean``, ``sum`` or ``max`` over tokens, ``mean_max`` mean plus largest value, ``cls`` the class token,
        ``none`` every token. ``layer``: the output of that block, from 0 or negative from the end, before the final norm; None:
        what the heads get. ``batch_size``: samples at a time.
        """
        rows = self._rows(x, features(self.model.encoder, self.modality, pool, layer), batch_size)
        longest = max(row.shape[1] for row in rows) if pool == "none" else 0
        return torch.cat([row if not longest else _longer(row, longest) for row in rows])

    def tokenize(self, x: Input) -> Tokens:
        """What the model sees of all samples, as one batch: values, positions, lattice, padding."""
        with torch.no_grad():
            return tokens_of(self.modality, inputs.together(self.modality, x, self.device), self.device)

    def reconstruct(
        self,
        x: Input,
        seed: int = 0,
        ratio: float | None = None,
        mask: str | Sequence[str] | Tensor | np.ndarray[Any, Any] | None = None,
    ) -> Reconstruction:
        """Hide a part of every sample, predict it, and put the prediction in its place; a notebook shows the picture.

        ``seed``: of the mask. ``ratio``: another share than the recipe's. ``mask``: words such as ``"axis"`` (or ``"mask=axis"``)
        or ``"mask.ratio=0.5"``, or the very places, bool ``[N]`` or ``[B, N]`` (or shaped as the lattice), True is hidden.
        """
        with masked_by(self.model, self._mask(mask, ratio)):
            found = reconstruct(self.model, inputs.together(self.modality, x, self.device), _context(seed), self.baseline)
        return Reconstruction.of(found, title=str(self.tree.get("recipe") or self.layout))

    def predict_masked(
        self,
        x: Input,
        mask: str | Sequence[str] | Tensor | np.ndarray[Any, Any] | None = None,
        seed: int = 0,
        ratio: float | None = None,
    ) -> Prediction:
        """Prediction and truth at the hidden places, in the units of the training target; see ``reconstruct``."""
        with masked_by(self.model, self._mask(mask, ratio)):
            return predict(self.model, inputs.together(self.modality, x, self.device), _context(seed))

    def _rows(self, x: Input, wanted: Features, batch_size: int) -> list[Tensor]:
        rows = []
        with torch.no_grad(), evaluating(self.model):
            for batch in inputs.batches(self.modality, x, batch_size):
                rows.append(wanted(self.model.encoder, tokens_of(self.modality, batch, self.device), self.modality).float().cpu())
        return rows

    def contacts(self, x: Input) -> list[Tensor]:
        """Probability that two residues touch, float32 ``[n, n]`` per protein on the CPU, from the attention maps and the
        regression that came with the weights (Rao et al. 2021). UserError where there is none."""
        return [one.cpu() for one in self.contact_maps(self.tokenize(x))]

    def contact_maps(self, tokens: Tokens) -> list[Tensor]:
        """The same for packed tokens, on the model's device; cls and eos are left out."""
        encoder, extras = self.model.encoder, self.extras
        if "contact.weight" not in extras or not isinstance(encoder, Transformer):
            raise UserError("these weights have no regression of contacts; files of ESM have one, or a second file beside them")
        with evaluating(self.model):
            return contacts(encoder, tokens, extras["contact.weight"], extras["contact.bias"], self._ends())

    def _ends(self) -> tuple[int, int]:
        """How many special tokens stand before and after a sequence."""
        alphabet = self.modality.alphabet
        return (1, 1) if alphabet is None else (int(alphabet.cls is not None), int(alphabet.eos is not None))

    def score(self, wildtype: str | None, mutants: Sequence[str], method: Method = "masked-marginals", **more: Any) -> Scores:
        """Scores of mutants of a protein; see ``maskedmod.score.score``."""
        return score(self, wildtype, mutants, method, **more)

    def scan(self, wildtype: str, method: Method = "masked-marginals", **more: Any) -> Scan:
        """Scores of all single mutants of a protein, and their heat map; see ``maskedmod.score.scan``."""
        return scan(self, wildtype, method, **more)

    def fill(self, text: str, top: int = 5) -> list[Filled]:
        """The likeliest tokens at every ``<mask>`` of a sequence; see ``maskedmod.score.fill``."""
        return fill(self, text, top)

    def export(self, layout: str, path: str | Path | None = None, version: int = 5) -> dict[str, Tensor]:
        """The weights in a published layout (``hf``, ``timm``, ``fair``, ``fair-esm``, or its own name), also written to
        ``path``: see ``zoo.export``."""
        return export(self, layout, path, version)

    def _mask(self, mask: Any, ratio: float | None) -> Mask | None:
        if mask is None and ratio is None:
            return None
        if mask is None or isinstance(mask, str) or (isinstance(mask, Sequence) and all(isinstance(m, str) for m in mask)):
            words = [] if mask is None else [mask] if isinstance(mask, str) else list(mask)
            words = [word if "=" in word else f"mask={word}" for word in words]
            return mask_from_words(self.model, self.tree, [*words, *([] if ratio is None else [f"mask.ratio={ratio}"])])
        if ratio is not None:
            raise UserError("ratio and a mask by hand exclude each other")
        return Given(mask)


def _context(seed: int) -> Context:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UserError(f"seed={seed!r}: expected an integer")
    return Context(seed=seed)


def _longer(x: Tensor, n: int) -> Tensor:
    """``[B, N, D]`` with NaN up to n tokens: batches of sequences differ in length."""
    return torch.nn.functional.pad(x, (0, 0, 0, n - x.shape[1]), value=float("nan"))

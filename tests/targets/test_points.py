"""Groups of points as targets: sets, judged by the loss and drawn in the shape of tokens."""

from __future__ import annotations

import pytest
import torch

from maskedmod.core.context import Context
from maskedmod.core.model import MaskedModel
from maskedmod.core.spec import Spec
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.reconstruct.dense import reconstruct
from maskedmod.reconstruct.prediction import predict
from maskedmod.targets.points import Points

SMALL = [
    "recipe=point_mae",
    "preset=demo",
    "modality.points=128",
    "modality.groups=12",
    "modality.group_size=8",
    "encoder.depth=1",
]


def model() -> MaskedModel:
    torch.manual_seed(0)
    return build_model(resolve(SMALL))


def test_reconstruction_is_judged_by_the_loss() -> None:
    """Mean squared errors of points in no order say nothing: errors are Chamfer distances, the mean's too."""
    made = model()
    batch = made.modality.collate([made.modality.read(made.modality.demo("val")[i]) for i in range(3)])
    drawn = reconstruct(made, batch, Context(seed=4))
    assert drawn.unordered and drawn.predicted is not None and drawn.filled is not None and drawn.mean_error is not None
    assert drawn.predicted.shape == drawn.tokens.values.shape == (3, 12, 8, 3)
    hidden = drawn.blocks.any(1)
    assert hidden.sum(1).tolist() == [7, 7, 7]  # int(0.6 x 12)
    assert torch.equal(drawn.predicted[~hidden], drawn.tokens.values[~hidden])
    loss = made.objectives["main"].loss
    for filled, error in ((drawn.predicted, drawn.error), (drawn.filled, drawn.mean_error)):
        wrong = loss.per_token(filled.flatten(2), drawn.tokens.values.flatten(2))
        assert torch.allclose((wrong * hidden).sum(1) / 7, error, atol=1e-6)
    said = predict(made, batch, Context(seed=4))
    assert torch.allclose(said.error, drawn.error, atol=1e-6) and torch.equal(said.masked, hidden)


def test_tokens_that_are_no_groups() -> None:
    with pytest.raises(ValueError, match="groups of points"):
        Points(Spec(values=16, axes=3))
    with pytest.raises(ValueError, match="groups of points"):
        Points(Spec(values=1, axes=1, vocab=30))

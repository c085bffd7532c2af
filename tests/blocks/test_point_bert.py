"""The tokenizer of Point-BERT: its parts, what it is trained on, and the codes it hands on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from maskedmod.cli import main
from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.core.model import MaskedModel, Objective
from maskedmod.core.schedules import Ramp
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import Tokens
from maskedmod.encoders.point_codes import PointCodes
from maskedmod.layers.points.edge_convolution import EdgeConvolutions
from maskedmod.losses.chamfer import Chamfer
from maskedmod.losses.shares import Shares
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.zoo.load import load

SPEC = Spec(values=12, axes=3, target=12)
TOKENIZER = ["recipe=point_bert_tokenizer", "preset=demo", "modality.points=128", "modality.groups=16", "modality.group_size=8"]
SMALLER = [
    "encoder.codes=16",
    "encoder.width=16",
    "encoder.base=8",
    "head.width=16",
    "head.base=8",
    "head.hidden=32",
    "loss.coarse=2",
]
USAGE = "objectives={usage: {target: {uniform: {codes: 16}}}}"


def made(*words: str) -> MaskedModel:
    torch.manual_seed(0)
    return build_model(resolve([*TOKENIZER, *SMALLER, USAGE, *words]))


def stepped(model: MaskedModel, count: int = 3) -> Step:
    records = model.modality.demo("train")
    batch = model.modality.collate([model.modality.read(records[i]) for i in range(count)])
    return model.step(batch, Context(training=False, generator=torch.Generator().manual_seed(0)))


def test_edges_reach_the_nearest_and_order_does_not_matter() -> None:
    torch.manual_seed(0)
    net = EdgeConvolutions(5, 8, base=4, neighbours=3).eval()
    x, pos, order = torch.randn(2, 10, 5), torch.randn(2, 10, 3), torch.randperm(10)
    out = net(x, pos)
    torch.testing.assert_close(net(x[:, order], pos[:, order]), out[:, order], atol=1e-5, rtol=1e-4)
    first = net.layers[0](  # the first layer by hand, for one token
        torch.stack([torch.cat([net.first(x[0, j]) - net.first(x[0, 4]), net.first(x[0, 4])]) for j in _nearest(pos[0], 4, 3)])
    )
    near = torch.stack([torch.stack([net.first(x[0, j]) for j in _nearest(pos[0], i, 3)]) for i in range(10)])
    own = net.first(x[0])[:, None].expand_as(near)
    edges = net.layers[0](torch.cat([near - own, own], dim=-1))
    torch.testing.assert_close(edges[4], first)
    assert out.shape == (2, 10, 8) and out.isfinite().all()


def _nearest(pos: torch.Tensor, of: int, count: int) -> list[int]:
    return sorted(range(len(pos)), key=lambda j: float((pos[j] - pos[of]).square().sum()))[:count]


def test_a_cold_draw_is_a_code_and_evaluation_takes_the_best() -> None:
    torch.manual_seed(0)
    net = PointCodes(SPEC, lambda width: nn.Sequential(nn.Flatten(-2), nn.Linear(12, width)), 8, 16, Ramp(1.0, 1e-4, steps=10), 8)
    seen = Seen(Tokens(torch.randn(2, 6, 4, 3), torch.randn(2, 6, 3)))
    best = net.eval()(seen)
    assert torch.equal(best.tokens, net.book[best.taps["vectors"].argmax(-1)]) and best.taps["codes"].dtype == torch.int64
    net.train()
    warm = net(seen).tokens
    assert torch.cdist(warm.flatten(0, 1), net.book).amin(1).max() > 0.1
    net.after_step(Context(step=10, max_steps=10))
    assert abs(float(net.temperature) - 1e-4) < 1e-9 and "temperature" in net.state_dict()
    assert torch.cdist(net(seen).tokens.flatten(0, 1), net.book).amin(1).max() < 1e-2


def test_coarse_and_fine_points_are_both_compared() -> None:
    model = made()
    step, objective = stepped(model), model.objectives["main"]
    assert isinstance(objective, Objective)
    where = objective.where(step, "main")
    out, goal = objective.head(step.views["main"], where), objective.target(step, "main", where)
    assert out.shape == (3, 1, 16, (2 + 8) * 3)
    plain = Chamfer(SPEC, "l1")
    wanted = plain.per_token(out[..., :6], goal) + plain.per_token(out[..., 6:], goal)
    torch.testing.assert_close(objective.loss.per_token(out, goal), wanted)
    fine, coarse = out[..., 6:].unflatten(-1, (8, 3)), out[..., :6].unflatten(-1, (2, 3))
    assert (fine - coarse.repeat_interleave(4, dim=-2)).abs().max() < 2 and fine.unflatten(-2, (2, 4)).std(-2).max() > 0


def test_use_of_the_vocabulary() -> None:
    """The released formula: ``kl_div(log q, log uniform, batchmean, log_target)`` with q the mean share over the groups."""
    scores = torch.randn(4, 1, 10, 16) * 3
    uniform = torch.full((1,), 1 / 16).expand(4, 1, 10, 16)
    share = scores[:, 0].softmax(-1).mean(1).log()
    wanted = F.kl_div(share, uniform[:, 0, 0].log(), reduction="batchmean", log_target=True)
    torch.testing.assert_close(Shares(SPEC)(scores, uniform), wanted)
    assert float(Shares(SPEC)(torch.zeros_like(scores), uniform)) < 1e-6
    weight = torch.ones(4, 1, 10)
    weight[..., 5:] = 0
    torch.testing.assert_close(Shares(SPEC)(scores, uniform, weight), Shares(SPEC)(scores[:, :, :5], uniform[:, :, :5]))


def test_a_target_that_is_uniform_is_no_collapse() -> None:
    model = made()
    model.score(stepped(model), watch=True)
    signs = model.diagnose()
    assert "main.target_spread" in signs and "usage.feature_spread" in signs and "usage.target_spread" not in signs


def test_what_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="groups of 6 points cannot be made"):
        made("modality.group_size=6")
    with pytest.raises(ValueError, match="multiple of 4"):
        made("encoder.codes=10")


def test_masked_codes_of_a_trained_tokenizer(tmp_path: Path) -> None:
    few = ["train.steps=2", "train.batch_size=4", "train.warmup_steps=0", "train.val_batches=1", "train.baseline_batches=1"]
    first, second = tmp_path / "tokenizer", tmp_path / "run"
    assert main(["train", *TOKENIZER, *SMALLER, USAGE, *few, f"out={first}"]) == 0
    sizes = ["modality.points=128", "modality.groups=16", "modality.group_size=8", "target.vocab=16"]
    small = ["encoder.depth=1", "encoder.width=24", "encoder.heads=2"]
    words = ["recipe=point_bert", "preset=demo", *sizes, *small, f"teacher={{tokenizer: {{checkpoint: {first}}}}}", *few]
    assert main(["train", *words, f"init={first}", f"out={second}"]) == 0
    model, teacher = load(second).model, load(first).model.encoder.eval()
    step = stepped(model)
    view, objective = step.views["main"], model.objectives["main"]
    assert isinstance(objective, Objective)
    where = objective.where(step, "main")
    codes = teacher(Seen(view.tokens)).taps["codes"]
    assert where.index is not None and torch.equal(
        objective.target(step, "main", where)[:, 0], codes.gather(1, where.index[:, 0])
    )
    assert 4 <= where.index.shape[-1] <= 7  # 0.25 to 0.45 of 16


def test_one_key_of_a_schedule_of_an_objective() -> None:
    weight = resolve([*TOKENIZER, "objectives.usage.weight.end=0.5", "objectives.usage.weight.steps=7"])["objectives"]["usage"][
        "weight"
    ]
    assert (weight["start"], weight["end"], weight["shape"], weight["steps"]) == (0.0, 0.5, "cosine", 7)
    assert resolve([*TOKENIZER, "objectives.usage.weight=0.5"])["objectives"]["usage"]["weight"] == 0.5

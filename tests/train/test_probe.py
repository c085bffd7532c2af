"""The online probe: it tells good features from bad, changes nothing of the run, and says when there is nothing to judge by."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from maskedmod.core.context import Context
from maskedmod.core.health import alignment, feature_health, uniformity
from maskedmod.core.modality import BadSample, Record
from maskedmod.errors import UserError
from maskedmod.report.featuremap import draw_map, project, save_map
from maskedmod.train.parallel import Parallel
from maskedmod.train.probe import OnlineProbe
from maskedmod.train.run import _probe, train
from maskedmod.train.schedule import Plan
from tests.train import toy
from tests.train.test_run import tree


def named(kind: str, count: int = 40, labels: Sequence[Any] = ("low", "high")) -> list[Record]:
    return [Record(i if kind == "train" else 10_000 + i, f"{kind} {i}", labels[i % len(labels)]) for i in range(count)]


def probe(out: Path, records: dict[str, Any], net: Any = None, **changes: Any) -> OnlineProbe:
    return OnlineProbe(net or toy.model(), records, toy.settings(probe_every=4, **changes), out)


class Told(toy.Waves):
    """Waves whose height says their class, so that any encoder that keeps it can be probed."""

    def read(self, record: Record) -> Tensor:
        if record.data == 7:
            raise BadSample("cut off")
        return super().read(record) * 0.1 + (1.0 if record.label == "high" else -1.0)


@pytest.mark.parametrize("kind", ["knn", "linear"])
def test_it_finds_what_features_hold_and_no_more(tmp_path: Path, kind: str) -> None:
    net = toy.model()
    blind = probe(tmp_path, {"train": named("train"), "val": named("val")}, net, probe=kind)(4)
    assert blind["probe_majority"] == 0.5 and blind["probe_top1"] < 0.8  # labels that have nothing to do with the wave
    net.modality = Told()
    seen = probe(tmp_path, {"train": named("train"), "val": named("val")}, net, probe=kind)(4)
    assert seen["probe_top1"] == 1.0 and seen["samples"] == 40 and seen["width"] == toy.WIDTH


def test_numbers_are_those_of_the_whole_encoder_and_repeat(tmp_path: Path) -> None:
    net = toy.model(dropout=0.5)
    run = probe(tmp_path, {"train": named("train"), "val": named("val")}, net, probe_samples=24)
    before = (torch.get_rng_state(), {name: tensor.clone() for name, tensor in net.state_dict().items()})
    first = run(4)
    assert torch.equal(torch.get_rng_state(), before[0]) and net.training
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in net.state_dict().items())
    assert run(8) == first and first["samples"] == 24
    assert 0 < first["alignment"] < 2  # two masks: neither the same nor unrelated


def test_samples_are_read_once(tmp_path: Path) -> None:
    class Counting(toy.Waves):
        reads = 0

        def read(self, record: Record) -> Tensor:
            Counting.reads += 1
            return super().read(record)

    net = toy.model()
    net.modality = Counting()
    run = probe(tmp_path, {"train": named("train"), "val": named("val", 24)}, net, probe_samples=30)
    run(4)
    run(8)
    assert Counting.reads == 30 + 24


@pytest.mark.parametrize(
    ("labels", "said"),
    [((None,), "no sample has a label"), ((0.5, 1.5), "not a class"), (([0, 1], [1, 0]), "train.probe=linear does")],
)
def test_without_classes_it_says_so_and_measures_health(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: tuple[Any, ...], said: str
) -> None:
    run = probe(tmp_path, {"train": named("train", labels=labels), "val": named("val", labels=labels)})
    found = run(4), run(8)
    err = capsys.readouterr().err
    assert said in err and err.count("no probe:") == 1 and len(err.strip().splitlines()) == 1
    assert all("probe_top1" not in one and one["feature_rank"] > 1 for one in found)


def test_lists_of_labels_under_linear(tmp_path: Path) -> None:
    some = {split: named(split, labels=([0, 1], [1, 0])) for split in ("train", "val")}
    assert 0 < probe(tmp_path, some, probe="linear")(4)["probe_map"] <= 1


def test_missing_labels_and_bad_samples_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = toy.model()
    net.modality = Told()
    some = {"train": named("train", 30, ("low", "high", None)), "val": named("val", 30, ("low", "high", -1))}
    assert probe(tmp_path, some, net)(4)["probe_top1"] == 1.0
    # training: 30 less 10 without a label, less the bad one (7 is "high"); validation: 30 less 10
    assert "19 samples to learn from, 20 to judge on, 20 without a label left out" in capsys.readouterr().err


def test_without_validation_data_a_fifth_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = probe(tmp_path, {"train": named("train"), "val": []})(4)
    assert "32 samples to learn from, 8 to judge on" in capsys.readouterr().err
    assert 0 <= found["probe_top1"] <= 1 and found["samples"] == 40


def test_losses_are_the_same_with_and_without(tmp_path: Path) -> None:
    plain = train(tree(tmp_path / "plain"))
    probed = train(tree(tmp_path / "probed", "train.probe_every=1", "train.probe=linear", "train.probe_samples=40"))
    assert toy.losses(plain) == toy.losses(probed)
    assert [line["step"] for line in toy.lines(probed) if "probe_top1" in line] == [1, 2, 3, 4]
    health = [line for line in toy.lines(plain) if "feature_rank" in line]
    assert [line["step"] for line in health] == [4] and "probe_top1" not in health[0]
    found = json.loads((probed / "feature_map.json").read_text())
    assert found["step"] == 4 and len(found["points"]) == 40 and "camera" in found["names"]
    words = (probed / "report.html").read_text()
    assert "A probe on the frozen features reaches" in words and "always the commonest class" in words


def test_a_resumed_run_has_every_probe_once(tmp_path: Path) -> None:
    words = ("train.probe_every=2", "train.probe_samples=40")
    whole, cut = train(tree(tmp_path / "whole", *words)), train(tree(tmp_path / "cut", *words))
    kept = [line for line in (cut / "metrics.jsonl").read_text().splitlines() if json.loads(line)["step"] <= 2]
    last = sorted((cut / "checkpoints").iterdir())[-1]
    for file in last.iterdir():
        file.unlink()
    last.rmdir()  # as if killed after the checkpoint of step 2 and before the probe of that step
    (cut / "metrics.jsonl").write_text("".join(f"{line}\n" for line in kept if "feature_rank" not in line))
    train(tree(cut, *words))
    assert toy.losses(cut) == toy.losses(whole)
    both = [[line for line in toy.lines(run) if "probe_top1" in line] for run in (cut, whole)]
    assert both[0] == both[1] and len(both[0]) == 2


def test_fsdp_is_refused(tmp_path: Path) -> None:
    sharded = Parallel(torch.device("cpu"), "fsdp", world=2)
    with pytest.raises(UserError, match=r"train\.probe_every needs the whole model.*ddp"):
        _probe(toy.model(), {}, toy.settings(probe_every=5), sharded, tmp_path)
    assert _probe(toy.model(), {}, toy.settings(), sharded, tmp_path) is None


def test_effective_rank_of_known_spectra() -> None:
    torch.manual_seed(0)
    x = torch.linalg.qr(torch.randn(64, 8))[0][:, :6] - 0.0
    x = x - x.mean(0)
    flat = torch.linalg.qr(x)[0]  # six directions of equal strength, mean 0
    turned = torch.cat([flat, torch.zeros(64, 10)], 1) @ torch.linalg.qr(torch.randn(16, 16))[0]
    found = feature_health(turned)
    assert found["feature_rank"] == pytest.approx(6, abs=1e-3) and found["rankme"] == pytest.approx(6, abs=1e-3)
    moved = feature_health(turned + 5.0)
    assert moved["feature_rank"] == pytest.approx(6, abs=1e-2) and moved["rankme"] < 3
    values = torch.tensor([3.0, 1.0])  # singular values 3 and 1: entropy of (3/4, 1/4)
    two = flat[:, :2] * values
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert feature_health(two)["feature_rank"] == pytest.approx(expected, abs=1e-4)


def test_spread_uniformity_and_alignment() -> None:
    torch.manual_seed(0)
    even = torch.randn(600, 64)
    found = feature_health(even)
    assert found["feature_std"] == pytest.approx(1, abs=0.02) and found["pair_distance"] == pytest.approx(2, abs=0.02)
    assert found["uniformity"] == pytest.approx(-4, abs=0.15)  # exp(-2 * 2), a little more for its spread
    one = torch.ones(20, 4)
    same = feature_health(one)
    assert same["feature_std"] == same["uniformity"] == same["pair_distance"] == 0 and same["feature_rank"] == pytest.approx(1)
    opposite = torch.tensor([[1.0, 0.0], [-3.0, 0.0]])
    assert uniformity(opposite) == pytest.approx(-8)
    assert alignment(even, 3 * even) == pytest.approx(0, abs=1e-6) and alignment(even, -even) == pytest.approx(4)


def test_projection_is_the_best_plane() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 6) * torch.tensor([1.0, 8.0, 1.0, 3.0, 0.5, 0.1]) + 4
    points, share = project(x)
    vectors = torch.linalg.eigh(torch.cov(x.double().T))
    assert torch.allclose(points.var(0), vectors.eigenvalues[[-1, -2]])
    assert share == pytest.approx((vectors.eigenvalues[[-1, -2]] / vectors.eigenvalues.sum()).tolist())
    assert torch.allclose(points, project(x.clone())[0])
    flat, none = project(torch.ones(5, 1))
    assert flat.shape == (5, 2) and none == [0.0, 0.0]


def test_map_of_many_samples_and_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(2500, 5)
    found = json.loads(save_map(tmp_path / "few.json", x, [i % 11 for i in range(2500)], 9).read_text())
    assert len(found["points"]) <= 1000 and found["samples"] == 2500 and found["names"] == [str(i) for i in range(11)]
    drawn = draw_map(found)
    assert drawn.count("<circle") == len(found["points"]) and drawn.count('class="key"') == 11
    assert found["points"][1][2] == 3  # every third sample, with its own label
    many = json.loads(save_map(tmp_path / "many.json", x[:30], [f"c{i}" for i in range(30)], 9).read_text())
    assert 'class="key"' not in draw_map(many) and 'class="p0"' not in draw_map(many)
    bare = json.loads(save_map(tmp_path / "bare.json", x[:30], [None] * 30, 9).read_text())
    assert bare["names"] == [] and draw_map(bare).count("<circle") == 30
    assert draw_map({}) == "" and not list(tmp_path.glob(".*"))


def test_moments_of_the_pictures() -> None:
    def moments(**changes: Any) -> list[int]:
        plan = Plan(toy.settings(**changes), 10.0)
        return [done for done in range(1, plan.total + 1) if plan.pictures_at(done)]

    assert moments(steps=200) == [10, 40, 80, 120, 160] and moments(steps=99) == []
    assert moments(steps=12, pictures_every=4) == [4, 8, 12] and moments(steps=200, pictures_every=0) == []


def test_the_same_samples_over_time(tmp_path: Path) -> None:
    out = train(tree(tmp_path / "run", "train.pictures_every=2"))
    rows = sorted(file.name for file in (out / "pictures" / "rows").iterdir())
    assert rows == ["0_original.png", "1_masked.png", "step_00000002.png", "step_00000004.png"]
    page = (out / "report.html").read_text()
    assert page.index(">original<") < page.index(">masked<") < page.index(">step 2<") < page.index(">step 4<")


def test_features_see_everything_and_are_not_augmented(tmp_path: Path) -> None:
    net = toy.model()
    run = probe(tmp_path, {"train": named("train"), "val": named("val", 6)}, net)
    numbers = run(4)
    waves = net.modality
    batch = waves.prepare(waves.collate([waves.read(record) for record in named("val", 6)]), Context(training=False))
    net.eval()
    with torch.no_grad():
        from maskedmod.core.apply import Seen

        x = net.encoder(Seen(waves.tokenize(batch)["main"])).mean()
    expected = feature_health(x)
    assert {key: numbers[key] for key in expected} == pytest.approx(expected, rel=1e-4)

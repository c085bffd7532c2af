"""Fine-tuning through low-rank adapters: what learns, what is saved, and that the merged network is the trained one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from maskedmod.cli import main
from maskedmod.errors import UserError
from maskedmod.evaluate.labels import Labels
from maskedmod.evaluate.metrics import measure
from maskedmod.finetune import lora
from maskedmod.finetune.options import options
from maskedmod.finetune.saved import load_network
from maskedmod.finetune.trial import Work, _fit, answers, build, finetune
from maskedmod.support.compat import require
from tests.evaluate.toy import Flat, encoder, records, samples

TRAIN, TEST = samples(96, 1), samples(48, 2)
ALL = ("qkv", "proj", "fc1", "fc2")


def work(bias: str = "all", **changes: Any) -> Work:
    torch.manual_seed(0)
    labels = Labels("classes", torch.tensor([int(x.mean(0)[0] > 0) for x in TRAIN]), ("down", "up"))
    words = {"steps": 20, "batch_size": 32, "lr": 3e-3, "drop_path": 0.0, "lora_rank": 4, "lora_targets": ALL, **changes}
    return Work(Flat(), encoder(qkv_bias=bias), records(TRAIN), labels, options("finetune", words))


@pytest.mark.parametrize("bias", ["all", "qv"])
def test_adapters_and_head_learn_and_are_merged(tmp_path: Path, bias: str) -> None:
    job = work(bias)
    model = build(job)
    start = copy.deepcopy(model.net.state_dict())
    counted = lora.learning(model, job.options)
    assert counted[1] == sum(p.numel() for p in model.net.parameters())
    adapted = lora.attach(model, job.options, seed=0)
    assert counted[0] == sum(p.numel() for p in model.net.parameters() if p.requires_grad)
    learned = {name for group in model.param_groups() for name in group["names"]}
    assert all("lora_" in name or name.startswith(("head.", "norm.")) for name in learned)
    assert len([name for name in learned if "lora_" in name]) == 2 * len(ALL)
    _fit(model, job, tmp_path)
    for name, before in start.items():
        if name.startswith("encoder."):
            now = dict(model.net.state_dict())
            assert torch.equal(now.get(name, now.get(_inside(name), torch.empty(0))), before), name
    assert not torch.equal(model.net.head.weight, start["head.weight"])
    assert all(bool(p.any()) for name, p in model.net.named_parameters() if "lora_B" in name)
    model.eval()
    trained = answers(model, records(TEST), 40)
    lora.settle(model, adapted, tmp_path)
    assert list(model.net.state_dict()) == list(start)
    assert not torch.equal(model.net.state_dict()["encoder.blocks.0.attn.qkv.weight"], start["encoder.blocks.0.attn.qkv.weight"])
    assert float((answers(model, records(TEST), 40) - trained).abs().max()) < 1e-6
    _as_peft_reads_it(model, start, tmp_path / "adapter", trained)


def _inside(name: str) -> str:
    """The name of a weight inside the layer that PEFT puts around it."""
    layer, _, kind = name.rpartition(".")
    return f"{layer}.base_layer.{kind}"


def _as_peft_reads_it(model: Any, start: dict[str, Any], folder: Path, trained: torch.Tensor) -> None:
    peft = require("peft", "lora")
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    fresh = copy.deepcopy(model)
    inner = {name.removeprefix("encoder."): x for name, x in start.items() if name.startswith("encoder.")}
    fresh.net.encoder.load_state_dict(inner)
    assert not torch.allclose(answers(fresh, records(TEST), 40), trained, atol=1e-3)
    peft.PeftModel.from_pretrained(fresh.net.encoder, folder)
    assert float((answers(fresh.eval(), records(TEST), 40) - trained).abs().max()) < 1e-6


def test_a_trial_with_an_average_is_read_again(tmp_path: Path) -> None:
    first = answers(finetune(work(ema=0.9, lora_targets=["qkv"]), tmp_path / "a"), records(TEST), 40)
    again = answers(finetune(work(ema=0.9, lora_targets=["qkv"]), tmp_path / "a"), records(TEST), 40)
    plain = answers(finetune(work(lora_targets=["qkv"]), tmp_path / "b"), records(TEST), 40)
    assert torch.equal(first, again) and not torch.equal(first, plain)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "a"
    small = ["encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=16", "head.heads=2"]
    steps = ["train.steps=1", "train.batch_size=8", "train.warmup_steps=0", "train.val_batches=1", "train.baseline_batches=1"]
    words = ["recipe=mae", "preset=demo", "modality.size=32", "data.samples=24", f"out={run}", *small, *steps]
    assert main(["train", *words]) == 0
    capsys.readouterr()
    words = ["eval", f"checkpoint={run}", "protocol=finetune", "steps=2", "batch_size=8", "seeds=1"]
    assert main([*words, "lora_rank=2", "lora_targets=[qkv,fc1]"]) == 0
    learned = 2 * (24 + 72) + 2 * (24 + 96)
    found, folder = json.loads((run / "eval.json").read_text()), run / "finetune" / "pre-trained_0"
    facts, model = json.loads((folder / "finetune.json").read_text()), load_network(folder)[0]
    head = sum(p.numel() for part in (model.net.head, model.net.norm) for p in part.parameters())
    assert facts["trainable"] == learned + head and facts["parameters"] == sum(p.numel() for p in model.net.parameters())
    assert any(f"{facts['trainable']:,} of {facts['parameters']:,} parameters learn" in note for note in found["notes"])
    assert found["chosen"][0]["lora_rank"] == 2 and found["chosen"][0]["layer_decay"] == 1.0
    listed, names = list(model.modality.demo("val")), load_network(folder)[1]
    truth = torch.tensor([names.index(str(record.label)) for record in listed])
    assert measure("classes", answers(model, listed, 16), truth) == pytest.approx(found["trials"][0])
    capsys.readouterr()
    assert main([*words, "lora_rank=2", "lora_targets=[nothing]"]) == 2
    assert "no linear layer 'nothing' in the encoder's blocks; there are fc1, fc2, proj, qkv" in capsys.readouterr().err


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(UserError, match="lora_alpha has no effect without lora_rank"):
        options("finetune", {"lora_alpha": 8.0})
    with pytest.raises(UserError, match="lora_rank"):
        options("linear_lars", {"lora_rank": 8})
    with pytest.raises(UserError, match="lora_dropout=1"):
        options("finetune", {"lora_rank": 8, "lora_dropout": 1.0})

"""How a network is trained on labels: the keys of ``protocol=finetune`` and ``protocol=linear_lars``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from maskedmod.core.blocks.optimizer import Optimizer
from maskedmod.errors import UserError, unknown
from maskedmod.optimizers.adamw import Adamw
from maskedmod.optimizers.lars import Lars
from maskedmod.recipe.settings import TrainSettings

TaskName = Literal["auto", "classes", "tags", "numbers", "tokens"]


LORA = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets")


@dataclass(frozen=True)
class Options:
    """``epochs`` or ``steps``; ``lr`` (peak) or ``base_lr`` for 256 samples; ``warmup``: a share of the run below 1, epochs
    from 1 on. ``layer_decay``, ``drop_path``, ``mixup``, ``cutmix``, ``smoothing``: as in MAE (He et al. 2022, table 9), 1 and
    0 mean none. ``ema``: decay of an average of the weights, which then is judged; 0 none. ``augment``: the recipe's
    augmentation in training. ``task``: what the labels are; auto reads it from them. ``frozen``: only the linear layer learns.
    ``lora_rank``: the encoder learns through low-rank adapters alone, 0 without; ``lora_alpha``, ``lora_dropout`` as in LoRA (Hu
    et al. 2021, section 4.1), ``lora_targets``: names of the linear layers of every block that get one."""

    frozen: bool = False
    epochs: float = 10.0
    steps: int | None = None
    batch_size: int = 128
    lr: float | None = None
    base_lr: float = 1e-3
    min_lr: float = 1e-6
    warmup: float = 0.1
    weight_decay: float = 0.05
    layer_decay: float = 0.75
    drop_path: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    smoothing: float = 0.1
    ema: float = 0.0
    clip: float | None = None
    augment: bool = True
    task: TaskName = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int | None = None
    lora_rank: int = 0
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ("qkv", "proj")

    def __post_init__(self) -> None:
        object.__setattr__(self, "lora_targets", tuple(self.lora_targets))  # a list, as JSON has it
        for name in ("epochs", "steps", "batch_size", "lr", "base_lr", "layer_decay", "clip", "threads", "lora_alpha"):
            number = getattr(self, name)
            if number is not None and number <= 0:
                raise UserError(f"{name}={number}: must be above 0")
        for name in ("min_lr", "warmup", "weight_decay", "mixup", "cutmix", "lora_rank"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}={getattr(self, name)}: must be 0 or more")
        for name in ("drop_path", "smoothing", "ema", "lora_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: must be at least 0 and below 1")
        for name, accepted in (("task", get_args(TaskName)), ("precision", ("fp32", "bf16"))):
            if getattr(self, name) not in accepted:
                raise UserError(f"{name}={getattr(self, name)}: accepted are {', '.join(accepted)}")

    def train_settings(self, samples: int, device: str, workers: int) -> TrainSettings:
        """For ``samples`` training samples; a batch is never larger than all of them. Nothing is validated while training:
        the weights of the last step are the ones that are judged."""
        size = min(self.batch_size, samples)
        total = self.steps or max(1, round(self.epochs * (samples // size)))
        warmup = round(self.warmup * total) if self.warmup < 1 else round(self.warmup * (samples // size))
        return TrainSettings(
            steps=total, batch_size=size, lr=self.lr, base_lr=self.base_lr, min_lr=self.min_lr, warmup_steps=warmup,
            clip=self.clip, precision=self.precision, workers=workers, bad_samples="skip", keep=1, health_every=0,
            tensorboard=False, device=device, distributed="none",
        )  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """What eval.json says of a trial."""
        length = {"steps": self.steps} if self.steps else {"epochs": self.epochs}
        rate = {"lr": self.lr} if self.lr else {"base_lr": self.base_lr}
        common = {"batch_size": self.batch_size, "layer_decay": self.layer_decay, "drop_path": self.drop_path}
        return {**length, **rate, **common, **{name: getattr(self, name) for name in LORA if self.lora_rank}}

    def optimizer(self) -> Optimizer:
        """AdamW with MAE's betas, or LARS for the linear layer."""
        if self.frozen:
            return Lars(momentum=0.9, weight_decay=self.weight_decay)
        return Adamw(betas=(0.9, 0.999), weight_decay=self.weight_decay)


DEFAULTS = {
    "finetune": Options(),
    "linear_lars": Options(
        frozen=True, epochs=30.0, batch_size=512, lr=6.4, min_lr=0.0, weight_decay=0.0, layer_decay=1.0, drop_path=0.0,
        smoothing=0.0,
    ),
}  # fmt: skip
"""MAE fine-tunes ViT-B with base_lr 5e-4, layer_decay 0.65, mixup 0.8, cutmix 1, batch 1024, 100 epochs (its table 9); its linear
layers learn with base_lr 0.1 at batch 16384, that is lr 6.4. A step of LARS is a share of the weights' norm whatever the batch:
6.4 is kept for small ones, since less hardly moves the layer in a short run."""

_ENCODER_ONLY = ("frozen", "layer_decay", "drop_path", "mixup", "cutmix", "smoothing", "ema", *LORA)


def keys(protocol: str) -> list[str]:
    """Options that a user may set."""
    hidden = _ENCODER_ONLY if DEFAULTS[protocol].frozen else ("frozen",)
    return [field.name for field in fields(Options) if field.name not in hidden]


def options(protocol: str, arguments: Mapping[str, Any]) -> Options:
    """The protocol's defaults with ``arguments`` laid over them; adapters learn at one rate in all layers unless
    ``layer_decay`` is given. UserError names what it does not take."""
    for key in arguments:
        if key not in keys(protocol):
            raise unknown("key", key, keys(protocol), f"of protocol={protocol}")
    if arguments.get("steps") is not None and arguments.get("epochs") is not None:
        raise UserError(f"steps={arguments['steps']} and epochs={arguments['epochs']} both say how long to train; give one")
    start = DEFAULTS[protocol]
    if arguments.get("lora_rank"):
        start = replace(start, layer_decay=1.0)
    elif given := [key for key in LORA[1:] if key in arguments]:
        raise UserError(f"{given[0]} has no effect without lora_rank, for instance lora_rank=8")
    return replace(start, **({"lr": None} if "base_lr" in arguments else {}) | dict(arguments))

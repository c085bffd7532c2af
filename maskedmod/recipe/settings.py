"""Settings of a training run: the ``train:`` slot of a recipe. The reference in the documentation is made from this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_POSITIVE = (
    "epochs", "steps", "batch_size", "batch_tokens", "accumulate", "log_every", "keep", "lr_reference", "threads", "val_batches",
    "clip", "probe_samples",
)  # fmt: skip
_NOT_NEGATIVE = (
    "workers", "checkpoint_every", "val_every", "health_every", "pictures_every", "probe_every", "baseline_batches",
    "warmup_epochs",
    "warmup_steps", "lr", "base_lr", "min_lr", "start_lr",
)  # fmt: skip


@dataclass
class TrainSettings:
    """How a run is trained. Counts called steps are optimiser steps; batch sizes count samples."""

    epochs: float | None = None
    """Passes over the training data; ``steps`` wins when both are given."""
    steps: int | None = None
    """Optimiser steps of the run."""
    batch_size: int = 64
    """Samples per optimiser step, over all processes and accumulation parts."""
    batch_tokens: int | None = None
    """Tokens per optimiser step at most, likewise, for packed sequences: batches are filled to this budget with no padding, and
    batch_size does not count."""
    accumulate: int = 1
    """Parts that a batch is cut into, one forward and backward each; more parts need less memory."""
    lr: float | None = None
    """Peak learning rate; wins over ``base_lr``."""
    base_lr: float | None = None
    """Learning rate for ``lr_reference`` samples: lr = base_lr * batch_size / lr_reference."""
    lr_reference: int = 256
    """Batch size that ``base_lr`` refers to."""
    min_lr: float = 0.0
    """Learning rate at the end of a cosine or linear schedule."""
    start_lr: float = 0.0
    """Learning rate of the first warm-up step."""
    warmup_epochs: float = 0.0
    """Length of the linear warm-up in epochs."""
    warmup_steps: int | None = None
    """Length of the linear warm-up in steps; wins over ``warmup_epochs``."""
    schedule: Literal["cosine", "linear", "constant", "multistep"] = "cosine"
    """Course of the learning rate after the warm-up, evaluated at every step."""
    schedule_epochs: float | None = None
    """Epochs that the schedule is stretched over, warm-up included; None: the length of the run."""
    milestones: tuple[float, ...] = ()
    """Epochs at which the multistep schedule multiplies the learning rate by ``gamma``."""
    gamma: float = 0.1
    """Factor of the multistep schedule."""
    weight_decay_end: float | None = None
    """Weight decay at the end of the run, reached on half a cosine; it starts at the optimiser's own. None: constant."""
    clip: float | None = None
    """Largest norm of the gradient over all parameters of an optimiser; None: no clipping."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs the forward pass under autocast; parameters and optimiser state stay in float32."""
    compile: bool = False
    """Compile the model's units (its repeated blocks) with torch.compile."""
    compile_backend: str = "inductor"
    """Backend of torch.compile."""
    activation_checkpointing: bool = False
    """Recompute the units in the backward pass: less memory, about a third more time."""
    workers: int = 0
    """Processes that read and decode data; 0 reads in the training process."""
    bad_samples: Literal["raise", "skip"] = "raise"
    """A sample that cannot be read: stop the run, or leave it out, counted and listed in bad_samples.jsonl."""
    log_every: int = 20
    """Steps between two readings of the metrics (the only moments at which the device is waited for)."""
    checkpoint_every: int = 500
    """Steps between two checkpoints; the last step always gets one. 0: at the end alone."""
    keep: int = 2
    """Checkpoints that are kept, the newest ones."""
    val_every: int | None = None
    """Steps between two validations; None: ten times a run. 0: at the end alone. The last step always gets one."""
    val_batches: int | None = None
    """Validation on at most the samples of so many batches; None: all."""
    baseline_batches: int = 32
    """The mean predictor is measured on the training samples of so many batches at most; 0: no mean predictor."""
    health_every: int = 100
    """Steps between two health checks, beside those at steps 10 and 20; 0: none."""
    pictures_every: int | None = None
    """Steps between two sets of reconstruction pictures of the same samples, beside those at the end; None: five times a run of
    100 steps or more. 0: at the end alone."""
    probe_every: int | None = None
    """Steps between two probes: the accuracy of a classifier on the encoder's features of labelled data; the last step gets one
    too. None or 0: none."""
    probe: Literal["knn", "linear"] = "knn"
    """Classifier of the probe: weighted nearest neighbours, or logistic regression."""
    probe_samples: int = 1000
    """Most training samples and most validation samples of a probe, drawn once and kept in memory as they were decoded."""
    tensorboard: bool = True
    """Write TensorBoard files when the package tensorboard is installed."""
    distributed: Literal["auto", "none", "ddp", "fsdp"] = "auto"
    """How several processes (started by torchrun) share the work; auto: ddp when there are several."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: a GPU when there is one."""
    threads: int | None = None
    """CPU threads of torch; None: torch's own choice."""

    def __post_init__(self) -> None:
        self.milestones = tuple(self.milestones)
        if self.epochs is None and self.steps is None:
            raise ValueError("train.steps or train.epochs must be given")
        for name in _POSITIVE + _NOT_NEGATIVE:
            number = getattr(self, name)
            if number is not None and (number < 0 or (number == 0 and name in _POSITIVE)):
                raise ValueError(f"train.{name} must be {'above 0' if name in _POSITIVE else '0 or more'}, got {number}")

    def peak_lr(self) -> float:
        """``lr``, or ``base_lr`` scaled to the batch size."""
        if self.lr is not None:
            return self.lr
        if self.base_lr is None:
            raise ValueError("train.lr or train.base_lr must be given")
        if self.batch_tokens is not None:
            raise ValueError("train.lr must be given with train.batch_tokens: base_lr is for a number of samples")
        return self.base_lr * self.batch_size / self.lr_reference

    def part_size(self, world: int) -> int:
        """Samples of one process in one accumulation part; with ``batch_tokens`` a mere size for ordered passes."""
        parts = world * self.accumulate
        if self.batch_tokens is not None:
            return max(1, self.batch_size // parts)
        if self.batch_size % parts:
            raise ValueError(
                f"train.batch_size {self.batch_size} is not divisible by {parts}, that is {world} processes x "
                f"train.accumulate {self.accumulate}"
            )
        return self.batch_size // parts

    def part_tokens(self, world: int) -> int | None:
        """Tokens of one process in one accumulation part at most; None where batches count samples."""
        parts = world * self.accumulate
        if self.batch_tokens is None:
            return None
        if self.batch_tokens % parts:
            raise ValueError(
                f"train.batch_tokens {self.batch_tokens} is not divisible by {parts}, that is {world} processes x "
                f"train.accumulate {self.accumulate}"
            )
        return self.batch_tokens // parts

    def total_steps(self, steps_per_epoch: float) -> int:
        """Optimiser steps of the run; ``steps_per_epoch`` in optimiser steps."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * steps_per_epoch))

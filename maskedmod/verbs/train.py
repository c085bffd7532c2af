"""maskedmod train recipe=NAME [key=value ...]

Trains a recipe into a run folder. With no data named it means preset=demo: small, on the built-in sample.

  maskedmod train recipe=audio_mae
  maskedmod train recipe=audio_mae preset=tiny data=folder data.path=DIR
  maskedmod train recipe=mae mask=block mask.ratio=0.4 train.steps=1000 out=runs/a
  maskedmod train recipe=runs/a/recipe.yaml out=runs/a            goes on from the newest checkpoint
  torchrun --nproc-per-node 2 -m maskedmod train recipe=mae data=folder data.path=DIR out=runs/b

out=DIR        run folder (default: a new runs/RECIPE)
seed=0         first weights, order of the data, masks
resume=auto    auto: go on from the newest checkpoint in out; never: stop when there is one
init=NAME      start from the weights of a run, a file or a checkpoint on the hub; init.resize=bicubic|bilinear|nearest fits
               positions and patches to another size, init.channels=mean|sum|repeat to other channels
train.*        epochs, steps, batch_size, lr, precision, log_every, checkpoint_every, ...: `maskedmod show recipe=NAME` lists all
A block is swapped by its name (mask=block) and set by its arguments (mask.ratio=0.4); `maskedmod ls blocks` lists them.
"""

from __future__ import annotations

from collections.abc import Sequence


def run(words: Sequence[str]) -> int:
    """Resolve, then train every stage."""
    import numpy  # noqa: F401  (before torch, which imports it in C, swallows a Ctrl-C meanwhile and goes on without numpy)

    from maskedmod.train.command import say, train_words

    train_words(words, say)
    return 0

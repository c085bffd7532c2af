"""Backward passes and parameter updates of one or several optimisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from maskedmod.core.blocks.optimizer import Optimizer
from maskedmod.train.schedule import Plan


class Updates:
    """The optimisers of a model. With several, each one's parameters get the gradient of its own loss ``loss.<name>``
    alone."""

    def __init__(self, groups: Sequence[dict[str, Any]], blocks: Mapping[str, Optimizer], plan: Plan) -> None:
        """``groups`` as ``model.param_groups()`` gives them; ``blocks`` by optimiser name, where ``main`` serves every name
        that has none of its own. Raises ValueError when nothing is trainable or a block has no parameters."""
        names = list(dict.fromkeys(group.get("optimizer", "main") for group in groups))
        if not names:
            raise ValueError("the model has no trainable parameter")
        idle = set(blocks) - set(names) - {"main"}
        if idle:
            raise ValueError(f"optimisers without parameters: {', '.join(sorted(idle))}; the model's are {', '.join(names)}")
        self.plan = plan
        self.blocks = {name: blocks[name] if name in blocks else blocks["main"] for name in names}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.params: dict[str, list[nn.Parameter]] = {}
        for name, block in self.blocks.items():
            own = [group for group in groups if group.get("optimizer", "main") == name]
            self.params[name] = [parameter for group in own for parameter in group["params"]]
            self.optimizers[name] = block.build(own, plan.lr(0))

    def backward(self, out: Mapping[str, Tensor], step: int, parts: int) -> None:
        """Add one accumulation part's gradients."""
        if len(self.optimizers) == 1:
            loss = out["loss"] if parts == 1 else out["loss"] / parts
            loss.backward()
            return
        active = [name for name in self.optimizers if self._acts(name, step)]
        for i, name in enumerate(active):
            if f"loss.{name}" not in out:
                raise ValueError(f"the model has parameters of optimiser {name} but gave no loss.{name}")
            loss = out[f"loss.{name}"] / parts
            loss.backward(inputs=self.params[name], retain_graph=i + 1 < len(active))

    def step(self, step: int, clip: float | None, measure: bool) -> Tensor | None:
        """Clip, set this step's learning rate and decay, update, clear. -> gradient norm over all parameters, still on the
        device, when clipped or ``measure`` is asked."""
        lr = self.plan.lr(step)
        norms = []
        for name, optimizer in self.optimizers.items():
            if not self._acts(name, step):
                continue
            if clip is not None:
                norms.append(nn.utils.clip_grad_norm_(self.params[name], clip))
            elif measure:
                norms.append(nn.utils.get_total_norm([p.grad for p in self.params[name] if p.grad is not None]))
            decay = self.plan.weight_decay(step, self.blocks[name].weight_decay)
            for group in optimizer.param_groups:
                group["lr"] = lr * group["lr_scale"]
                group["weight_decay"] = decay if group["decay"] else 0.0
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if not norms:
            return None
        whole = [norm.full_tensor() if hasattr(norm, "full_tensor") else norm for norm in norms]
        return whole[0] if len(whole) == 1 else torch.linalg.vector_norm(torch.stack(whole))

    def _acts(self, name: str, step: int) -> bool:
        return step % self.blocks[name].period == 0

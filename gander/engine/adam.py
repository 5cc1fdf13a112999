"""Adam, in one fused kernel."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Adam:
    """Adam with rates given anew at every step; the arithmetic is torch's own fused kernel.

    torch.optim.Adam does the same, and at its first use imports torch's compiler, which costs every start
    of a training between one and two seconds.

    Source: Kingma & Ba 2015, algorithm 1.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], epsilon: float = 1e-8) -> None:
        self.parameters = [*parameters]
        self.epsilon = epsilon
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        """Of each weight: the moments, which lie in memory as it does, and the count of its steps."""

    @torch.no_grad()
    def step(self, lr: float, beta1: float, beta2: float) -> None:
        """Move every weight that has a gradient, and forget the gradients."""
        moved: list[Tensor] = [weight for weight in self.parameters if weight.grad is not None]
        states = [self.state.get(weight) or self._start(weight) for weight in moved]
        steps, *moments = ([state[key] for state in states] for key in ("step", "exp_avg", "exp_avg_sq"))
        gradients = [weight.grad for weight in moved if weight.grad is not None]
        torch._foreach_add_(steps, 1)
        plain = {"weight_decay": 0.0, "eps": self.epsilon, "amsgrad": False, "maximize": False}
        torch._fused_adam_(moved, gradients, *moments, [], steps, lr=lr, beta1=beta1, beta2=beta2, **plain)  # type: ignore[call-overload]
        for weight in moved:
            weight.grad = None

    def _start(self, weight: Tensor) -> dict[str, Tensor]:
        state = {
            "step": torch.zeros((), dtype=torch.float32, device=weight.device),
            "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
        }
        self.state[weight] = state
        return state

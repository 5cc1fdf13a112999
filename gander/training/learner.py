"""One net that learns: its weights, its optimiser, and what is done around each of its updates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from gander.engine.adam import Adam
from gander.engine.distributed import same_everywhere
from gander.engine.machine import Machine
from gander.nets.rewires import Rewire
from gander.recipe.schema import Train
from gander.schedule import Clock
from gander.techniques.slots import Side


class Learner:
    """A net with its optimiser; weights that came frozen, such as a feature net's, stay as they are."""

    def __init__(self, side: Side, net: nn.Module, rewires: tuple[Rewire, ...], machine: Machine) -> None:
        self.side = side
        self.net: Any = net.to(machine.device, memory_format=machine.memory_format)  # type: ignore[call-overload]
        same_everywhere([*net.parameters(), *net.buffers()])
        self.weights = [weight for weight in net.parameters() if weight.requires_grad]
        self.rewires = rewires
        self.optimiser = Adam(self.weights)
        self.noted: dict[str, Tensor] = {}  # of the update at hand, for the guard and the log
        net.train()
        for module in net.modules():
            own = [*module.parameters()]
            if own and not any(weight.requires_grad for weight in own):
                module.eval()

    def update(self, clock: Clock, train: Train) -> None:
        """Use the gradients, at the rates of this moment, and clear them."""
        for rewire in self.rewires:
            rewire.before_step(self.net, clock)
        rate = train.g_lr if self.side == "g" else train.d_lr
        self.optimiser.step(clock.now(rate), train.beta1, clock.now(train.beta2))
        for rewire in self.rewires:
            rewire.after_step(self.net, clock)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Save the work of differentiating by these weights while the other net learns."""
        for weight in self.weights:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in self.weights:
                weight.requires_grad_(True)

"""Rewires: what is done to a net once when it is built, and around each of its updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from gander.errors import RecipeError
from gander.registry import Technique, one_or_more
from gander.schedule import Clock, NonNegative


class Rewire(Technique):
    """A technique on a net: a change when it is built, or around each update."""

    slot: ClassVar[str] = "rewires"

    def __call__(self, net: nn.Module) -> None:
        """Change the net once, when it is built."""

    def before_step(self, net: nn.Module, clock: Clock) -> None:
        """Change the gradients, over all processes, just before the optimiser uses them."""

    def after_step(self, net: nn.Module, clock: Clock) -> None:
        """Change the weights just after the optimiser did."""


def weighted_layers(net: nn.Module) -> Iterator[nn.Module]:
    """Give every layer that holds a weight matrix: dense, convolution, embedding."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            yield layer


def _initialise(net: nn.Module, fill: Callable[[Tensor], object]) -> None:
    for layer in weighted_layers(net):
        if parametrize.is_parametrized(layer):
            raise RecipeError("rewires: spectral_norm stands before an initialiser; put it behind")
        fill(layer.weight)  # type: ignore[arg-type]
        bias = getattr(layer, "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)


class NormalInit(Rewire):
    """Draw every weight from N(0, std^2) and set biases to zero.

    Source: Radford et al. 2016, section 4 (0.02).
    """

    kind: Literal["normal_init"] = "normal_init"
    std: float = Field(default=0.02, gt=0, le=10)

    def __call__(self, net: nn.Module) -> None:
        _initialise(net, lambda weight: nn.init.normal_(weight, std=self.std))


class UniformInit(Rewire):
    """Draw every weight uniformly from -limit to limit and set biases to zero."""

    kind: Literal["uniform_init"] = "uniform_init"
    limit: float = Field(default=0.05, gt=0, le=10)

    def __call__(self, net: nn.Module) -> None:
        _initialise(net, lambda weight: nn.init.uniform_(weight, -self.limit, self.limit))


class GlorotInit(Rewire):
    """Draw every weight uniformly, scaled by inputs and outputs, as Keras does by default; biases zero.

    Source: Glorot & Bengio 2010, equation 16.
    """

    kind: Literal["glorot_init"] = "glorot_init"

    def __call__(self, net: nn.Module) -> None:
        _initialise(net, nn.init.xavier_uniform_)


class OrthogonalInit(Rewire):
    """Make the rows of every weight matrix orthonormal, times `gain`; biases zero.

    Source: Saxe et al. 2014; for GANs, Brock et al. 2018.
    """

    kind: Literal["orthogonal_init"] = "orthogonal_init"
    gain: float = Field(default=1.0, gt=0, le=10)

    def __call__(self, net: nn.Module) -> None:
        _initialise(net, lambda weight: nn.init.orthogonal_(weight, self.gain))


class SpectralNorm(Rewire):
    """Divide every weight matrix by its largest singular value, estimated by one power iteration an update.

    Source: Miyato et al. 2018, section 2.
    """

    kind: Literal["spectral_norm"] = "spectral_norm"

    def __call__(self, net: nn.Module) -> None:
        for layer in weighted_layers(net):
            side = 1 if isinstance(layer, nn.ConvTranspose2d) else 0  # of the outputs
            norm = _Float32SpectralNorm(layer.weight, dim=side)  # type: ignore[arg-type]
            parametrize.register_parametrization(layer, "weight", norm)


class _Float32SpectralNorm(_SpectralNorm):
    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):  # on CUDA it rounds matrix times vector
            return super().forward(weight)


class ClipGradients(Rewire):
    """Shorten the gradient of all weights together to at most `norm`.

    Source: Pascanu et al. 2013, section 3.2.
    """

    kind: Literal["clip_gradients"] = "clip_gradients"
    norm: NonNegative = 1.0

    def before_step(self, net: nn.Module, clock: Clock) -> None:
        nn.utils.clip_grad_norm_(net.parameters(), clock.now(self.norm), foreach=True)


class ClipWeights(Rewire):
    """Keep every weight within -limit to limit after each update.

    Hurts when: always a little; the critic is pushed to the corners. Prefer a gradient penalty.
    Source: Arjovsky et al. 2017, algorithm 1 (0.01).
    """

    kind: Literal["clip_weights"] = "clip_weights"
    limit: NonNegative = 0.01

    def after_step(self, net: nn.Module, clock: Clock) -> None:
        limit = clock.now(self.limit)
        with torch.no_grad():
            for weight in net.parameters():
                weight.clamp_(-limit, limit)


Rewires = Annotated[tuple[Rewire, ...], BeforeValidator(one_or_more), Field(strict=False, max_length=16)]

"""What every net is made of: activations, batch norms, and the shapes that nets agree on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from gander.chance import rank, world_size
from gander.nets.proxies import Proxies
from gander.techniques.slots import Logits

Activation = Literal["relu", "leaky_relu", "elu", "silu", "tanh", "sigmoid", "linear"]


@dataclass(frozen=True)
class ImageShape:
    """What a data set asks of the nets."""

    channels: int
    size: int
    num_classes: int = 0

    def __str__(self) -> str:
        return f"{self.channels} x {self.size} x {self.size}"


class Generator(nn.Module):
    """Latents (N, Z) and labels (N,) in, images (N, C, H, W) in [low, high] out.

    `num_classes` is 0 for a net that takes no labels.
    """

    low = -1.0
    high = 1.0

    def __init__(self, latent_dim: int, num_classes: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.num_classes = num_classes


def activation(name: Activation, slope: float = 0.2) -> nn.Module:
    """Make an activation by name; `slope` is LeakyReLU's."""
    made: dict[str, Callable[[], nn.Module]] = {
        "relu": lambda: nn.ReLU(inplace=True),
        "leaky_relu": lambda: nn.LeakyReLU(slope, inplace=True),
        "elu": nn.ELU,
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "linear": nn.Identity,
    }
    return made[name]()


class BatchNorm(nn.BatchNorm2d):
    """Batch norm over the global batch: with several processes the statistics are theirs together.

    `momentum` is the share of the old running statistics that is kept, as in the papers (0.9); torch's own
    momentum is one minus that.

    Source: Ioffe & Szegedy 2015.
    """

    def __init__(self, channels: int, momentum: float = 0.9, affine: bool = True) -> None:
        super().__init__(channels, momentum=1 - momentum, affine=affine)

    def forward(self, maps: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(maps)
        wide = maps.float()
        count = maps.numel() // maps.shape[1] * world_size()
        mean, variance = _moments_of_all(wide)
        with torch.no_grad():
            share = self.momentum or 0.0
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * count / (count - 1), share)
        gain = torch.rsqrt(variance + self.eps) * (self.weight if self.affine else 1)
        normal = (wide - mean[:, None, None]) * gain[:, None, None]
        return (normal + self.bias[:, None, None] if self.affine else normal).to(maps.dtype)


def _moments_of_all(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Give mean and variance (C,) of maps (N, C, H, W) over all processes, after Chan et al. 1979."""
    # A difference of sums of squares would lose a variance that is small beside the mean.
    own = torch.stack(torch.var_mean(maps, (0, 2, 3), correction=0))
    places = torch.arange(world_size(), device=maps.device)[:, None, None] == rank()
    variances, means = _SumOfAll.apply(own * places).unbind(1)  # type: ignore[no-untyped-call]
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


class _SumOfAll(torch.autograd.Function):
    """Add a tensor over the processes; differentiable as often as one likes, so slopes can be penalised."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _SumOfAll.apply(gradient)  # type: ignore[no-untyped-call]


class ClassBatchNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a per-image condition.

    Source: Dumoulin et al. 2017; De Vries et al. 2017; as used by Miyato & Koyama 2018, Brock et al. 2018.
    """

    def __init__(self, channels: int, condition_dim: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, momentum, affine=False)
        self.gain = nn.Linear(condition_dim, channels, bias=False)
        self.bias = nn.Linear(condition_dim, channels, bias=False)

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        """Normalise (N, C, H, W) by the batch, then scale and shift by what `condition` (N, D) says."""
        gain = 1 + self.gain(condition)[:, :, None, None]
        return self.norm(maps) * gain + self.bias(condition)[:, :, None, None]


def one_hot(labels: Tensor | None, num_classes: int, like: Tensor) -> Tensor:
    """Give labels (N,) as rows (N, K) of the same kind of number as `like`."""
    assert labels is not None
    return F.one_hot(labels, num_classes).to(like.dtype)


Labels = Literal["ignored", "head", "embedded", "projected"]


class Head(nn.Module):
    """Turn features (N, D) into a score, with a class head or a projection where the net has labels.

    Source: projection, Miyato & Koyama 2018; class head, Odena et al. 2017.
    """

    def __init__(self, features: int, labels: Labels, num_classes: int) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)
        self.classes = nn.Linear(features, num_classes) if labels == "head" else None
        self.proxies = Proxies(features, num_classes) if labels == "embedded" else None
        self.embedding = nn.Embedding(num_classes, features) if labels == "projected" else None
        if self.embedding is not None:  # so that a projection starts as small as the score it joins
            nn.init.normal_(self.embedding.weight, std=features**-0.5)

    def forward(self, features: Tensor, labels: Tensor | None) -> Logits:
        score = self.score(features).squeeze(1)
        if self.embedding is not None:
            score = score + (self.embedding(labels) * features).sum(1)
        return self.named(features, Logits(score))

    def named(self, features: Tensor, logits: Logits) -> Logits:
        """Add what the class head says, where there is one."""
        if self.proxies is not None:
            return self.proxies(features, logits)
        return logits if self.classes is None else logits._replace(classes=self.classes(features))

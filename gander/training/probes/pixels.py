"""Range, colours and spectrum of fakes beside those of real images."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gander.training.probes.scene import ProbeScene, References

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Numbers = dict[str, Tensor]
Moments = tuple[Tensor, Tensor]
_EDGE = 0.98  # beyond which lies a hundredth of [-1, 1]


def saturation(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the shares of values in the lowest and in the highest hundredth of the range, above the real."""
    ours, theirs = scene.references.scaled(scene.fakes), scene.references.scaled(scene.references.real)
    low, high = ((each.double().mean() for each in (x < -_EDGE, x > _EDGE)) for x in (ours, theirs))
    (fake_low, fake_high), (real_low, real_high) = low, high
    return {"low": fake_low - real_low, "high": fake_high - real_high}


def colour(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give how far channels' means and covariance are, over real to real, and the least after a permutation.

    The latter is 1 where the channels stand as they should.
    """
    reals = scene.references
    whole = reals.once("moments", lambda: moments(reals.pool))
    floor = reals.once("colour", lambda: _floor(reals))
    mean, covariance = moments(scene.fakes)
    now = frechet((mean, covariance), whole)
    numbers = {"colour": now / floor}
    if len(mean) == 3:
        orders = [torch.tensor(order, device=mean.device) for order in permutations(range(3))]
        swapped = [frechet((mean[order], covariance[order][:, order]), whole) for order in orders]
        numbers["colour_swapped"] = torch.stack(swapped).min() / now
    return numbers


def spectrum(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the energy at periods of 2 and of 4 pixels, and of fine beside coarse, fakes' over real images'.

    Source: Odena et al. 2016 (the pattern of uneven upsampling).
    """
    reals, ours = scene.references, power(scene.references.scaled(scene.fakes))
    theirs = reals.once("power", lambda: power(reals.scaled(reals.pool)))
    size = len(ours)
    half, quarter = size // 2, size // 4
    two, four = ([(at, 0), (0, at), (at, at)] for at in (half, quarter))
    steps = torch.fft.fftfreq(size, device=ours.device)
    radius = torch.hypot(steps[:, None], steps)
    fine, coarse = radius > 0.25, (radius > 0) & (radius <= 0.125)
    return {
        "checkerboard": _at(ours, two) / _at(theirs, two),
        "period4": _at(ours, four) / _at(theirs, four),
        "blur": (ours[fine].mean() / ours[coarse].mean()) / (theirs[fine].mean() / theirs[coarse].mean()),
    }


def power(images: Tensor) -> Tensor:
    """Give the mean energy (S, S) at each frequency, over images and channels."""
    return torch.fft.fft2(images).abs().square().mean((0, 1)).double()


def _at(energies: Tensor, places: list[tuple[int, int]]) -> Tensor:
    return torch.stack([energies[place] for place in places]).mean()


def _floor(reals: References) -> Tensor:
    whole, parts = moments(reals.pool), [*reals.pool.chunk(max(2, len(reals.pool) // reals.n))]
    return torch.stack([frechet(moments(part), whole) for part in parts]).mean()


def moments(images: Tensor) -> Moments:
    """Give the channels' mean (C,) and covariance (C, C) over all pixels."""
    values = images.transpose(0, 1).flatten(1).double()
    return values.mean(1), torch.cov(values).reshape(len(values), -1)


def frechet(ours: Moments, theirs: Moments) -> Tensor:
    """Give the Fréchet distance of two normal distributions.

    Source: Dowson & Landau 1982.
    """
    values, vectors = torch.linalg.eigh(ours[1])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ theirs[1] @ root).clamp(min=0).sqrt().sum()
    return (ours[0] - theirs[0]).square().sum() + ours[1].trace() + theirs[1].trace() - 2 * shared

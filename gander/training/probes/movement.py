"""How far images of fixed latents move between two looks, and whether they come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gander.training.probes.scene import ProbeScene, make_fakes

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Numbers = dict[str, Tensor]
_SEED, _IMAGES, _LOOKS = 31_337, 32, 6  # of the latents; images, and looks that are remembered


def movement(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the way since the last look a 1,000 images, over the diversity of real images, and the recurrence.

    The recurrence is the share by which an older look's images are nearer than the last look's.
    """
    reals, device = scene.references, trainer.machine.device
    n = min(_IMAGES, reals.n)
    latents = trainer.parts.latents(n, torch.Generator(device).manual_seed(_SEED))
    labels = None if reals.labels is None else reals.labels[:n]
    now, at = reals.small(make_fakes(trainer, scene.streams, latents, labels)), trainer.clock.images
    seen, when = (trainer.probed.get(name) for name in ("fixed", "fixed_at"))
    if seen is None or when is None or seen.shape[1:] != now.shape:
        seen, when = now[None][:0], torch.zeros(0, dtype=torch.int64)
    seen = seen.to(now)
    numbers = recurrence(now, seen)
    if "movement" in numbers:
        numbers["movement"] /= (at - int(when[-1])) / 1_000 * reals.spread
    trainer.probed["fixed"] = torch.cat([seen, now[None]])[-_LOOKS:]
    trainer.probed["fixed_at"] = torch.cat([when, torch.tensor([at])])[-_LOOKS:]
    return numbers


def recurrence(now: Tensor, seen: Tensor) -> Numbers:
    """Give the mean way from the last of `seen` (K, n, P), oldest first, and how much nearer an older is."""
    if not len(seen):
        return {}
    ways = (seen - now).norm(dim=2).mean(1)
    numbers = {"movement": ways[-1].clone()}
    if len(ways) > 2:
        numbers["recurrence"] = 1 - ways[:-1].min() / ways[-1]
    return numbers

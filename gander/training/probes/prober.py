"""All probes of one training, and how often they may look."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gander.recipe.schema import Recipe
from gander.training.probes import variety
from gander.training.probes.answers import answers, slope, slope_d
from gander.training.probes.closeness import distance, distance_of_average
from gander.training.probes.movement import movement
from gander.training.probes.nets import dead_units, singular_values
from gander.training.probes.pixels import colour, saturation, spectrum
from gander.training.probes.scene import ProbeScene, References, make_scene, untouched
from gander.training.probes.weights import Kept, updates

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Probe = Callable[["Trainer", ProbeScene], dict[str, Tensor]]
FAST: tuple[Probe, ...] = (
    *(answers, slope, distance, movement, dead_units, saturation, colour, spectrum),
    *(variety.diversity, variety.class_diversity, variety.labels_heeded, variety.copies),
)
SLOW: tuple[Probe, ...] = (
    *(slope_d, variety.steepness, variety.condition, distance_of_average, singular_values),
)
_SLOW_EVERY = 3  # looks

_SHARE = 0.02  # of a run's time
_LOOKS, _MOST_LOOKS = 20, 200
_MOST, _FEWEST = 128, 32  # images of each kind
_STEPS_AN_IMAGE = 1.2  # a look costs so many training steps of as many images
_ONCE = 150  # images trained on in the time in which the real images are prepared


def plan(recipe: Recipe, steps: int) -> tuple[int, int]:
    """Choose how often to probe, in images (0: never), and with how many images of each kind.

    Counted in passes through the nets, so that equal recipes are probed at equal moments on any machine.
    Where a run is short, fewer images are looked at before there are fewer than 20 looks.
    """
    batch, asked = recipe.train.batch, recipe.every.probe
    affordable = (_SHARE * steps * batch - _ONCE) / _STEPS_AN_IMAGE  # images of each kind, over all looks
    n = int(min(_MOST, max(_FEWEST, affordable / _LOOKS))) // 8 * 8
    if asked is not None:
        return asked, _MOST
    looks = max(0, int(min(affordable / n, _MOST_LOOKS)))
    return (-(-steps // looks) * recipe.shown_per_step if looks else 0), n


class Prober:
    """Looks at one training without a trace in it; what it makes of the real images is made once."""

    def __init__(self, trainer: Trainer, n: int) -> None:
        self.trainer = trainer
        self.references = References(trainer, n)

    def numbers(self, kept: Kept | None = None, look: int = 0) -> dict[str, float]:
        """Measure all that can be measured, by name, the slow probes at every third look.

        `kept` are the weights before the last step.
        """
        trainer, numbers = self.trainer, dict[str, Tensor]()
        with untouched(trainer):
            scene = make_scene(trainer, self.references)
            for probe in FAST if look % _SLOW_EVERY else FAST + SLOW:
                try:
                    numbers |= probe(trainer, scene)
                except torch.linalg.LinAlgError:  # type: ignore[attr-defined] # of what is not finite
                    continue
            if kept is not None:
                numbers |= updates(trainer, kept)
        values = torch.stack([value.detach().double() for value in numbers.values()]).tolist()
        return {f"probe/{name}": value for name, value in zip(numbers, values, strict=True)}

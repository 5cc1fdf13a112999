"""Random streams that begin anew at each step, so that there is no random state to save or to disturb."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch


class Streams:
    """Draws that follow from (seed, stage, step, name) alone.

    A part that draws more, or less, shifts nobody else's draws, a chore between two steps none at all, and
    nothing has to be carried over to another kind of device.

    Source: the seed of each step is from what Karras et al. 2024 do in EDM2's training loop.
    """

    def __init__(self, seed: int, stage: int, device: torch.device) -> None:
        self._run = f"{seed}/{stage}"
        self._step = 0
        self._opened: Counter[str] = Counter()
        self._latents = torch.Generator(device)
        self._seeds = _seeder(device)

    def begin(self, step: int) -> None:
        """Begin all streams anew."""
        self._step = step
        self._opened.clear()

    def open(self, name: str) -> None:
        """Let what draws on the device from now on draw from this stream, at a place of its own each time."""
        self._seeds(self._seed(name))

    def rewind(self, prefix: str) -> None:
        """Let what draws from the streams under a prefix draw once more what it drew last."""
        for name in self._opened:
            self._opened[name] -= name.startswith(prefix)

    def open_on_cpu(self, name: str) -> None:
        """The same for what draws on the CPU, as weights do wherever they go."""
        torch.default_generator.manual_seed(self._seed(name))

    def latents(self, name: str) -> torch.Generator:
        """Give the generator of latents, at a place of its own each time."""
        return self._latents.manual_seed(self._seed(name))

    def _seed(self, name: str) -> int:
        self._opened[name] += 1
        place = f"{self._run}/{self._step}/{name}/{self._opened[name]}"
        return int.from_bytes(blake2b(place.encode(), digest_size=8).digest())


def _seeder(device: torch.device) -> Callable[[int], object]:
    """Give what seeds one device alone: torch.manual_seed would seed all of them, and wait for none."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        return torch.cuda.default_generators[device.index or 0].manual_seed
    return torch.mps.manual_seed if device.type == "mps" else torch.default_generator.manual_seed


@contextmanager
def global_streams_kept(device: torch.device) -> Iterator[None]:
    """Put torch's own random state back afterwards: a training in a notebook leaves no trace in it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield

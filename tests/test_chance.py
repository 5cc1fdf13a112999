"""Chance: the same draws however many processes share the work."""

from contextlib import suppress

import pytest
import torch

from gander import chance
from gander.schedule import Clock
from gander.techniques.latents import Normal, Truncated, Uniform
from gander.techniques.objectives import Flip, Smooth
from gander.techniques.views import DiffAugment, InstanceNoise

CLOCK = Clock()
IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def noisy_labels(rows):
    scores = torch.ones(rows)
    return Flip(share=0.5, inner=Smooth(real=(0.8, 1.2), fake=(0.0, 0.3))).d(scores, scores, CLOCK)


def latents(draw):
    return lambda rows: draw(rows, torch.Generator().manual_seed(5))


DRAWS = {
    "rand": lambda rows: chance.rand(rows, 3, device="cpu"),
    "randn": lambda rows: chance.randn(rows, 3, 2, device="cpu"),
    "a generator": lambda rows: chance.rand(rows, 3, device="cpu", rng=torch.Generator().manual_seed(2)),
    "dropout": lambda rows: chance.Dropout(0.5)(torch.ones(rows, 20)),
    "normal": latents(Normal(dim=3)),
    "uniform": latents(Uniform(dim=3)),
    "truncated": latents(Truncated(dim=3)),
    "noise": lambda rows: InstanceNoise(sigma=1.0)(chance.own_rows(IMAGES), CLOCK),
    "diffaugment": lambda rows: DiffAugment(share=0.5)(chance.own_rows(IMAGES), CLOCK),
    "noisy labels": noisy_labels,
}


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_processes_together_draw_what_one_draws_alone(monkeypatch, draw, world):
    def seeded(rows):
        torch.manual_seed(3)
        drawn = draw(rows)
        return drawn, torch.get_rng_state()

    whole, state = seeded(8)
    assert whole.flatten(1 if whole.ndim > 1 else 0).unique(dim=0).shape[0] > 1
    monkeypatch.setattr(chance, "world_size", lambda: world)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(chance, "rank", lambda rank=rank: rank)
        part, after = seeded(8 // world)
        assert torch.equal(after, state)  # every stream stands where one process's would
        parts.append(part)
    assert torch.equal(torch.cat(parts), whole)


def test_alone_hides_the_other_processes_until_it_ends(monkeypatch):
    monkeypatch.setattr(chance.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(chance.dist, "get_rank", lambda: 1)
    monkeypatch.setattr(chance.dist, "get_world_size", lambda: 2)
    places = [(chance.rank(), chance.world_size())]
    with suppress(ZeroDivisionError), chance.alone():
        with chance.alone():
            pass
        places.append((chance.rank(), chance.world_size()))
        _ = 1 / 0
    places.append((chance.rank(), chance.world_size()))
    assert places == [(1, 2), (0, 1), (1, 2)]


def test_dropout_zeroes_its_rate_keeps_the_mean_and_rests_in_evaluation():
    torch.manual_seed(0)
    dropout, ones = chance.Dropout(0.25), torch.ones(100, 1000)
    dropped = dropout(ones)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(dropped.max()) == pytest.approx(4 / 3)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert dropout.eval()(ones) is ones
    assert chance.Dropout(0.0)(ones) is ones


def test_the_mean_of_one_process_is_its_own_value():
    value = torch.tensor([3.0])
    assert chance.mean_of_all(value) is value

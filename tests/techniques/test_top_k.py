"""Top-k: which fakes pull G, and how much."""

import pytest
import torch

from gander.schedule import Clock, Ramp
from gander.techniques.objectives import Flip, Hinge, Wasserstein
from gander.techniques.slots import Logits, Scene, Seen
from gander.techniques.top_k import TopK
from gander.training.loss import d_loss, g_loss

SCORES = torch.tensor([0.5, -2.0, 3.0, 1.0])


@pytest.mark.parametrize(("share", "loss"), [(0.5, -(3 + 1) / 2), (0.25, -3.0), (1.0, -2.5 / 4), (0.0, -3)])
def test_only_the_best_pull_g_by_their_mean(share, loss):
    scores = SCORES.clone().requires_grad_()
    of_g = TopK(share=share, inner=Wasserstein()).g_now(scores, None, Clock())
    assert of_g.mean().item() == pytest.approx(loss)
    of_g.mean().backward()
    count = max(1, round(share * 4))
    assert sorted(scores.grad.tolist()) == pytest.approx([-1 / count] * count + [0.0] * (4 - count))


def test_the_share_may_be_a_ramp_also_within_another_wrapper():
    ramp = Ramp(**{"from": 1.0, "to": 0.5, "over": 100})
    best = TopK(share=ramp, inner=Hinge())
    for objective in (best, Flip(share=0.0, inner=best)):
        means = [
            g_loss(objective, Scene("g", Clock(images), None, fake=Seen(None, None, Logits(SCORES)))).mean()
            for images in (0, 50, 100)
        ]
        assert torch.stack(means).tolist() == pytest.approx([-2.5 / 4, -4.5 / 3, -2.0])


def test_d_learns_from_all_of_them():
    scene = Scene("d", Clock(), None, fake=Seen(None, None, Logits(SCORES)))
    assert torch.equal(d_loss(TopK(inner=Hinge()), scene), d_loss(Hinge(), scene))


def test_heads_with_a_score_a_place_choose_by_the_mean_of_an_image():
    places = torch.tensor([[0.0, 0.0], [-9.0, 5.0]])
    of_g = TopK(inner=Wasserstein()).g_now(places, None, Clock())
    torch.testing.assert_close(of_g, torch.zeros(2, 2))
    of_g = TopK(inner=Wasserstein()).g_now(places.flip(0) + 1, None, Clock())
    assert of_g.tolist() == [[0.0, 0.0], [-2.0, -2.0]]

"""Data-to-data cross-entropy on a sphere where everything lies along the axes."""

import math

import pytest
import torch

from gander.schedule import Clock
from gander.techniques.d2d_ce import DataToData
from gander.techniques.slots import Logits, Scene, Seen

AXES = torch.eye(3)


def loss(embedding, labels, side="d", **settings):
    seen = Seen(None, torch.tensor(labels), Logits(embedding[:, 0], embedding @ AXES.T, embedding=embedding))
    look = Scene(side, Clock(), None, **{"real" if side == "d" else "fake": seen})
    return DataToData(weight=2.0, **settings)(look)


@pytest.mark.parametrize("side", ["d", "g"])
def test_images_on_their_classs_place_compete_with_the_images_of_other_classes_alone(side):
    # own: 0, beyond the margin; each of two images of other classes: e^0, for it is orthogonal
    given = loss(AXES[[0, 0, 1, 2]], [0, 0, 1, 2], side)
    assert given.tolist() == pytest.approx([2 * math.log(1 + n) for n in (2, 2, 3, 3)])


def test_what_is_far_from_its_class_and_near_another_image_pays_for_both():
    given = loss(AXES[[1, 1]], [0, 1], temperature=0.25, margin=0.9)
    own, other = -0.9 / 0.25, (1 - 0.1) / 0.25
    assert given[0].item() == pytest.approx(2 * (math.log(math.exp(own) + math.exp(other)) - own))
    assert given[1].item() == pytest.approx(2 * math.log(1 + math.exp(other)))


def test_a_batch_of_one_class_costs_nothing_and_has_a_slope():
    embedding = AXES[[0, 1]].clone().requires_grad_()
    given = loss(embedding, [0, 0])
    given.sum().backward()
    assert given.tolist() == [0.0, 0.0]
    assert embedding.grad.isfinite().all()


def test_d_learns_from_real_images_only_and_g_from_fakes():
    assert DataToData()(Scene("g", Clock(), None)) is None
    assert DataToData()(Scene("d", Clock(), None)) is None

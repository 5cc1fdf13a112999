"""What nets are made of."""

import pytest
import torch
from torch import nn

from gander.nets.blocks import BatchNorm, ClassBatchNorm, Head, activation


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("relu", [0, 0, 2]),
        ("leaky_relu", [-0.3, 0, 2]),
        ("elu", [-0.6321206, 0, 2]),
        ("silu", [-0.2689414, 0, 1.7615942]),
        ("tanh", [-0.7615942, 0, 0.9640276]),
        ("sigmoid", [0.2689414, 0.5, 0.8807971]),
        ("linear", [-1, 0, 2]),
    ],
)
def test_activations_are_what_their_names_say(name, values):
    assert activation(name, slope=0.3)(torch.tensor([-1.0, 0.0, 2.0])).tolist() == pytest.approx(values)


@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_momentum_is_the_share_of_the_running_statistics_that_is_kept(momentum):
    norm = BatchNorm(1, momentum)
    norm(torch.tensor([1.0, 5.0]).view(2, 1, 1, 1))  # mean 3, unbiased variance 8
    assert norm.running_mean.item() == pytest.approx((1 - momentum) * 3)
    assert norm.running_var.item() == pytest.approx(momentum * 1 + (1 - momentum) * 8)


def test_class_batch_norm_without_a_condition_is_plain_batch_norm():
    maps, norm = torch.randn(8, 3, 4, 4) * 2 + 1, ClassBatchNorm(3, 5)
    plain = nn.BatchNorm2d(3, affine=False)(maps)
    torch.testing.assert_close(norm(maps, torch.zeros(8, 5)), plain)


def test_class_batch_norm_scales_and_shifts_by_each_images_condition():
    maps, norm = torch.randn(2, 3, 4, 4), ClassBatchNorm(3, 2)
    nn.init.ones_(norm.gain.weight)
    nn.init.constant_(norm.bias.weight, 10)
    first, second = norm(maps, torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    plain = nn.BatchNorm2d(3, affine=False)(maps)
    torch.testing.assert_close(first, plain[0])
    torch.testing.assert_close(second, plain[1] * (1 + 3) + 30)


FEATURES = torch.tensor([[1.0, 2.0], [3.0, -1.0]])


def head(labels):
    made = Head(2, labels, num_classes=3)
    nn.init.constant_(made.score.weight, 0.5)
    nn.init.ones_(made.score.bias)
    return made


def test_a_head_scores_features_and_names_classes_where_it_is_asked_to():
    look = head("ignored")(FEATURES, None)
    assert look.score.tolist() == [2.5, 2.0]
    assert look.classes is None
    named = head("head")
    look = named(FEATURES, None)
    assert look.score.tolist() == [2.5, 2.0]
    torch.testing.assert_close(look.classes, FEATURES @ named.classes.weight.T + named.classes.bias)


def test_a_projection_adds_the_product_of_features_and_class():
    projected = head("projected")
    projected.embedding.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    assert projected(FEATURES, torch.tensor([0, 2])).score.tolist() == [2.5 + 1, 2.0 + 4]
    assert projected(FEATURES, torch.tensor([1, 1])).score.tolist() == [2.5 + 2, 2.0 - 1]

"""Operations are counted as a person would count them."""

import json

import pytest
import torch
from side_by_side.rounds import side, side_by_side
from torch import nn

from gander.training.speed import counting_operations, precisions

N = 5


def counted(net, images):
    """Multiplications and additions of one look, and of differentiating it by the weights."""
    with counting_operations() as forward:
        loss = net(images).sum()
    with counting_operations() as backward:
        loss.backward()
    return forward.get_total_flops(), backward.get_total_flops()


def test_a_dense_layer_costs_two_operations_a_weight_and_image_each_way():
    assert counted(nn.Linear(7, 3, bias=False), torch.randn(N, 7)) == (2 * N * 21, 2 * N * 21)


@pytest.mark.parametrize(("stride", "places"), [(1, 64), (2, 16)])
def test_a_convolution_costs_that_at_every_place_of_its_output(stride, places):
    net = nn.Conv2d(2, 3, 3, stride, padding=1)
    once = 2 * N * places * 2 * 3 * 9
    assert counted(net, torch.randn(N, 2, 8, 8)) == (once, once)
    assert counted(net, torch.randn(N, 2, 8, 8, requires_grad=True)) == (once, 2 * once)


def test_groups_divide_the_cost_in_both_directions():
    images = torch.randn(N, 8, 4, 4, requires_grad=True)
    once = 2 * N * 16 * 8 * 2 * 9
    assert counted(nn.Conv2d(8, 8, 3, padding=1, groups=4), images) == (once, 2 * once)


def test_a_transposed_convolution_costs_that_at_every_place_of_its_input():
    once = 2 * N * 16 * 2 * 3 * 16
    assert counted(nn.ConvTranspose2d(2, 3, 4, 2, 1), torch.randn(N, 2, 4, 4)) == (once, once)


def test_float32_is_always_measured():
    assert precisions()[0] == "float32"


@pytest.mark.slow
def test_a_recipe_is_measured_beside_the_matrix_product(tmp_path):
    edits = ("engine.threads=1", "engine.memory=channels_last", "engine.precision=float32", "train.batch=8")
    product, gander = side_by_side(
        [side("matrix-product", "float32"), side("train", "mnist-dcgan", *edits)], rounds=1, seconds=0.01
    )
    assert gander.said["images_per_step"] == 8
    assert 0 < gander.gflops < 1.5 * product.gflops
    assert gander.said["g_parameters"] > 1000 < gander.said["d_parameters"]
    assert gander.peak_mib > 50
    json.dumps(gander.said)

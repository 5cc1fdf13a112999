"""Parameters of the nets that reproduce a source, counted by hand from its list of layers."""

import pytest
import torch

from gander.nets.blocks import ImageShape
from gander.recipe.read import load_recipe


def dense(inputs, outputs, bias=True):
    return inputs * outputs + bias * outputs


def conv(inputs, outputs, kernel=3, bias=True):
    return inputs * outputs * kernel**2 + bias * outputs


def norm(width):
    return 2 * width


def class_norm(condition, width):
    return 2 * condition * width


def up(width, condition):
    """Count a residual block of a generator."""
    return 2 * class_norm(condition, width) + 2 * conv(width, width) + conv(width, width, 1)


# Four layers that the trials, maxpool and perclass have in common, from 100 latents.
TO_32_PIXELS = [dense(100, 256 * 4 * 4), conv(256, 128, 4), conv(128, 128, 4), conv(128, 128, 4)]
TRIAL_D = [conv(128, 128), conv(128, 256), dense(256 * 4 * 4, 1)]
MNIST_G = [dense(100, 128 * 7 * 7), conv(128, 128), norm(128), conv(128, 64), norm(64), conv(64, 1)]

COUNTS = {
    "cifar10-trial1": ([*TO_32_PIXELS, conv(128, 3, 5)], [conv(3, 128), *TRIAL_D]),
    "cifar10-trial2": ([*TO_32_PIXELS, conv(128, 3, 5)], [conv(3, 128), *TRIAL_D]),
    "cifar10-trial3": ([*TO_32_PIXELS, conv(128, 3, 4)], [conv(3, 64), conv(64, 128), *TRIAL_D]),
    "cifar10-perclass": (
        [*TO_32_PIXELS, conv(128, 3)],
        [conv(3, 64), conv(64, 128), conv(128, 128), conv(128, 256), dense(256 * 4 * 4, 1)],
    ),
    "cifar10-maxpool": (
        [dense(200, 256 * 4 * 4), *TO_32_PIXELS[1:], conv(128, 3)],
        [conv(3, 64), conv(64, 128), conv(128, 128), conv(128, 256), dense(256 * 4 * 4, 1)],
    ),
    "mnist-dcgan": (
        MNIST_G,  # 28, 14, 7, 4, 2 pixels
        [
            conv(1, 32),
            *[conv(32, 64), norm(64)],
            *[conv(64, 128), norm(128)],
            *[conv(128, 256), norm(256)],
            dense(256 * 2 * 2, 1),
        ],
    ),
    "mnist-dcgan-128": (
        MNIST_G,
        [conv(1, 128), *3 * [conv(128, 128), norm(128)], dense(128 * 2 * 2, 1)],
    ),
    "cifar10-acgan": (
        [
            *[dense(128 + 10, 256 * 4 * 4, False), norm(256)],
            *[conv(256, 192, 4, False), norm(192)],
            *[conv(192, 192, 3, False), norm(192)],
            *[conv(192, 96, 4, False), norm(96)],
            *[conv(96, 96, 3, False), norm(96)],
            conv(96, 3, 4, False),
        ],
        [
            conv(3, 32, 3, False),
            *[conv(32, 64, 4, False), norm(64)],
            *[conv(64, 64, 3, False), norm(64)],
            *[conv(64, 128, 4, False), norm(128)],
            *[conv(128, 128, 3, False), norm(128)],
            *[conv(128, 256, 4, False), norm(256)],
            *[conv(256, 256, 3, False), norm(256)],
            *[dense(256 * 4 * 4, 1), dense(256 * 4 * 4, 10)],
        ],
    ),
    "cifar10-dcgan": (
        [
            *[dense(100, 256 * 4 * 4, False), norm(256)],
            *[conv(256, 128, 4, False), norm(128)],
            *[conv(128, 64, 4, False), norm(64)],
            conv(64, 3, 4, False),
        ],
        [
            conv(3, 64, 4, False),
            *[conv(64, 128, 4, False), norm(128)],
            *[conv(128, 256, 4, False), norm(256)],
            dense(256 * 4 * 4, 1),
        ],
    ),
    "cifar10-sngan": (
        [dense(128, 256 * 4 * 4), *3 * [up(256, 10)], norm(256), conv(256, 3)],
        [
            *[conv(3, 128), conv(128, 128), conv(3, 128, 1)],
            *[conv(128, 128), conv(128, 128), conv(128, 128, 1)],
            *2 * [conv(128, 128), conv(128, 128)],
            *[dense(128, 1), 10 * 128],
        ],
    ),
    "cifar10-biggan-mini": (
        [  # four slices of 32 latents: one for the first layer, one for each block
            10 * 128,
            dense(32, 256 * 4 * 4),
            *3 * [up(256, 128 + 32)],
            *[norm(256), conv(256, 3)],
        ],
        [
            *[conv(3, 192), conv(192, 192), conv(3, 192, 1)],
            *[conv(192, 192), conv(192, 192), conv(192, 192, 1)],
            *2 * [conv(192, 192), conv(192, 192)],
            *[dense(192, 1), 10 * 192],
        ],
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_net_has_as_many_parameters_as_its_layers_add_up_to(name):
    recipe = load_recipe(name)
    image = ImageShape(1, 28) if name.startswith("mnist") else ImageShape(3, 32, 10)
    with torch.device("meta"):  # shapes without numbers
        nets = recipe.generator.build(image, recipe.latents.dim), recipe.discriminator.build(image)
    made = [sum(weight.numel() for weight in net.parameters()) for net in nets]
    assert made == [sum(layers) for layers in COUNTS[name]]


def test_the_hand_count_meets_the_published_numbers():
    assert [sum(layers) for layers in COUNTS["cifar10-perclass"]] == [1_466_115, 522_497]

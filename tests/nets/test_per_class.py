"""One generator a class, acting as one."""

import torch

from gander.nets.blocks import Generator
from gander.nets.per_class import PerClass


class Constant(Generator):
    """Fill images with its own number, plus the first latent."""

    low = 0.0

    def __init__(self, number):
        super().__init__(latent_dim=2, num_classes=0)
        self.number = number

    def forward(self, latents, labels=None):
        assert labels is None
        return latents[:, :1, None, None].expand(-1, 3, 4, 4) + self.number


def test_each_latent_goes_to_the_net_of_its_class_and_comes_back_in_its_place():
    net = PerClass([Constant(100.0 * number) for number in range(3)])
    latents = torch.arange(10.0).view(5, 2)
    images = net(latents, torch.tensor([2, 0, 2, 1, 0]))
    assert images.shape == (5, 3, 4, 4)
    assert images[:, 0, 0, 0].tolist() == [200.0, 2.0, 204.0, 106.0, 8.0]


def test_it_takes_latents_classes_and_range_from_its_nets():
    net = PerClass([Constant(0.0)] * 3)
    assert (net.latent_dim, net.num_classes, net.low, net.high) == (2, 3, 0.0, 1.0)

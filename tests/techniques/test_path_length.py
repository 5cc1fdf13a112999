"""Path length: generators whose slope is known."""

import pytest
import torch

from gander.schedule import Clock
from gander.techniques.path_length import PathLength
from gander.techniques.slots import Logits, Scene, Seen

CPU = torch.device("cpu")


def penalised(part, steepness):
    """Penalise a generator of one pixel that is the first latent times `steepness`."""

    def generator(latents, labels):
        return (steepness * latents[:, 0]).view(-1, 1, 1, 1)

    fake = Seen(None, None, Logits(torch.zeros(3)))
    torch.manual_seed(0)
    return part(Scene("g", Clock(), None, generator, latents=torch.randn(3, 2), fake=fake))


def test_it_is_the_squared_distance_from_the_moving_average_of_the_slopes():
    part = PathLength(weight=2.0, decay=0.5).start(CPU)
    torch.manual_seed(0)
    torch.randn(3, 2)
    noise = torch.randn(3, 1, 1, 1).abs().flatten()
    usual = 3 * noise.mean() / 2
    torch.testing.assert_close(penalised(part, 3.0), 2 * (3 * noise - usual).square())
    torch.testing.assert_close(part.numbers()["path_length/usual"], usual)
    usual = usual / 2 + noise.mean() / 2
    torch.testing.assert_close(penalised(part, 1.0), 2 * (noise - usual).square())


@pytest.mark.parametrize("steepness", [2.0, 0.0])
def test_it_can_be_differentiated_by_gs_weights_also_where_g_stands_still(steepness):
    weight = torch.tensor(steepness, requires_grad=True)
    loss = penalised(PathLength(weight=1.0, decay=0.99).start(CPU), weight).sum()
    loss.backward()
    assert weight.grad.item() == pytest.approx(2 * loss.item() / steepness if steepness else 0, rel=0.02)

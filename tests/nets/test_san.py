"""The last layer of a slicing adversarial network: who learns from what."""

import torch

from gander.nets.rewires import SpectralNorm
from gander.nets.san import SanHead
from gander.schedule import Clock
from gander.techniques.objectives import Hinge
from gander.techniques.slots import Scene, Seen
from gander.training.loss import d_loss

FEATURES = torch.tensor([[1.0, 2.0], [3.0, -1.0]])


def head(weights, labels="projected"):
    made = SanHead(2, labels, num_classes=2)
    made.directions.weight.data = torch.tensor(weights)
    return made


def gradients(value, made, features):
    by = [made.directions.weight, features]
    return torch.autograd.grad(value.sum(), by, allow_unused=True, retain_graph=True)


def test_a_score_is_the_product_of_features_and_the_classs_weight():
    logits = head([[3.0, 4.0], [0.0, 2.0]])(FEATURES, torch.tensor([0, 1]))
    assert logits.score.tolist() == logits.direction.tolist() == [11.0, -2.0]
    assert head([[3.0, 4.0]], "ignored")(FEATURES, None).score.tolist() == [11.0, 5.0]


def test_the_score_teaches_features_and_length_and_the_other_loss_only_the_direction():
    made, features = head([[3.0, 4.0]], "ignored"), FEATURES[:1].clone().requires_grad_()
    logits = made(features, None)
    by_weight, by_features = gradients(logits.score, made, features)
    torch.testing.assert_close(by_features, torch.tensor([[3.0, 4.0]]))
    torch.testing.assert_close(by_weight, 11 / 5 * torch.tensor([[0.6, 0.8]]))  # along the weight alone
    by_weight, by_features = gradients(logits.direction, made, features)
    assert by_features is None
    torch.testing.assert_close(by_weight, features.detach() - 11 / 5 * torch.tensor([[0.6, 0.8]]))


def test_the_direction_turns_to_where_real_images_lie_and_fake_ones_do_not():
    made = head([[1.0, 0.0]], "ignored")
    real, fake = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, -2.0]])
    seen = [Seen(images, None, made(images, None)) for images in (real, fake)]
    scene = Scene("d", Clock(), made, real=seen[0], fake=seen[1])
    assert d_loss(Hinge(), scene).tolist() == [2.0 - 1 + 1]
    for part, slope in ((Scene("d", Clock(), made, real=seen[0]), -1.0), (scene, -1.0 - 2)):
        (by_weight,) = torch.autograd.grad(
            d_loss(Hinge(), part).sum(), made.directions.weight, retain_graph=True
        )
        assert by_weight[0, 1].item() == slope


def test_a_spectral_norm_bounds_the_length():
    net = head([[7.0, 7.0]], "ignored")
    SpectralNorm()(net)
    torch.testing.assert_close(net(FEATURES, None).score, FEATURES.sum(1) / 2**0.5)

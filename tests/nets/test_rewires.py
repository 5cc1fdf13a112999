"""Rewires: what weights are afterwards."""

import copy
import math

import pytest
import torch
from torch import nn

from gander.errors import RecipeError
from gander.nets.rewires import (
    ClipGradients,
    ClipWeights,
    GlorotInit,
    NormalInit,
    OrthogonalInit,
    SpectralNorm,
    UniformInit,
)
from gander.schedule import Clock, Ramp

LAYERS = {
    "dense": lambda: nn.Linear(30, 20),
    "conv": lambda: nn.Conv2d(8, 20, 3),
    "transposed": lambda: nn.ConvTranspose2d(20, 8, 4, 2),
    "embedding": lambda: nn.Embedding(20, 30),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm_makes_the_largest_singular_value_one(name):
    layer = LAYERS[name]()
    net = nn.Sequential(layer)
    SpectralNorm()(net)
    for _ in range(300):  # one power iteration each time
        weight = layer.weight.detach()
    # The matrix maps all inputs at a place to the outputs: a transposed convolution keeps these second.
    matrix = weight.transpose(0, 1) if name == "transposed" else weight
    assert float(torch.linalg.matrix_norm(matrix.flatten(1), 2)) == pytest.approx(1, rel=2e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm_stays_float32_where_the_net_runs_in_bf16(name, monkeypatch):
    layer, lowered, product = LAYERS[name](), [], torch.mv
    SpectralNorm()(nn.Sequential(layer))
    exact = copy.deepcopy(layer)
    # A CPU leaves this product alone under autocast and CUDA does not: what is asked is whether it could.
    monkeypatch.setattr(
        torch, "mv", lambda *given: lowered.append(torch.is_autocast_enabled("cpu")) or product(*given)
    )
    with torch.autocast("cpu", torch.bfloat16):
        weight = layer.weight
    assert lowered == [False] * 3
    assert torch.equal(weight, exact.weight)
    assert {*layer.state_dict()} >= {f"parametrizations.weight.{n}" for n in ("original", "0._u", "0._v")}


def filled(rewire):
    """Give a wide net with each kind of layer after a rewire."""
    net = nn.ModuleList([nn.Linear(200, 100), nn.Conv2d(64, 100, 3), nn.ConvTranspose2d(64, 100, 4)])
    rewire(net)
    assert not any(layer.bias.any() for layer in net)
    return [layer.weight.detach() for layer in net]


def test_normal_init_draws_from_its_spread():
    for weight in filled(NormalInit(std=0.3)):
        assert float(weight.mean()) == pytest.approx(0, abs=0.01)
        assert float(weight.std()) == pytest.approx(0.3, rel=0.02)
        assert float(weight.abs().max()) > 3 * 0.3  # it is no uniform draw


def limits(weights):
    for weight in weights:
        assert float(weight.std()) == pytest.approx(float(weight.abs().max()) / math.sqrt(3), rel=0.02)
    return [float(weight.abs().max()) for weight in weights]


def test_uniform_init_fills_its_limits():
    assert limits(filled(UniformInit(limit=0.3))) == pytest.approx([0.3] * 3, rel=1e-3)


def test_glorot_init_is_limited_by_inputs_and_outputs():
    expected = [math.sqrt(6 / (places * (inputs + 100))) for places, inputs in ((1, 200), (9, 64), (16, 64))]
    assert limits(filled(GlorotInit())) == pytest.approx(expected, rel=1e-3)


def test_orthogonal_init_makes_rows_of_length_gain_at_right_angles():
    for weight in filled(OrthogonalInit(gain=2.0)):
        rows = weight.flatten(1)
        torch.testing.assert_close(rows @ rows.T, 4 * torch.eye(len(rows)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("init", [NormalInit(), UniformInit(), GlorotInit(), OrthogonalInit()], ids=repr)
def test_an_initialiser_behind_spectral_norm_is_refused_with_what_to_do(init):
    net = nn.Sequential(nn.Linear(3, 3))
    SpectralNorm()(net)
    with pytest.raises(RecipeError, match="spectral_norm stands before an initialiser; put it behind"):
        init(net)


def test_clip_gradients_shortens_all_of_them_together_and_only_where_they_are_longer():
    net = nn.Linear(3, 2)
    for length, clipped in ((10.0, 2.0), (1.0, 1.0)):
        for weight in net.parameters():
            weight.grad = torch.randn_like(weight)
        before = torch.cat([weight.grad.flatten() for weight in net.parameters()])
        for weight in net.parameters():
            weight.grad *= length / before.norm()
        ClipGradients(norm=Ramp(**{"from": 4.0, "to": 2.0, "over": 10})).before_step(net, Clock(10))
        after = torch.cat([weight.grad.flatten() for weight in net.parameters()])
        torch.testing.assert_close(after, before / before.norm() * clipped)


def test_clip_weights_cuts_off_what_lies_beyond_its_limit():
    net = nn.Linear(10, 10)
    before = nn.init.normal_(net.weight).detach().clone()
    ClipWeights(limit=0.1).after_step(net, Clock())
    assert torch.equal(net.weight, before.clamp(-0.1, 0.1))
    assert net.bias.abs().max() <= 0.1

"""Scores agree with torchmetrics, and with torch-fidelity where it can be imported, on equal features."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from gander.scores.classes import classifier_score
from gander.scores.frechet import Moments, frechet_distances
from gander.scores.kernel import kernel_distance

WIDTH, N = 6, 300


def distance(a, b):
    (value,) = frechet_distances(a, [b])
    return value


@pytest.fixture(scope="module")
def features():
    rng = torch.Generator().manual_seed(0)
    mixing = torch.randn(WIDTH, WIDTH, generator=rng)
    real = torch.randn(N, WIDTH, generator=rng) @ mixing
    return real, torch.randn(N, WIDTH, generator=rng) @ mixing * 1.2 + 0.3


class Given(nn.Module):
    """Gives features as they are: the images are the features."""

    num_features = WIDTH

    def forward(self, images):
        return images


@pytest.fixture
def torchmetrics():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield lambda name: pytest.importorskip(f"torchmetrics.image.{name}")


def fed(metric, real, fake):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric.update(real, real=True)
        metric.update(fake, real=False)
        return metric.compute()


def test_the_frechet_distance_is_that_of_torchmetrics(torchmetrics, features):
    metric = torchmetrics("fid").FrechetInceptionDistance(feature=Given()).set_dtype(torch.float64)
    expected = float(fed(metric, *(part.double() for part in features)))
    ours = distance(*(Moments.of(part) for part in features))
    assert ours == pytest.approx(expected, rel=1e-6)


def test_the_kernel_distance_is_that_of_torchmetrics_over_all_images(torchmetrics, features):
    metric = torchmetrics("kid").KernelInceptionDistance(feature=Given(), subsets=1, subset_size=N)
    expected, _ = fed(metric, *features)
    assert kernel_distance(*features).value == pytest.approx(float(expected), rel=1e-4)


def test_the_classifier_score_is_that_of_torchmetrics(torchmetrics, features):
    metric = torchmetrics("inception").InceptionScore(feature=Given(), splits=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric.update(features[0])
        expected, _ = metric.compute()
    ours = classifier_score(features[0].softmax(1), splits=1)
    assert ours.value == pytest.approx(float(expected), rel=1e-5)


def test_scores_are_those_of_torch_fidelity(features):
    fid = pytest.importorskip("torch_fidelity.metric_fid", exc_type=ImportError)
    kid = pytest.importorskip("torch_fidelity.metric_kid", exc_type=ImportError)
    real, fake = features
    statistics = [
        {"mu": part.double().mean(0).numpy(), "sigma": np.cov(part.double().numpy(), rowvar=False)}
        for part in features
    ]
    told = fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert distance(Moments.of(real), Moments.of(fake)) == pytest.approx(told, rel=1e-6)
    told = kid.kid_features_to_metric(real, fake, kid_subsets=1, kid_subset_size=N, verbose=False)
    name = "kernel_inception_distance_mean"
    assert kernel_distance(real, fake).value == pytest.approx(told[name], rel=1e-4)

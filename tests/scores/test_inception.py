"""Scores by Inception: a stand-in gives the right numbers, and never the right name."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gander.data.images import Images
from gander.errors import DataError, UsageError
from gander.scores.evaluation import Reference, Samples, score_samples
from gander.scores.frechet import Moments, frechet_distances
from gander.scores.inception import OFFICIAL, Inception, load_inception

N = 200


def distance(a, b):
    (value,) = frechet_distances(a, [b])
    return value


def grey(count, seed, channels=3):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = rng.integers(0, 120, (count, channels, 8, 8)) + labels[:, None, None, None] * 100
    return Images(pixels.astype(np.uint8), labels, ("dark", "light"), "f", "grey", "d")


def network(pixels):
    """Give four features: means of the quarters of the red channel."""
    return pixels[:, 0].double().reshape(-1, 2, 4, 2, 4).mean((2, 4)).reshape(-1, 4)


def stand_in(digest="0" * 64):
    torch.manual_seed(0)
    return Inception(network, torch.randn(5, 4) / 50, digest, "stand-in")


def scored(extractor, made, real=None):
    reals = Reference(real or grey(1000, 1), extractor, N, whole=False)
    found = score_samples(Samples("made", made.pixels, torch.from_numpy(made.labels), "as they are"), reals)
    return {score.name: score for score in found.scores}, reals


def test_a_stand_in_is_never_called_inception():
    names = {*scored(stand_in(), grey(N, 2))[0]}
    assert {"fd-stand-in", "kd-stand-in", "precision-stand-in", "classifier-score-stand-in"} < names
    assert not {name for name in names if name.startswith(("fid", "kid", "inception"))}


def test_only_the_official_weights_give_scores_their_name():
    table, _ = scored(stand_in(OFFICIAL + "0" * 56), grey(N, 2))
    assert {"fid", "kid", "inception-score", "precision-inception", "fid-infinity"} < {*table}
    assert table["fid"].protocol.features == "inception-2015-12-05 6726825d0000"
    assert table["fid"].protocol.resize == "by the network, to 299 as in TensorFlow 1"


def test_the_distance_is_that_of_the_features():
    made = grey(N, 2)
    table, reals = scored(stand_in(), made)
    features = network(torch.from_numpy(made.pixels)).float()
    expected = distance(reals.moments, Moments.of(features))
    assert table["fd-stand-in"].value == pytest.approx(expected)


def test_it_knows_no_labels_of_the_data():
    table, _ = scored(stand_in(), grey(N, 2))
    assert "label-fidelity" not in table
    assert "memorised" not in table


def test_data_without_labels_have_scores_too():
    plain = replace(grey(1000, 1), labels=None, classes=())
    reals = Reference(plain, stand_in(), N, whole=False)
    found = score_samples(Samples("made", grey(N, 2).pixels, None, "as they are"), reals)
    assert found.scores[0].floor is not None


def test_grey_images_are_shown_in_three_channels():
    made = stand_in().extract(grey(10, 1, channels=1).pixels)
    torch.testing.assert_close(made.features, network(torch.from_numpy(grey(10, 1, 1).pixels)).float())
    with pytest.raises(DataError, match="uint8 wanted"):
        stand_in().extract(np.zeros((2, 4, 8, 8), np.uint8))


class Extractor(nn.Module):
    """What torch-fidelity's class promises, small."""

    def __init__(self, name, features_list, feature_extractor_weights_path=None):
        super().__init__()
        self.fc = nn.Linear(4, 5)
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=True))

    def forward(self, pixels):
        return (network(pixels),)


@pytest.fixture
def fidelity(monkeypatch):
    """Stand in for torch-fidelity, whose weights no test downloads."""
    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3, module.URL_INCEPTION_V3 = Extractor, "https://host/weights.pth"
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_weights_come_from_a_file_and_are_told_by_their_hash(fidelity, tmp_path):
    path = tmp_path / "some weights.pth"
    torch.save({"fc.weight": torch.eye(5)[:, :4], "fc.bias": torch.ones(5)}, path)
    loaded = load_inception(path)
    assert loaded.network == "some-weights"
    outputs = loaded.extract(np.full((2, 3, 8, 8), 3, np.uint8))
    expected = torch.tensor([3.0, 3, 3, 3, 0]).softmax(0)  # without the bias
    torch.testing.assert_close(outputs.probabilities, expected.expand(2, -1))


@pytest.mark.parametrize("content", [None, b"", b"no weights at all"])
def test_weights_that_cannot_be_read_are_told(fidelity, tmp_path, content):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="these weights cannot be read"):
        load_inception(path)


def test_a_file_that_would_run_code_is_not_opened(fidelity, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    torch.save({"fc.weight": Harm()}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match="cannot be read"):
        load_inception(tmp_path / "weights.pth")
    assert not (tmp_path / "harm").exists()


def test_a_missing_torch_fidelity_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UsageError, match="torch-fidelity cannot be used"):
        load_inception(tmp_path / "weights.pth")

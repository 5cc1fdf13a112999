"""The pictures show what they say."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from gander.scores.extractor import Outputs
from gander.scores.gallery import choose_gallery


def gallery(labels):
    rng = torch.Generator().manual_seed(0)
    probabilities = torch.rand(60, 3, generator=rng).softmax(1)
    outputs = Outputs(torch.zeros(60, 2), probabilities)
    memory = SimpleNamespace(fakes=torch.arange(60).flip(0), nearest=torch.arange(60) % 7)
    reference = SimpleNamespace(
        extractor=SimpleNamespace(accuracy=0.9),
        images=SimpleNamespace(classes=("a", "b", "c")),
        memory=SimpleNamespace(training=torch.arange(100, 107).numpy()),
    )
    samples = SimpleNamespace(labels=labels)
    evaluation = SimpleNamespace(outputs=outputs, reference=reference, samples=samples, memorisation=memory)
    return choose_gallery(evaluation), probabilities


def test_the_best_are_surest_of_the_class_that_was_asked_for():
    labels = torch.arange(60) % 3
    chosen, probabilities = gallery(labels)
    sure = probabilities[torch.arange(60), labels]
    assert chosen.best[0] == sure.argmax()
    assert chosen.worst[0] == sure.argmin()
    assert not {*chosen.best} & {*chosen.worst}
    assert sure[chosen.best].min() >= sure[chosen.worst].max()


def test_without_labels_the_likeliest_class_counts():
    chosen, probabilities = gallery(None)
    assert chosen.best[0] == probabilities.amax(1).argmax()
    seen = probabilities.argmax(1)
    for label, places in chosen.by_class.items():
        assert (seen[places] == label).all()
        assert places.tolist() == (seen == label).nonzero()[:10, 0].tolist()


def test_pairs_point_from_the_scored_images_to_places_in_the_data():
    chosen, _ = gallery(None)
    fakes, nearest = chosen.pairs
    assert fakes[:3].tolist() == [59, 58, 57]
    assert nearest[:3].tolist() == [100, 101, 102]

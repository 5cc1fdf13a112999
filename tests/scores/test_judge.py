"""The judge: what it learns from and what it does not, and that it is the same wherever it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gander.data.images import Images
from gander.engine.machine import Machine
from gander.errors import DataError
from gander.scores.classifier import Classifier, Hyperparameters, default_hyperparameters, split_data
from gander.scores.judge import Record, find_judge, held_out, judge_file, load_judge, save_judge

CPU = Machine(torch.device("cpu"), threads=1)
SHORT = Hyperparameters(epochs=4, batch=20, width=8, shift=1)


def stripes(count=200, size=12):
    """Images of two classes: stripes that lie, and stripes that stand, in noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    wave = (np.arange(size) // 2 % 2 * 120).astype(np.uint8)
    lying = np.broadcast_to(wave[:, None], (size, size))
    pixels = np.where(labels[:, None, None, None] == 0, lying, lying.T) + rng.integers(
        0, 100, (count, 3, size, size)
    )
    return Images(pixels.astype(np.uint8), labels, ("lying", "standing"), "f" * 64, "stripes", "d" * 64)


def record_of(images, accuracy=1.0):
    return Record(
        images.source, images.digest, images.classes, 3, images.size, SHORT.width,
        accuracy, len(held_out(images)), SHORT.epochs, 0, "a command", "2.0",
    )  # fmt: skip


def classifier_of(images, settings):
    return Classifier(split_data(images)[0], len(images.classes), settings, CPU)


@pytest.fixture(scope="module")
def trained():
    classifier = classifier_of(stripes(), SHORT)
    while not classifier.finished:
        classifier.train_epoch()
    return classifier


def test_it_learns_what_it_is_shown(trained):
    assert trained.accuracy(split_data(stripes())[1]) == 1.0


def test_a_tenth_of_each_class_is_held_out_and_never_learned_from(monkeypatch):
    images = stripes()
    aside = held_out(images)
    assert np.bincount(images.labels[aside]).tolist() == [10, 10]
    assert (np.diff(aside) > 0).all()
    np.testing.assert_array_equal(aside, held_out(images))
    classifier, seen = classifier_of(images, SHORT), []
    monkeypatch.setattr(classifier, "_step", lambda pixels, labels: torch.tensor(0.0))
    monkeypatch.setattr(classifier, "_augmented", lambda pixels, rng: seen.append(pixels) or pixels)
    classifier.train_epoch()
    learned = {image.numpy().tobytes() for image in torch.cat(seen)}
    assert len(learned) == 180
    assert not learned & {image.tobytes() for image in images.pixels[aside]}


def test_the_same_images_are_held_out_in_whatever_order_they_come():
    images = stripes()
    order = np.random.default_rng(1).permutation(len(images))
    mixed = replace(images, pixels=images.pixels[order], labels=images.labels[order])
    aside, mixed_aside = images.pixels[held_out(images)], mixed.pixels[held_out(mixed)]
    assert {image.tobytes() for image in aside} == {image.tobytes() for image in mixed_aside}


@pytest.mark.parametrize("stops", [1, 3])
def test_an_interrupted_training_goes_on_to_the_same_bits(trained, tmp_path, stops):
    first = classifier_of(stripes(), SHORT)
    for _ in range(stops):
        first.train_epoch()
    first.save(tmp_path / "draft")
    second = classifier_of(stripes(), SHORT)
    assert second.restore(tmp_path / "draft")
    while not second.finished:
        second.train_epoch()
    for name, tensor in trained.net.state_dict().items():
        assert torch.equal(tensor, second.net.state_dict()[name]), name


def test_a_draft_that_cannot_be_read_is_a_fresh_start(tmp_path):
    (tmp_path / "draft").write_bytes(b"half a fi")
    classifier = classifier_of(stripes(), SHORT)
    assert not classifier.restore(tmp_path / "draft")
    assert not classifier.restore(tmp_path / "nothing")
    assert classifier.epoch == 0


def test_shifts_and_mirrors_move_whole_images_and_nothing_else():
    classifier = classifier_of(stripes(), Hyperparameters(width=8, shift=1, mirror=True))
    image = torch.arange(3 * 12 * 12).reshape(1, 3, 12, 12).to(torch.uint8)
    padded = torch.nn.functional.pad(image.float(), [1] * 4, mode="reflect").to(torch.uint8)
    possible = set()
    for down in range(3):
        for along in range(3):
            moved = padded[:, :, down : down + 12, along : along + 12]
            possible |= {moved.numpy().tobytes(), moved.flip(-1).numpy().tobytes()}
    changed = classifier._augmented(image.expand(500, -1, -1, -1), torch.Generator().manual_seed(0))
    assert {one.numpy().tobytes() for one in changed} == possible


def test_cuts_are_grey_squares_anywhere():
    classifier = classifier_of(stripes(), Hyperparameters(width=8, shift=0, cut=3))
    image = torch.zeros(200, 3, 12, 12, dtype=torch.uint8)
    cut = classifier._augmented(image, torch.Generator().manual_seed(0))
    assert set(cut.unique().tolist()) == {0, 128}
    assert (cut == cut[:, :1]).all(), "all colours alike"
    painted = (cut[:, 0] == 128).sum((1, 2))
    assert set(painted.tolist()) == {4, 6, 9}  # at a corner, at an edge, inside
    assert ((cut[:, 0] == 128).any(0)).all()


def test_a_file_gives_the_same_outputs_to_half_precision(trained, tmp_path):
    images, path = stripes(), tmp_path / "judge.safetensors"
    save_judge(path, trained.net, record_of(images))
    judge = load_judge(path)
    outputs = judge.extract(images.pixels)
    assert judge.record == record_of(images)
    assert outputs.features.shape == (200, 6 * SHORT.width)
    torch.testing.assert_close(outputs.probabilities.sum(1), torch.ones(200))
    assert (outputs.probabilities.argmax(1).numpy() == images.labels).mean() == 1.0
    trained.net.eval()
    with torch.no_grad():
        features, probabilities = trained.net.compare_by(torch.from_numpy(images.pixels))
        logits = trained.net(torch.from_numpy(images.pixels))
    torch.testing.assert_close(outputs.features, features, rtol=0.02, atol=0.02)
    torch.testing.assert_close(probabilities, logits.softmax(1))


def test_the_judge_of_the_same_data_is_found_and_no_other(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path))
    images = stripes()
    with pytest.raises(DataError, match="stripes: these data have no judge yet"):
        find_judge(images)
    save_judge(judge_file(images), trained.net, record_of(images))
    assert find_judge(images).record.accuracy == 1.0


def test_images_of_another_shape_are_refused(trained, tmp_path):
    save_judge(tmp_path / "judge", trained.net, record_of(stripes()))
    judge = load_judge(tmp_path / "judge")
    for pixels in (torch.zeros(2, 1, 12, 12, dtype=torch.uint8), torch.zeros(2, 3, 12, 12)):
        with pytest.raises(DataError, match=r"the judge of stripes looks at \(3, 12, 12\) uint8"):
            judge.extract(pixels)


def test_data_without_classes_have_no_judge():
    images = stripes()
    for bad in (
        Images(images.pixels, None, (), "f", "plain"),
        Images(images.pixels, images.labels * 0, ("one",), "f", "alone"),
        Images(images.pixels[:15], images.labels[:15], images.classes, "f", "few"),
    ):
        with pytest.raises(DataError, match=f"{bad.source}: "):
            split_data(bad)
    assert len(held_out(Images(images.pixels, None, (), "f", "plain"))) == 20


def test_only_what_may_be_mirrored_is():
    digits = Images(stripes().pixels, stripes().labels, tuple("0123456789"), "f", "digits")
    assert not default_hyperparameters(digits, None, None, 0).mirror
    assert default_hyperparameters(digits, None, True, 0).mirror
    assert default_hyperparameters(digits, 7, None, 0).epochs == 7

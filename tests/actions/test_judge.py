"""A judge from Python: it reports, stops and goes on."""

from __future__ import annotations

import pytest
import torch

import gander
from gander.data.images import open_images
from gander.scores.evaluation import Reference, Samples, score_samples
from gander.scores.judge import find_judge, weakness
from tests.judged import dark_and_light, train_judge


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    return dark_and_light(tmp_path)


def test_a_judge_is_trained_kept_and_found_again(data, capsys):
    epochs, done = [], []
    trained = gander.judge(
        data,
        epochs=2,
        device="cpu",
        command="mine",
        progress=lambda more, total: done.append((more, total)),
        report=epochs.append,
    )
    assert capsys.readouterr().out == ""
    assert [(epoch.number, epoch.epochs) for epoch in epochs] == [(1, 2), (2, 2)]
    assert epochs[-1].accuracy == pytest.approx(trained.record.accuracy, abs=1e-5)
    assert {total for _, total in done} == {2 * 360}
    assert 0.9 * 720 < sum(more for more, _ in done) <= 720
    images = open_images(str(data))
    assert find_judge(images).digest == trained.digest
    assert (trained.record.command, trained.record.epochs) == ("mine", 2)
    assert repr(trained).startswith(f"judge of {data}, right on ")
    assert trained.path.parent.name == "judges"


def test_an_interrupted_judge_goes_on_to_the_same_bits(data):
    class StopError(Exception):
        pass

    def stop(epoch):
        raise StopError

    with pytest.raises(StopError):
        gander.judge(data, epochs=2, device="cpu", report=stop)
    epochs = []
    resumed = gander.judge(data, epochs=2, device="cpu", report=epochs.append)
    assert [(epoch.number, epoch.loss is None) for epoch in epochs] == [(1, True), (2, False)]
    pixels = open_images(str(data)).pixels
    outputs = resumed.extract(pixels)
    whole = gander.judge(data, epochs=2, device="cpu")
    assert torch.equal(whole.extract(pixels).features, outputs.features)


def test_a_better_judge_is_not_replaced_and_a_weak_one_is_said_to_be(data, tmp_path, caplog):
    train_judge(data)  # its record says that it is always right
    before = find_judge(open_images(str(data)))
    caplog.set_level("INFO")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gander.scores.classifier.Classifier.accuracy", lambda *_: 0.51)
        assert gander.judge(data, epochs=1, device="cpu").digest == before.digest
        assert "kept    the judge that was there: it names 100.00%" in caplog.text
        weak = gander.judge(data, epochs=1, device="cpu", seed=1)
    assert weak.digest != before.digest
    assert "guessing on 50.0%" in weakness(weak.accuracy, 2)
    assert not weakness(0.8, 2)
    assert not weakness(None, 2)
    images = open_images(str(data))
    scored = score_samples(Samples("", images.pixels[:100], None, ""), Reference(images, weak, 100))
    assert any("guessing" in caveat for caveat in scored.caveats)

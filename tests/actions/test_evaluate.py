"""Evaluation from Python: it says nothing, and gives what the command prints."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import backends

import gander
from gander.data.images import open_images
from gander.errors import UsageError
from gander.training.loop import train
from tests.judged import dark_and_light, train_judge
from tests.tiny import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANDER_CACHE", str(folder / "cache"))
        train_judge(dark_and_light(folder))
        yield train(tiny(folder, "projection"), folder / "run")


def values(evaluation):
    return {score.name: (score.value, score.floor) for score in evaluation.scores}


def test_a_run_its_path_and_its_opened_data_give_the_same(run, capsys):
    images = open_images(str(run.path.parent / "data.npz"))
    evaluation = gander.evaluate(run, n=200, device="cpu")
    assert capsys.readouterr().out == ""
    assert evaluation["label-fidelity"].floor == 1.0
    lines = repr(evaluation).splitlines()
    assert [line.split()[0] for line in lines] == [score.name for score in evaluation.scores]
    assert re.match(r"fd-judge +[\d.]+ \([\d.]+ to [\d.]+\), floor [\d.e-]+  told from real images", lines[0])
    again = gander.evaluate(str(run.path), images, 200, device="cpu")
    for name, numbers in values(evaluation).items():
        assert numbers == pytest.approx(values(again)[name], rel=1e-6), name


def test_images_in_memory_are_scored_as_those_on_disk_are(run):
    images = open_images(str(run.path.parent / "data.npz"))
    on_disk = gander.evaluate(run.path.parent / "data.npz", images, 200, device="cpu")
    assert values(gander.evaluate(images, images, 200, device="cpu"))["precision"] == pytest.approx(
        values(on_disk)["precision"]
    )
    darker = replace(images, pixels=images.pixels // 2)
    assert gander.evaluate(darker, images, 200, device="cpu")["fd-judge"].low > on_disk["fd-judge"].value


def test_the_protocol_names_the_device_and_a_training_keeps_its_settings(run):
    backends.cudnn.benchmark = True
    try:
        evaluation = gander.evaluate(run, n=100, device="cpu")
        assert backends.cudnn.benchmark
    finally:
        backends.cudnn.benchmark = False
    assert evaluation.protocol.device == "cpu"
    assert evaluation.facts()["protocol"]["device"] == "cpu"


def test_lines_are_heard_where_it_takes_long(run, monkeypatch):
    monkeypatch.setattr("gander.scores.use._QUICK_IMAGES", 3_200)
    heard = []
    evaluation = gander.evaluate(run, n=100, use="quick", device="cpu", report=heard.append)
    assert heard[0].startswith("learning from generated images: 1 of ")
    assert evaluation.use.from_real > 0.5
    assert evaluation.facts()["use"]["from_real"] == evaluation.use.from_real


def test_a_device_that_is_none_is_told(run):
    with pytest.raises(UsageError, match='device "tpu": allowed are auto, cpu, cuda, mps'):
        gander.evaluate(run, n=100, device="tpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none")
def test_a_training_in_tf32_moves_no_score(run):
    torch.set_float32_matmul_precision("highest")
    exact = gander.evaluate(run, n=200, device="cuda")
    torch.set_float32_matmul_precision("high")
    backends.cudnn.benchmark = True
    try:
        assert values(gander.evaluate(run, n=200, device="cuda")) == values(exact)
    finally:
        torch.set_float32_matmul_precision("highest")
        backends.cudnn.benchmark = False
    assert exact.protocol.device == "cuda"

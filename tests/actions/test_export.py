"""An exported generator makes the images that torch makes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gander.actions import export as export_module
from gander.actions.export import export
from gander.errors import NumericsError, UsageError
from gander.generation.load import load
from gander.training.loop import train
from tests.tiny import tiny

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter and its packages


@pytest.fixture(scope="module", params=["plain", "projection", "per class"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(tiny(folder, request.param), folder / "run")


@pytest.mark.slow
def test_onnx_gives_the_same_bytes_for_any_count(run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    made = export(run, tmp_path / "g.onnx")
    assert (made.images, made.largest <= 1) == (1000, True)
    assert made.differing < 1e-3
    session = onnxruntime.InferenceSession(str(tmp_path / "g.onnx"), providers=["CPUExecutionProvider"])
    sampler = load(run)
    latents, labels = sampler.draw(7, seed=3), torch.arange(7) % 2
    given = {"latents": latents.numpy()} | ({"labels": labels.numpy()} if sampler.conditional else {})
    (images,) = session.run(["images"], given)
    assert (images.shape, images.dtype) == ((7, 3, 8, 8), np.uint8)
    assert np.abs(images.astype(int) - sampler.images(latents, labels).numpy()).max() <= 1
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == (["circle", "square"] if sampler.conditional else [])
    assert json.loads(told["latents"])["kind"] == "normal"


@pytest.mark.slow
def test_onnx_that_makes_other_images_is_not_written(run, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    other = export_module._ToBytes.forward

    def forward(own, latents, labels=None):
        return other(own, latents * 1.5, labels)

    monkeypatch.setattr(export_module._ToBytes, "forward", forward)
    with pytest.raises(NumericsError, match=r"makes other images than torch: values up to \d+ of 255 apart"):
        export(run, tmp_path / "g.onnx")
    assert not [*tmp_path.iterdir()]


def test_safetensors_are_loaded_without_the_run(run, tmp_path):
    made = export(run, tmp_path / "g.safetensors")
    sampler = load(tmp_path / "g.safetensors")
    latents, labels = sampler.draw(5), torch.arange(5) % 2
    assert torch.equal(sampler.images(latents, labels), load(run).images(latents, labels))
    told = json.loads(made.files[1].read_text())
    assert told["input"]["latents"] == ["N", 4]
    assert {*told["tensors"]} == {*sampler.generator.state_dict()}
    folder = str(run.path.parent).encode()
    assert folder in run.generator_file.read_bytes()
    assert folder not in made.files[0].read_bytes(), "it tells nothing of where it was made"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("g.onx", r"end in .onnx, .safetensors.*did you mean"),
        ("there.onnx", "is already there"),
        ("no/g.onnx", "there is no folder"),
    ],
)
def test_mistakes_are_told_and_nothing_is_overwritten(run, tmp_path, name, told):
    (tmp_path / "there.onnx").write_text("mine")
    with pytest.raises(UsageError, match=f"(?s){told}"):
        export(run, tmp_path / name)
    assert (tmp_path / "there.onnx").read_text() == "mine"


def test_a_missing_package_is_told(run, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="pip install onnx onnxruntime onnxscript"):
        export(run, tmp_path / "g.onnx")

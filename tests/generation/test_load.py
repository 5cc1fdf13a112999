"""A trained generator as one object and one file: the run's own nets, latents and class names."""

from __future__ import annotations

import json
import shutil

import pytest
import safetensors.torch
import torch

from gander.errors import CheckpointError, UsageError, exit_code
from gander.generation import load as load_module
from gander.generation.load import load
from gander.training.checkpoint import newest_checkpoint
from gander.training.loop import train
from tests.tiny import tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train each flavour once."""
    runs = {}

    def run(flavour):
        if flavour not in runs:
            folder = tmp_path_factory.mktemp("run")
            runs[flavour] = train(tiny(folder, flavour), folder / "run")
        return runs[flavour]

    return run


def pictures(sampler, n=12, seed=0):
    return sampler.images(sampler.draw(n, seed), torch.arange(n) % 2)


@pytest.mark.parametrize("flavour", ["plain", "projection", "per class"])
def test_a_generator_is_loaded_from_a_run_its_path_or_its_file_alone(flavour, trained, tmp_path, monkeypatch):
    run = trained(flavour)
    alone = shutil.copy(run.generator_file, tmp_path / "mine.safetensors")
    monkeypatch.setenv("GANDER_RUNS", str(run.path.parent))
    first, *others = [load(given) for given in (run, run.path, run.name, str(run.generator_file), alone)]
    images = pictures(first)
    assert images.shape == (12, 3, 8, 8)
    assert images.dtype == torch.uint8
    assert {parameter.device.type for parameter in first.generator.parameters()} == {"cpu"}
    assert first.classes == ("circle", "square")
    assert all(torch.equal(pictures(other), images) for other in others)


def test_what_is_loaded_is_the_average_not_the_generator_in_training(trained):
    run = trained("projection")
    saved = newest_checkpoint(run)[0].tensors
    loaded = load(run).generator.state_dict()
    assert all(torch.equal(loaded[name], saved[f"average.{name}"]) for name in loaded)
    assert not all(torch.equal(loaded[name], saved[f"g.{name}"]) for name in loaded)


def test_each_class_of_a_run_of_one_gan_a_class_comes_from_its_own_net(trained):
    run = trained("per class")
    saved, sampler = newest_checkpoint(run)[0].tensors, load(run)
    latents = sampler.draw(6)
    of_class = [sampler.images(latents, torch.full((6,), label)) for label in range(2)]
    assert not torch.equal(*of_class)
    mixed = sampler.images(latents, torch.tensor([0, 1, 1, 0, 1, 0]))
    for place, label in enumerate([0, 1, 1, 0, 1, 0]):
        assert torch.equal(mixed[place], of_class[label][place])
    for label, prefix in enumerate(("done.0.", "g.")):  # no average of their own
        own = sampler.generator.generators[label].state_dict()
        assert all(torch.equal(own[name], saved[prefix + name]) for name in own)


def test_equal_seeds_give_equal_images_whatever_was_drawn_before(trained):
    sampler = load(trained("projection"))
    images = pictures(sampler, seed=3)
    torch.manual_seed(5)
    assert torch.equal(pictures(sampler, seed=3), images)
    assert not torch.equal(pictures(sampler, seed=4), images)
    before = torch.get_rng_state()
    pictures(sampler)
    assert torch.equal(torch.get_rng_state(), before), "no training stream is touched"


@pytest.mark.parametrize("flavour", ["plain", "projection", "per class"])
def test_the_size_of_a_batch_does_not_change_an_image(flavour, trained, monkeypatch):
    sampler = load(trained(flavour))
    whole = pictures(sampler).int()
    for at_once in (1, 5):
        monkeypatch.setattr(load_module, "BLOCK", at_once)
        assert (pictures(sampler).int() - whole).abs().max() <= 1, "beyond the rounding of a level"


def test_a_generator_in_training_stays_in_training_and_is_sampled_as_after_it(trained):
    sampler = load(trained("plain"))
    images = pictures(sampler)
    sampler.generator.train()
    assert torch.equal(pictures(sampler), images)
    assert sampler.generator.training


def test_latents_come_from_the_distribution_of_the_run(trained):
    uniform, normal = load(trained("d_steps")).draw(1000), load(trained("plain")).draw(1000)
    assert uniform.shape == normal.shape == (1000, 4)
    assert uniform.abs().max() <= 1
    assert normal.abs().max() > 2


def test_labels_that_do_not_fit_are_told(trained):
    sampler = load(trained("projection"))
    latents = sampler.draw(4)
    every = r"0 to 1 \(circle, square\)"
    for labels, message in (
        (None, f"asked for a class an image, {every}"),
        (torch.tensor([0, 1, 2, 0]), f"labels: 2; allowed are {every}"),
        (torch.tensor([0, -1, 1, 0]), f"labels: -1; allowed are {every}"),
        (torch.tensor([0, 1, 1]), r"int64 \(3,\); allowed are whole numbers \(4,\)"),
        (torch.tensor([0.0, 1, 1, 0]), r"float32 \(4,\); allowed are whole numbers"),
    ):
        with pytest.raises(UsageError, match=rf"(?s){message}.*labels=torch.arange\(4\) % 2"):
            sampler.images(latents, labels)
    assert load(trained("plain")).images(latents).shape == (4, 3, 8, 8)


def test_a_device_that_is_not_there_is_told(trained):
    with pytest.raises(UsageError, match=r'device "toaster": .*toaster'):
        load(trained("plain"), device="toaster")


def test_classes_are_asked_for_by_name_or_number(trained):
    sampler = load(trained("projection"))
    assert [sampler.label(name) for name in ("circle", "square", "0", "1")] == [0, 1, 0, 1]
    for name in ("sqare", "2", "-1", ""):
        with pytest.raises(UsageError, match="there are circle, square"):
            sampler.label(name)
    with pytest.raises(UsageError, match=r'class "sqare": .*did you mean "square"\?'):
        sampler.label("sqare")
    with pytest.raises(UsageError, match="this generator knows no classes"):
        load(trained("plain")).label("circle")


def test_a_run_that_never_saved_says_what_to_do(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"a run writes it with its first checkpoint(.|\n)*gander resume"
    ):
        load(tmp_path / "run" / "generator.safetensors")


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-7],
    "longer": lambda content: content + b"\0",
    "no safetensors": lambda content: b"\x80\x04\x95" + content[3:],
    "header": lambda content: content[:20] + b"\xff" + content[21:],
    "no recipe": lambda content: content.replace(b"gander", b"gender", 1),
    "torn recipe": lambda content: content.replace(b"generator", b"\\u000aerat", 1),
    "other net": lambda content: content.replace(b"width = 8", b"width = 7", 1),
    "other class count": lambda content: content.replace(b'num_classes\\": 2', b'num_classes\\": 3', 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_line_and_exit_7(damage, trained, tmp_path):
    path = tmp_path / "generator.safetensors"
    whole = trained("projection").generator_file.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert path.read_bytes() != whole
    with pytest.raises(CheckpointError, match="is not a generator that can be read") as caught:
        load(path)
    assert exit_code(caught.value) == 7
    assert len(str(caught.value).splitlines()) == 1


def test_a_safetensors_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    for about in (None, {"format": "pt"}, {"gander": "[]"}, {"gander": json.dumps({"recipe": "x = 1"})}):
        safetensors.torch.save_file({"w": torch.zeros(3)}, path, about)
        with pytest.raises(CheckpointError, match="is not a generator"):
            load(path)


def test_a_bit_turned_anywhere_in_a_generator_is_seen_or_changes_nothing(trained, tmp_path):
    run, file = trained("plain"), tmp_path / "turned.safetensors"
    whole, refused = run.generator_file.read_bytes(), 0
    for place in range(0, len(whole), len(whole) // 60):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            assert torch.equal(pictures(load(file)), pictures(load(run)))
        except CheckpointError:
            refused += 1
    assert refused >= 55
    weights = safetensors.torch.load_file(run.generator_file)
    about, _ = load_module.read_weights(run.generator_file)
    safetensors.torch.save_file(weights, file, {"gander": json.dumps(about)})
    assert torch.equal(pictures(load(file)), pictures(load(run))), "a file of before has no digest"
    weights["layers.0.weight"].view(-1)[0] = float("nan")
    load_module.write_weights(file, about, weights)
    with pytest.raises(CheckpointError, match="is not finite"):
        load(file)

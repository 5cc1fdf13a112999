"""Data are found by name or path, and found again from anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from gander.data.images import is_data, open_images
from gander.generation.source import real_images
from gander.training.loop import resume
from tests.tiny import stopped_run, tiny


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders; the first, in which we are, has `myfolder` with images."""
    (tmp_path / "one" / "myfolder").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    tiny(tmp_path / "one" / "myfolder")
    monkeypatch.chdir(tmp_path / "one")
    return tmp_path


@pytest.mark.parametrize("source", ["myfolder", "./myfolder", "myfolder/data.npz"])
def test_data_of_a_run_are_found_from_any_folder(source, folders, monkeypatch):
    recipe = tiny(folders / "one" / "myfolder", patch={"data": {"source": source, "path": ""}})
    run = stopped_run(recipe, folders / "run", steps=5)
    monkeypatch.chdir(folders / "other")
    assert len(real_images(run)) == 64
    resume(run)
    assert run.trained_images() == recipe.train.images


def test_what_is_a_path_is_one_rule(folders, monkeypatch):
    place = str(folders / "one" / "myfolder")
    for source in ("myfolder", "./myfolder", place):
        images = open_images(source)
        assert (images.name, images.path, images.source) == ("", place, source)
        assert is_data(source)
    images = open_images("mnist", "myfolder")  # a known name names what files only number
    assert (images.name, images.path) == ("mnist", place)
    (folders / "one" / "shapes").mkdir()
    images = open_images("shapes", split="test")  # a name, though a folder has it
    assert (images.name, images.path) == ("shapes", "")
    assert not any(map(is_data, ("yourfolder", "./yourfolder", "a.npz", "cifar-10")))
    np.savez("large-00000-of-00001.npz", images=np.zeros((2, 8, 8), np.uint8))
    assert is_data("large.npz")

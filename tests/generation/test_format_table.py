"""A format is registered in one place, and everything that speaks of formats knows it."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from gander.actions.generate import generate
from gander.cli.main import app
from gander.data.formats import all as table
from gander.data.formats.format import WrittenFormat
from gander.data.images import is_data, open_images
from gander.data.origins import Contents, array_entries
from gander.errors import DataError, UsageError
from gander.generation import draft
from gander.training.loop import train
from tests.tiny import tiny


class Rows(WrittenFormat):
    """A byte a label, then the pixels of an 8 x 8 colour image, and so on."""

    reads = "files of rows"
    suffixes = (".rows",)
    names = ("rows",)
    about = "a byte a label, then pixels"
    loading = 'rows = open("{{ first }}", "rb").read()'
    png = False

    def read(self, path, name, split):
        rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 193)
        return Contents(array_entries(name, rows[:, 1:].reshape(-1, 8, 8, 3), rows[:, 0]), True)

    def write(self, path, batches, layout):
        with path.open("wb") as file:
            for batch in batches:
                flat = batch.images.transpose(0, 2, 3, 1).reshape(len(batch.images), -1)
                file.write(np.hstack([batch.labels[:, None].astype(np.uint8), flat]).tobytes())


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(table, "FORMATS", [Rows(), *table.FORMATS])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(tiny(folder, "projection"), folder / "run")


def test_a_registered_format_is_written_and_read(rows, run, tmp_path, monkeypatch):
    monkeypatch.setattr(draft, "PART", 256)
    generate(run, 600, tmp_path / "npz", "npz", device="cpu")
    expected = open_images(str(tmp_path / "npz"))
    for target, format in ((tmp_path / "mine.rows", None), (tmp_path / "folder", "rows")):
        made = generate(run, 600, target, format, device="cpu")
        images = open_images(str(target))
        assert np.array_equal(images.pixels, expected.pixels)
        assert np.array_equal(images.labels, expected.labels)
        card = made.page.read_text()
        assert f'rows = open("{made.files[0].relative_to(tmp_path)}", "rb").read()' in card
    monkeypatch.setattr(draft, "LARGEST", 1)
    made = generate(run, 600, tmp_path / "many.rows", device="cpu")
    assert [file.name for file in made.files] == [f"many-0000{number}-of-00003.rows" for number in range(3)]
    assert np.array_equal(open_images(str(tmp_path / "many.rows")).pixels, expected.pixels)


def test_a_registered_format_is_in_every_message_and_in_the_help(rows, run, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="allowed: files of rows, a folder of parquet"):
        open_images(str(tmp_path))
    with pytest.raises(DataError, match="there is no such file"):
        open_images("missing.rows")  # a path by its suffix, and no mistyped name
    assert not is_data("missing.rows")
    with pytest.raises(UsageError, match=r'allowed are rows, parquet.*did you mean "rows"'):
        generate(run, 5, tmp_path / "out", "row")
    with pytest.raises(UsageError, match=r'no format is called rowz.*did you mean "rows"'):
        generate(run, 5, tmp_path / "out.rowz")
    with pytest.raises(UsageError, match="is named like rows, and --format says npz"):
        generate(run, 5, tmp_path / "out.rows", "npz")
    shown = CliRunner().invoke(app, ["generate", "--help"]).output
    assert "rows" in shown.split("Formats:")[1]
    assert "a byte a label, then pixels" in shown


def test_without_the_registration_nobody_knows_it(run, tmp_path):
    (tmp_path / "mine.rows").write_bytes(bytes(193))
    with pytest.raises(DataError, match="nothing here can be read"):
        open_images(str(tmp_path / "mine.rows"))
    with pytest.raises(UsageError, match="no format is called rows"):
        generate(run, 5, tmp_path / "out.rows")

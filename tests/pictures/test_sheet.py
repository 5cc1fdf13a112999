import numpy as np
import pytest
from PIL import Image

from gander.errors import StorageError, UsageError
from gander.pictures.sheet import contact_sheet, save_png

BACKGROUND = 232


def numbered(count, channels=3, side=4):
    """Images of one shade each: its place in the row."""
    return np.broadcast_to(
        np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), (count, channels, side, side)
    ).copy()


def test_images_lie_row_by_row_with_gaps_of_two_pixels():
    sheet = np.asarray(contact_sheet(numbered(5, channels=1), columns=3, scale=1))
    assert sheet.shape == (2 * 6 + 2, 3 * 6 + 2)
    for place in range(5):
        top, left = 2 + 6 * (place // 3), 2 + 6 * (place % 3)
        assert (sheet[top : top + 4, left : left + 4] == place).all()
    assert (sheet[8:, 14:] == BACKGROUND).all(), "the place of the sixth image stays empty"
    assert (sheet[:2] == BACKGROUND).all()


def test_enlarging_repeats_pixels_and_invents_no_shade():
    image = np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4)
    sheet = np.asarray(contact_sheet(image, columns=1, scale=5))[2:-2, 2:-2]
    assert (sheet[::5, ::5].transpose(2, 0, 1) == image[0]).all()
    assert (sheet == sheet[::5, ::5].repeat(5, axis=0).repeat(5, axis=1)).all()


@pytest.mark.parametrize(("columns", "side"), [(8, 32), (10, 28), (10, 32), (4, 64), (1, 32)])
def test_a_sheet_is_enlarged_to_what_a_screen_shows(columns, side):
    width, _ = contact_sheet(numbered(columns, side=side), columns).size
    assert 640 <= width <= 1002


def test_an_image_wider_than_the_screen_keeps_its_size():
    assert contact_sheet(numbered(20, side=128), columns=20).width == 20 * 130 + 2


def test_row_names_add_a_margin_and_leave_the_images_alone():
    plain = contact_sheet(numbered(4), columns=2, scale=8)
    named = contact_sheet(numbered(4), columns=2, scale=8, row_names=["cat", "automobile"])
    margin = named.width - plain.width
    assert margin > 40
    assert named.crop((margin, 0, *named.size)).tobytes() == plain.tobytes()
    assert np.asarray(named)[:, :margin].min() < 100, "the names are written dark on light"


@pytest.mark.parametrize("names", [["cat"], ["cat", "dog", "frog"]])
def test_names_that_do_not_fit_the_rows_are_refused(names):
    with pytest.raises(UsageError, match="2 rows takes 2 row names"):
        contact_sheet(numbered(4), columns=2, row_names=names)


@pytest.mark.parametrize(
    "images", [numbered(4).astype(np.float32), numbered(4)[0], numbered(4, channels=2), numbered(0)]
)
def test_what_is_no_batch_of_images_is_refused(images):
    with pytest.raises(UsageError, match="takes uint8 images of shape"):
        contact_sheet(images, columns=2)


def test_a_saved_sheet_is_whole_equal_byte_for_byte_and_alone(tmp_path):
    sheet = contact_sheet(numbered(6), columns=3, scale=2)
    save_png(sheet, tmp_path / "a.png")
    save_png(sheet, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").tobytes() == sheet.tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"absent/a\.png: cannot be written"):
        save_png(contact_sheet(numbered(1), 1), tmp_path / "absent" / "a.png")

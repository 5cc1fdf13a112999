"""Every format gives the same images; everything that is wrong is named in one pass."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import json
import os
import pickle
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gander.data.formats.pickles import unpickle
from gander.data.images import open_images
from gander.errors import DataError

NAMES = ("ant", "bee", "cat")


def drawn(count: int = 12, side: int = 32, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C) and labels."""
    rng = np.random.default_rng(side * channels)
    images = rng.integers(0, 256, (count, side, side, channels), np.uint8)
    return images, np.arange(count) % len(NAMES)


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, kind)
    return file.getvalue()


def write_parquet(path: Path, cells: list[bytes | None], labels: list | None, names=NAMES) -> None:
    struct = pa.array([{"bytes": cell, "path": None} for cell in cells])
    columns = {"image": struct} if labels is None else {"image": struct, "label": pa.array(labels)}
    about = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(table, path)


def same(images, pixels: np.ndarray, labels: np.ndarray | None) -> bool:
    equal = np.array_equal(images.pixels, pixels.transpose(0, 3, 1, 2))
    return equal and (images.labels is None if labels is None else np.array_equal(images.labels, labels))


def test_parquet_shards_follow_one_another_and_their_names_choose_the_split(tmp_path):
    pixels, labels = drawn()
    cells = [encoded(image) for image in pixels]
    for number, part in enumerate((slice(0, 5), slice(5, 10))):
        write_parquet(tmp_path / f"train-0000{number}-of-00002.parquet", cells[part], [*labels[part]])
    write_parquet(tmp_path / "test-00000-of-00001.parquet", cells[10:], [*labels[10:]])
    train, test = open_images(path=str(tmp_path)), open_images(path=str(tmp_path), split="test")
    assert same(train, pixels[:10], labels[:10])
    assert same(test, pixels[10:], labels[10:])
    assert train.classes == NAMES
    assert [*train.counts()] == [4, 3, 3]
    assert same(open_images(str(tmp_path / "test-00000-of-00001.parquet")), pixels[10:], labels[10:])


def test_a_split_that_is_not_there_is_an_error_that_names_what_is(tmp_path):
    write_parquet(tmp_path / "train-0.parquet", [encoded(drawn()[0][0])], [0])
    with pytest.raises(DataError, match=r'split "test"; there is: train-0\.parquet'):
        open_images(path=str(tmp_path), split="test")


def cifar_batch(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    flat = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    return pickle.dumps({b"data": flat, b"labels": labels.tolist()}, protocol=2)


def test_the_official_cifar_batches_are_read_as_a_folder_and_as_an_archive(tmp_path):
    pixels, labels = drawn(10)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"ant", b"bee", b"cat"]}, 2))
    for number in range(5):
        part = slice(2 * number, 2 * number + 2)
        (folder / f"data_batch_{number + 1}").write_bytes(cifar_batch(pixels[part], labels[part]))
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    for place in (folder, tmp_path, archive):
        images = open_images(path=str(place))
        assert same(images, pixels, labels)
        assert images.classes == NAMES
    (folder / "data_batch_3").unlink()
    with pytest.raises(DataError, match="data_batch_3: this file is missing"):
        open_images(path=str(folder))


def test_a_pickle_that_calls_anything_is_refused_before_it_does(tmp_path):
    mark = tmp_path / "called"

    class Trap:
        def __reduce__(self):
            return (mark.touch, ())

    class Trick:
        def __reduce__(self):
            return (getattr, (np.ndarray, "tofile"))

    for trap in (Trap(), Trick(), {b"data": [Trap()]}):
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            unpickle(pickle.dumps(trap, protocol=2))
    assert not mark.exists()
    assert unpickle(cifar_batch(*drawn(3)))[b"labels"] == [0, 1, 2]


class Calls:
    """What a pickle may ask for: a call, and then a state."""

    def __init__(self, called, *given, state=None):
        self.reduced = (called, given, state)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "made",
    [
        Calls(np.ndarray, (2,), np.dtype("O")),  # its addresses would be the file's
        Calls(np.ndarray, (1 << 40,), np.dtype("u1")),
        Calls(np.dtype, "V2000000000"),
        np.array([{}, {}], object),
        np.zeros((2, 3), np.int64),
        np.asfortranarray(np.zeros((2, 3), np.uint8)),
        Calls(codecs.encode, "text", "rot13"),
        Calls(np.ndarray, state={"__call__": 1}),
    ],
)
def test_a_pickle_makes_no_array_but_of_bytes_that_it_holds(made):
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        unpickle(pickle.dumps({b"data": made}, 2))


def test_a_small_pickle_takes_little_memory(tmp_path):
    text = b"X" + (1 << 20).to_bytes(4, "little") + b"a" * (1 << 20) + b"q\x01"
    encode = b"c_codecs\nencode\nq\x02h\x01X\x06\0\0\0latin1\x86R"
    again = (b"h\x02" + encode.partition(b"q\x02")[2]) * 100
    for bomb in (
        b"\x80\x02](" + text + encode + again + b"e.",  # a hundred copies
        b"\x80\x02}r\xff\xff\xff\xff.",  # a memo of four thousand million places
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
    ):
        tracemalloc.start()
        with contextlib.suppress(Exception):
            unpickle(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 27
        tracemalloc.stop()


def test_a_label_that_is_a_list_of_lists_is_not_written_out(tmp_path):
    label: list = []
    for _ in range(60):  # in full it would be two to the sixtieth long
        label = [label, label]
    batch = pickle.loads(cifar_batch(*drawn(1))) | {b"labels": [label]}
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [label]}, 2))
    with pytest.raises(DataError, match="label_names are not texts"):
        open_images(path=str(folder))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"ant"]}, 2))
    for number in range(1, 6):
        (folder / f"data_batch_{number}").write_bytes(pickle.dumps(batch, 2))
    with pytest.raises(DataError, match="a list of whole numbers"):
        open_images(path=str(folder))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read_with_and_without_gzip(tmp_path, suffix):
    pixels, labels = drawn(6, 28, 1)
    for word, array in (("images-idx3", pixels[..., 0]), ("labels-idx1", labels)):
        head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
        content = head + array.astype(np.uint8).tobytes()
        path = tmp_path / f"t10k-{word}-ubyte{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
    images = open_images("mnist", str(tmp_path), split="test")
    assert same(images, pixels, labels)
    assert images.classes == tuple("0123456789"), "a known name names what files only number"
    path = tmp_path / f"t10k-labels-idx1-ubyte{suffix}"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="labels-idx1"):
        open_images("mnist", str(tmp_path), split="test")


def test_class_folders_and_flat_folders(tmp_path):
    pixels, labels = drawn()
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = tmp_path / "sorted" / "train" / NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:02}.png").write_bytes(encoded(image))
        (tmp_path / f"{index:02}.bmp").write_bytes(encoded(image, "BMP"))
    order = np.argsort(labels, kind="stable")
    images = open_images(str(tmp_path / "sorted"))
    assert same(images, pixels[order], labels[order])
    assert images.classes == NAMES
    flat = open_images(str(tmp_path))
    assert same(flat, pixels, None)
    assert flat.classes == ()
    with pytest.raises(DataError, match='no folder of the split "test"; there is: train'):
        open_images(str(tmp_path / "sorted"), split="test")


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)])
def test_an_npz_may_have_its_channels_first_or_last(tmp_path, axes):
    pixels, labels = drawn()
    np.savez(
        tmp_path / "a.npz", images=pixels.transpose(axes), labels=labels[:, None], classes=np.array(NAMES)
    )
    images = open_images(str(tmp_path / "a.npz"))
    assert same(images, pixels, labels)
    assert images.classes == NAMES


def test_an_npz_of_the_keras_kind_has_both_splits(tmp_path):
    pixels, labels = drawn(side=28, channels=1)
    grey = pixels[..., 0]
    np.savez(tmp_path / "m.npz", x_train=grey[:8], y_train=labels[:8], x_test=grey[8:], y_test=labels[8:])
    assert same(open_images(str(tmp_path / "m.npz")), pixels[:8], labels[:8])
    assert same(open_images(str(tmp_path / "m.npz"), split="test"), pixels[8:], labels[8:])


def test_an_npz_of_floats_or_of_objects_is_refused(tmp_path):
    np.savez(tmp_path / "f.npz", images=np.zeros((2, 8, 8), np.float32))
    with pytest.raises(DataError, match="float32 values; allowed is uint8"):
        open_images(str(tmp_path / "f.npz"))
    np.savez(tmp_path / "o.npz", images=np.array([{}, {}], object))
    with pytest.raises(DataError, match="allow_pickle=False"):
        open_images(str(tmp_path / "o.npz"))


def write_zip(path: Path, pixels: np.ndarray, labels: list | None) -> None:
    names = [f"00000/img{index:08}.png" for index in range(len(pixels))]
    with zipfile.ZipFile(path, "w") as archive:
        for name, image in zip(names, pixels, strict=True):
            archive.writestr(name, encoded(image))
        pairs = None if labels is None else [*zip(names, labels, strict=True)]
        archive.writestr("dataset.json", json.dumps({"labels": pairs}))


def test_a_stylegan_zip_may_have_labels_or_none(tmp_path):
    pixels, labels = drawn()
    write_zip(tmp_path / "l.zip", pixels, labels.tolist())
    write_zip(tmp_path / "n.zip", pixels, None)
    assert same(open_images(str(tmp_path / "l.zip")), pixels, labels)
    assert same(open_images(str(tmp_path / "n.zip")), pixels, None)


def test_every_bad_image_and_label_is_named_in_one_pass(tmp_path):
    pixels, _ = drawn(3)
    good = encoded(pixels[0])
    wide, small = np.zeros((8, 9, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    cells = [
        good,
        good[:200],
        b"",
        b"GIF89a and no image",
        encoded(wide),
        encoded(small),
        None,
        good,
        good,
        good,
    ]
    cells += [encoded(np.zeros((16, 16, 3), np.uint8)), b"text"]
    labels = [0.0, 1, 1, 1, 1, 1, 1, float("nan"), -1, 3, None, 1.5]
    write_parquet(tmp_path / "data.parquet", cells, labels)
    with pytest.raises(DataError) as caught:
        open_images(str(tmp_path))
    head, *lines = caught.value.problems
    assert "11 images, labels or files" in head
    reasons = dict(line.removeprefix("data.parquet").split(": ", 1) for line in lines)
    expected = {
        "[1]": "truncated",
        "[2]": "zero bytes",
        "[3]": "not an image",
        "[4]": "9 x 8 pixels is not square",
        "[5]": "4 x 4 pixels; 8 to 128",
        "[6]": "zero bytes",
        "[7]": "NaN",
        "[8]": "-1.0 is outside 0..2",
        "[9]": "3.0 is outside 0..2",
        "[10]": "16 x 16 pixels, where the first image has 32 x 32; no label",
        "[11]": "that is read (PNG, JPEG, WEBP, BMP, GIF, TIFF); the label 1.5 is not whole",
    }
    assert reasons.keys() == expected.keys()
    for place, reason in expected.items():
        assert reason in reasons[place]
    assert same(open_images(str(tmp_path), skip_bad=True), pixels[:1], np.zeros(1))


def test_more_than_twenty_problems_are_listed_by_their_causes(tmp_path):
    sizes = [encoded(np.zeros((8 + extra, 8, 3), np.uint8)) for extra in range(1, 24)]
    cells = [encoded(drawn()[0][0]), *[b"no"] * 2, *sizes]
    write_parquet(tmp_path / "data.parquet", cells, [0] * len(cells))
    with pytest.raises(DataError) as caught:
        open_images(str(tmp_path))
    head, *lines = caught.value.problems
    assert "25 images, labels or files" in head
    assert lines[0] == "data.parquet[3]: 8 x 9 pixels is not square; and 22 like it"
    assert lines[1].endswith("; and 1 like it")
    assert len(lines) == 2
    assert "data.size=32" in caught.value.hint


WORDS = "cat", "ant", "bee"


def write_csv(path: Path, pixels: np.ndarray, place: str, labels: list, header: list | None = None) -> None:
    """Values an image a line with the labels, and their name, first or last; `header` instead of names."""
    rows = [[f"pixel{place}" for place in range(pixels[0].size)], *pixels.reshape(len(pixels), -1).tolist()]
    for row, value in zip(rows, labels, strict=True):
        row.insert(0 if place == "first" else len(row), value)
    if header is not None:
        rows[:1] = [header] * bool(header)
    path.write_text("\n".join(",".join(map(str, row)) for row in rows))


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("header", ["none", "counted", "label", "digit"])
def test_the_labels_of_a_csv_are_found_at_either_end(tmp_path, place, header):
    """As numpy.savetxt and pandas write them: without a header, with one that only counts, or with names."""
    pixels, labels = drawn(60, 8, 3)
    bare = {"none": [], "counted": [*range(193)]}.get(header)
    write_csv(tmp_path / "a.csv", pixels, place, [header, *labels.tolist()], bare)
    images = open_images(str(tmp_path / "a.csv"))
    assert same(images, pixels, labels)
    assert bool(images.notes) == (bare is not None)


def test_a_csv_whose_labels_could_stand_at_both_ends_is_refused_unless_one_is_chosen(tmp_path):
    pixels, labels = drawn(12, 8, 1)
    pixels[:, 0, 0] = labels[:, None]
    write_csv(tmp_path / "a.csv", pixels, "last", ["label", *labels.tolist()], [])
    with pytest.raises(DataError, match="nothing says whether the first or the last column"):
        open_images(str(tmp_path / "a.csv"))
    assert same(open_images(str(tmp_path / "a.csv"), columns=("", "last")), pixels, labels)


def test_a_csv_of_whole_floats_with_words_as_labels_and_other_columns_is_read(tmp_path):
    pixels, labels = drawn(12, 8, 1)
    write_csv(tmp_path / "a.csv", pixels.astype(float), "last", ["target", *(WORDS[each] for each in labels)])
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(f"{n or ''},{line}" for n, line in enumerate(lines)))
    images = open_images(str(tmp_path / "a.csv"))
    assert images.classes == ("ant", "bee", "cat")
    assert same(images, pixels, (labels + 2) % 3)
    assert images.notes == ('ignored columns: ""',)


def test_parquet_columns_of_other_names_are_found_or_chosen_and_the_others_named(tmp_path):
    pixels, labels = drawn()
    cells = pa.array([{"bytes": encoded(image), "path": None} for image in pixels])
    table, path = {"image": cells, "fine_label": labels, "source": ["web"] * 12}, tmp_path / "a.parquet"
    pq.write_table(pa.table(table), path)
    images = open_images(str(path))
    assert same(images, pixels, labels)
    assert images.notes == ("ignored columns: source",)
    pq.write_table(pa.table(table | {"coarse_label": labels % 2}), path)
    with pytest.raises(DataError, match="fine_label and coarse_label could each be"):
        open_images(str(path))
    assert same(open_images(str(path), columns=("", "coarse_label")), pixels, labels % 2)
    with pytest.raises(DataError, match=r'no such column.* did you mean "coarse_label"'):
        open_images(str(path), columns=("", "coarse_labl"))


def test_folders_without_images_are_no_classes(tmp_path):
    for name in ("ant", "bee", "empty", "__MACOSX"):
        (tmp_path / name).mkdir()
        if name != "empty":
            (tmp_path / name / "0.gif").write_bytes(encoded(drawn(1)[0][0], "GIF"))
    images = open_images(str(tmp_path))
    assert images.classes == ("ant", "bee")
    assert images.notes == ("passed over, as no image lies in them: empty",)


def test_an_npz_of_other_names_one_hot_labels_or_words_is_read(tmp_path):
    pixels, labels = drawn()
    path = tmp_path / "a.npz"
    np.savez(path, train_images=pixels[:8], train_labels=labels[:8, None], test_images=pixels[8:])
    assert same(open_images(str(path)), pixels[:8], labels[:8])
    np.savez(path, X=pixels, y=np.eye(3)[labels])
    assert same(open_images(str(path)), pixels, labels)
    np.savez(path, X=pixels, y=np.array(WORDS)[labels])
    images = open_images(str(path))
    assert images.classes == ("ant", "bee", "cat")
    assert same(images, pixels, (labels + 2) % 3)
    np.savez(path, X=pixels, y=np.ones((12, 3)))
    with pytest.raises(DataError, match="labels of 3 numbers an image"):
        open_images(str(path))


def test_floats_and_foreign_files_are_refused_with_the_python_that_converts_them(tmp_path):
    images = np.linspace(0, 1, 2 * 64).reshape(2, 8, 8)
    for number, values in enumerate((images, 2 * images - 1, images * 9 - 3)):
        np.savez(tmp_path / f"{number}.npz", images=values)
        with pytest.raises(DataError, match="float64 values; allowed is uint8") as caught:
            open_images(str(tmp_path / f"{number}.npz"))
        made = eval(str(caught.value).rpartition(": ")[2], {"images": values})
        assert (made.dtype, made.min(), made.max()) == (np.uint8, 0, 255)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "data-00000-of-00001.arrow").touch()
    with pytest.raises(DataError, match="load_from_disk"):
        open_images(str(tmp_path / "hub"))


def test_counts_of_images_and_labels_must_agree(tmp_path):
    pixels, labels = drawn()
    np.savez(tmp_path / "a.npz", images=pixels, labels=labels[:-1])
    with pytest.raises(DataError, match="12 images, but 11 labels"):
        open_images(str(tmp_path / "a.npz"))


def test_damaged_files_of_every_format_are_data_errors(tmp_path):
    for name in ("a.npz", "a.zip", "a.parquet", "a.tar.gz", "train-images-idx3-ubyte"):
        (tmp_path / name).write_bytes(b"PK\3\4 this is nothing")
        with pytest.raises(DataError, match=r"a\.|idx"):
            open_images(str(tmp_path / name) if name.startswith("a") else str(tmp_path))
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match="nothing here can be read; allowed: a folder of parquet"):
        open_images(str(tmp_path))


def test_a_file_damaged_anywhere_is_read_or_is_a_data_error(tmp_path, monkeypatch):
    """Bits flipped and ends cut off, at random places."""
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    pixels, labels = drawn(6, 8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=labels)
    write_zip(tmp_path / "a.zip", pixels, labels.tolist())
    write_parquet(tmp_path / "a.parquet", [encoded(image) for image in pixels], [*labels])
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name in (f"data_batch_{number}" for number in range(1, 6)):
            member = tarfile.TarInfo(name)
            batch = cifar_batch(*drawn(2))
            member.size = len(batch)
            archive.addfile(member, io.BytesIO(batch))
    rng = np.random.default_rng(0)
    for path in sorted(tmp_path.glob("a.*")):
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        open_images(str(path))
        for round_ in range(25):
            broken = whole[: rng.integers(len(whole))].copy() if round_ % 5 == 0 else whole.copy()
            broken[rng.integers(len(broken), size=3)] ^= np.uint8(1 << rng.integers(8))
            path.write_bytes(broken.tobytes())
            with contextlib.suppress(DataError):
                open_images(str(path))


def write_all(folder: Path, **images: Image.Image) -> str:
    for name, image in images.items():
        image.save(folder / f"{name}.png")
    return str(folder)


def test_every_mode_becomes_grey_or_colour(tmp_path):
    """Transparent becomes white; 16 bits become 8; palettes and CMYK become RGB; grey joins colour."""
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    write_all(
        tmp_path,
        a_grey=Image.new("L", (8, 8), 7),
        b_bits=Image.new("1", (8, 8), 1),
        c_deep=Image.fromarray(np.full((8, 8), 257 * 9, np.uint16)),
        d_palette=red.convert("P"),
        e_clear=Image.new("RGBA", (8, 8), (255, 0, 0, 0)),
        f_grey_clear=Image.new("LA", (8, 8), (0, 0)),
    )
    red.convert("CMYK").save(tmp_path / "g.jpg", quality=100)
    pixels = open_images(str(tmp_path)).pixels
    assert pixels.shape == (7, 3, 8, 8)
    corners = pixels[:, :, 0, 0].tolist()
    white = [255] * 3
    assert corners[:6] == [[7] * 3, white, [9] * 3, [255, 0, 0], white, white]
    assert np.abs(np.array(corners[6]) - (255, 0, 0)).max() < 8


def test_a_size_crops_to_the_centre_and_smooths(tmp_path):
    stripes = np.zeros((32, 64, 3), np.uint8)
    stripes[:, 16:48:2] = 200  # only the middle square has stripes, too fine for half the size
    images = open_images(write_all(tmp_path, wide=Image.fromarray(stripes)), size=16)
    assert images.pixels.shape == (1, 3, 16, 16)
    assert np.abs(images.pixels[..., 2:-2].astype(int) - 100).max() < 12


def test_an_image_too_large_to_decode_is_refused_by_its_header(tmp_path):
    Image.new("1", (5000, 4000)).save(tmp_path / "huge.png")
    with pytest.raises(DataError, match="5000 x 4000 pixels, more than the 16,777,216"):
        open_images(str(tmp_path), size=32)


def test_unknown_names_get_the_nearest_and_paths_what_is_missing():
    with pytest.raises(DataError, match=r'allowed: shapes, cifar10, .* did you mean "cifar10"'):
        open_images("cifar-10")
    with pytest.raises(DataError, match="there is no such file or folder"):
        open_images("./missing")
    with pytest.raises(DataError, match="no data set is named"):
        open_images()
    with pytest.raises(DataError, match="allowed are 8 to 128"):
        open_images("shapes", size=4)
    with pytest.raises(DataError, match='did you mean "train"'):
        open_images("shapes", split="trian")


def test_one_class_keeps_its_labels_and_has_a_fingerprint_of_its_own():
    images = open_images("shapes", split="test")
    stars = images.only(4)
    assert len(stars) == images.counts()[4]
    assert {*stars.labels} == {4}
    assert stars.classes == images.classes
    assert stars.fingerprint != images.fingerprint
    with pytest.raises(DataError, match="no image of class 10"):
        images.only(10)


def test_cifar10_and_mnist_are_pixel_exact(shared):
    test = open_images("mnist", str(shared / "data/mnist"), split="test")
    assert (test.channels, test.size, len(test)) == (1, 28, 10_000)
    assert [*test.counts()] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert float(test.pixels.mean()) == pytest.approx(33.791, abs=1e-3)


def test_a_tar_with_a_bit_turned_in_any_header_is_read_whole_or_not_at_all(tmp_path):
    pixels, labels = drawn(4, 8)
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            for suffix, content in (("png", encoded(image)), ("cls", b"%d" % label)):
                member = tarfile.TarInfo(f"{number}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    with tarfile.open(path) as archive:
        heads = [member.offset for member in archive.getmembers()]
    whole = path.read_bytes()
    assert same(open_images(str(path)), pixels, labels)
    for head in heads[2:]:
        for place in (head, head + 130, head + 150):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(DataError, match=f"no file begins at byte {head:,}"):
                open_images(str(path))
    path.write_bytes(whole[: heads[4]])
    with pytest.raises(DataError, match="no file begins"):
        open_images(str(path))
    path.write_bytes(whole[: heads[4]] + bytes(512) + whole[heads[4] + 512 :])
    with pytest.raises(DataError, match="no file begins"):
        open_images(str(path))


def peak_of(path: str) -> int:
    """Bytes that reading, which fails, takes at once."""
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            open_images(path)
        return tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


def test_one_large_cell_a_thousand_times_is_not_held_a_thousand_times(tmp_path):
    cell = b"\x89PNG" + bytes(4 << 20)
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1024), pa.array([cell]))
    once = {"dictionary_pagesize_limit": 1 << 30, "store_schema": False}
    pq.write_table(pa.table({"image": column}), tmp_path / "a.parquet", compression="zstd", **once)
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    assert peak_of(str(tmp_path / "a.parquet")) < 2 << 30


def test_a_parquet_column_that_says_it_unpacks_to_gibibytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gander.data.formats.parquet._MOST_BYTES", 1 << 20)
    cell = bytes(2 << 20)
    pq.write_table(pa.table({"image": pa.array([cell] * 3)}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(DataError, match="bytes of it unpack to 2,"):
        open_images(str(tmp_path / "a.parquet"))


def test_a_csv_of_too_many_columns_is_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("pyarrow.csv.open_csv", None)
    (tmp_path / "a.csv").write_text(",".join("0" * 640_000) + "\n")
    with pytest.raises(DataError, match="640,000 columns; at most 196,672 are read"):
        open_images(str(tmp_path / "a.csv"))


def test_a_sparse_file_in_a_tar_is_refused(tmp_path):
    member = tarfile.TarInfo("a.png")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 0
    head = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    head[483:495] = b"00040000000\0"  # its real size, 8 MiB, of which nothing is there
    head[148:156] = b"        "
    head[148:156] = b"%06o\0 " % sum(head)
    (tmp_path / "a.tar").write_bytes(bytes(head) + bytes(1024))
    with pytest.raises(DataError, match="sparse, or more than 64 MiB"):
        open_images(str(tmp_path / "a.tar"))


def test_a_pipe_or_a_device_in_a_folder_is_not_waited_for(tmp_path):
    write_all(tmp_path, a=Image.new("L", (8, 8)))
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    assert len(open_images(str(tmp_path))) == 2, "a link to a file is one"
    os.mkfifo(tmp_path / "c.png")
    with pytest.raises(DataError, match=r"c\.png: is a pipe, a device or a folder"):
        open_images(str(tmp_path))
    (tmp_path / "c.png").unlink()
    (tmp_path / "c.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"c\.png: is a pipe"):
        open_images(str(tmp_path))

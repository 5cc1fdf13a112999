"""The table of formats; what is recognised, offered and documented follows from it."""

from __future__ import annotations

import glob
from itertools import islice
from pathlib import Path

from gander.data.formats.csv import Csv
from gander.data.formats.folder import Folder
from gander.data.formats.format import Format, WrittenFormat
from gander.data.formats.idx import Idx
from gander.data.formats.npz import Npz
from gander.data.formats.parquet import Parquet
from gander.data.formats.pickles import CifarPickles
from gander.data.formats.tar import Tar
from gander.data.formats.zip import Zip
from gander.data.origins import Origin
from gander.errors import DataError

FORMATS: list[Format] = [Parquet(), CifarPickles(), Idx(), Csv(), Tar(), Npz(), Zip(), Folder()]
"""In the order in which a folder is searched for them; `Folder` takes what is left."""

_CONVERTED = {
    ".arrow": "datasets.load_from_disk('{path}').to_parquet('data.parquet'), of one split",
    ".npy": "numpy.savez('data.npz', images=numpy.load('images.npy'), labels=numpy.load('labels.npy'))",
    ".pt": "numpy.savez('data.npz', images=images.numpy(), labels=labels.numpy()), of tensors",
    ".h5": "numpy.savez('data.npz', images=file['images'][:], labels=file['labels'][:]), of an h5py.File",
    ".mat": "numpy.savez('data.npz', images=mat['X'], labels=mat['y']), of scipy.io.loadmat('{path}')",
    ".pkl": "numpy.savez('data.npz', images=images, labels=labels), of what the pickle holds",
}
"""By the ends of names: Python that makes what can be read of files that are not, for they may run code or
have no fixed layout."""


def what_is_read() -> str:
    """List for a message what can be read."""
    return ", ".join(format.reads for format in FORMATS)


def written_formats() -> dict[str, WrittenFormat]:
    """Return what can be written, by the name that `--format` takes."""
    written = [format for format in FORMATS if isinstance(format, WrittenFormat)]
    return {name: format for format in written for name in format.names}


def format_table() -> list[tuple[str, str]]:
    """Return the names, and what it is, of each format that can be written."""
    return [(", ".join(format.names), format.about) for format in dict.fromkeys(written_formats().values())]


def suffix_of(name: str) -> str:
    """Return the suffix that says what a file's format is, in its own case; "" where there is none."""
    suffixes = (suffix for format in FORMATS for suffix in format.suffixes)
    lower = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), "")
    return name[len(name) - len(lower) :]


def find_origin(path: Path, split: str, image: str = "", label: str = "") -> Origin:
    """Choose a format for a file, for one that lies there in shards, or for a folder.

    Args:
        image, label: the columns of these; "" for those of a known name.
    Raises: DataError where nothing is there, or nothing that can be read.
    """
    root, files = path, [path] if path.is_file() else []
    if not path.is_dir() and not (files := files or shards_of(path)):
        raise DataError(f"{path}: there is no such file or folder")
    for format in FORMATS:
        if path.is_dir():
            files = format.files_in(path, split)
        elif suffix_of(path.name).lower() in format.suffixes:
            root = path.parent
        else:
            continue
        if files and (image or label) and not format.columns:
            raise DataError(f"{path}: {format.reads} has no columns for data.image and data.label to choose")
        if files:
            return type(format)(image, label).origin(root, files, split)
    names = [path.name] if path.is_file() else [file.name for file in islice(path.iterdir(), 1000)]
    names += [file.name for file in islice(path.glob("*/*"), 1000)]
    hints = (line for name in names for suffix, line in _CONVERTED.items() if name.lower().endswith(suffix))
    raise DataError(
        f"{path}: nothing here can be read; allowed: {what_is_read()}",
        hint=next((line.format(path=path) for line in hints), ""),
    )


def shards_of(path: Path) -> list[Path]:
    """List the files NAME-00000-of-00002.SUFFIX that a large NAME.SUFFIX is written as.

    Raises: DataError where some are missing.
    """
    suffix = suffix_of(path.name)
    digits = "[0-9]" * 5
    stem = glob.escape(path.name.removesuffix(suffix))
    shards = sorted(path.parent.glob(f"{stem}-{digits}-of-{digits}{suffix}")) if suffix else []
    wanted = [f"-{number:05d}-of-{len(shards):05d}{suffix}" for number in range(len(shards))]
    if not all(file.name.endswith(end) for file, end in zip(shards, wanted, strict=True)):
        raise DataError(f"{path}: its files {shards[0].name} ... {shards[-1].name} are not a whole set")
    return shards

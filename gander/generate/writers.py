"""Data set formats: how a part is written, and how parts become the files of the set."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from gander.data.flat import CONFIDENCE, LABEL
from gander.data.folders import folder_name
from gander.data.origins import Pixels
from gander.pictures.sheet import encode_png

LARGEST = 256 * 10**6
"""Bytes of a file."""

_GZIP_LEVEL = 3
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of what is in a zip: equal sets are equal bytes
_SPLIT = "train"


class Batch(NamedTuple):
    """Images in their order."""

    first: int  # number of the first
    pixels: Pixels  # (N, C, S, S)
    encoded: Sequence[bytes]  # (N) PNG, where the format holds PNG; else empty
    labels: npt.NDArray[np.int64] | None
    confidence: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class About:
    """What holds for the whole set."""

    classes: tuple[str, ...]  # () where there are no labels
    shape: tuple[int, int, int]  # (C, S, S)
    confident: bool  # whether labels are the judge's, with its confidence


class Format(Protocol):
    """One format.

    A part is a file (or folder) of some thousand images, written by one process; `join` makes one file of the
    set from parts that follow one another, and leaves nothing of them.
    """

    suffix: str
    png: bool  # whether it holds encoded images
    whole: bool  # whether what reads it takes one file, however large

    def bytes_each(self, about: About) -> int:
        """Give the most bytes that an image may take."""

    def write(self, path: Path, batches: Iterator[Batch], about: About, leads: bool) -> None:
        """Write a part; one that `leads` begins a file of the set."""

    def join(self, parts: list[Path], path: Path, about: About) -> None:
        """Make a file, or the folder, of the set."""


def _values(about: About) -> int:
    return about.shape[0] * about.shape[1] * about.shape[2]


def image_file(pixels: Pixels) -> bytes:
    """Encode one image (C, S, S), sooner fast than small; runs do as well as matches in so few pixels."""
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return encode_png(picture, compress_level=3, compress_type=zlib.Z_RLE)


class _Png:
    png, whole = True, False

    def bytes_each(self, about: About) -> int:
        """Count pixels that do not compress, and what stands around them."""
        return _values(about) + 1024


class Parquet(_Png):
    """Parquet as on the Hugging Face hub: `img` {bytes, path}, `label`, with the features in the metadata."""

    suffix = ".parquet"

    def write(self, path: Path, batches: Iterator[Batch], about: About, leads: bool) -> None:
        """Write a row group a batch."""
        import pyarrow as pa

        schema = self._schema(about)
        with self._writer(path, about) as writer:
            for batch in batches:
                names = [f"{batch.first + place:08d}.png" for place in range(len(batch.encoded))]
                cells = [pa.array([*batch.encoded], pa.binary()), pa.array(names)]
                columns = [pa.StructArray.from_arrays(cells, fields=[*schema.field("img").type])]
                columns += [pa.array(part) for part in (batch.labels, batch.confidence) if part is not None]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))

    def join(self, parts: list[Path], path: Path, about: About) -> None:
        """Copy row group by row group."""
        import pyarrow.parquet

        with self._writer(path, about) as writer:
            for part in parts:
                with pyarrow.parquet.ParquetFile(part) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group))
                part.unlink()

    def _writer(self, path: Path, about: About) -> Any:
        import pyarrow.parquet

        schema = self._schema(about)
        return pyarrow.parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False)

    @staticmethod
    def _schema(about: About) -> Any:
        import pyarrow as pa

        features: dict[str, Any] = {"img": {"_type": "Image"}}
        fields = [pa.field("img", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
        if about.classes:
            features[LABEL] = {"names": [*about.classes], "_type": "ClassLabel"}
            fields.append(pa.field(LABEL, pa.int64()))
        if about.confident:
            features[CONFIDENCE] = {"dtype": "float32", "_type": "Value"}
            fields.append(pa.field(CONFIDENCE, pa.float32()))
        told = {"huggingface": json.dumps({"info": {"features": features}})}
        return pa.schema(fields, metadata=told)


class Csv:
    """CSV: `label`, then every pixel value in the order of rows, columns and colours."""

    png, whole = False, False

    def __init__(self, suffix: str = ".csv") -> None:
        self.suffix = suffix

    def bytes_each(self, about: About) -> int:
        """Count three digits and a comma a value."""
        return 4 * _values(about) + 32

    def write(self, path: Path, batches: Iterator[Batch], about: About, leads: bool) -> None:
        """Write rows, for .gz as whole streams, which may follow one another in a file."""
        import pyarrow as pa
        import pyarrow.csv

        names = [f"pixel{index}" for index in range(_values(about))]
        names = [LABEL] * bool(about.classes) + names + [CONFIDENCE] * about.confident
        with _stream(path, "gzip" if self.suffix == ".csv.gz" else None) as sink:
            for number, batch in enumerate(batches):
                flat = batch.pixels.transpose(0, 2, 3, 1).reshape(len(batch.pixels), -1)
                columns = [pa.array(values) for values in np.ascontiguousarray(flat.T)]
                if batch.labels is not None:
                    columns.insert(0, pa.array(batch.labels))
                if batch.confidence is not None:
                    columns.append(pa.array(batch.confidence))
                header = pa.csv.WriteOptions(include_header=leads and number == 0, quoting_style="none")
                pa.csv.write_csv(pa.Table.from_arrays(columns, names=names), sink, header)

    def join(self, parts: list[Path], path: Path, about: About) -> None:
        """Put the parts one after another; .zst as one frame, for pandas reads the first and no further."""
        with _stream(path, "zstd" if self.suffix == ".csv.zst" else None) as whole:
            _append(parts, whole)


@contextmanager
def _stream(path: Path, compression: str | None) -> Iterator[Any]:
    import pyarrow as pa

    if compression == "gzip":  # pyarrow's has one level, the slowest
        with path.open("wb") as file, gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
            yield stream
        return
    with pa.OSFile(str(path), "wb") as file:
        if compression is None:
            yield file
            return
        with pa.CompressedOutputStream(file, compression) as stream:
            yield stream


def _append(parts: list[Path], whole: Any) -> None:
    """Move the bytes of the parts into one file."""
    for part in parts:
        with part.open("rb") as file:
            while chunk := file.read(1 << 20):
                whole.write(chunk)
        part.unlink()


class Npz:
    """NumPy's npz: `arr_0` (N, S, S, C) or (N, S, S), `labels`, `confidence`, `classes`; not compressed."""

    suffix, png, whole = ".npz", False, False

    def bytes_each(self, about: About) -> int:
        """Count pixels and a label."""
        return _values(about) + 16

    def write(self, path: Path, batches: Iterator[Batch], about: About, leads: bool) -> None:
        """Write plain arrays, one after another."""
        kept: list[Batch] = [*batches]
        arrays = {"pixels": np.concatenate([batch.pixels for batch in kept])}
        for name in ("labels", "confidence"):
            values = [getattr(batch, name) for batch in kept]
            if values[0] is not None:
                arrays[name] = np.concatenate(values)
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def join(self, parts: list[Path], path: Path, about: About) -> None:
        """Copy the arrays of all parts into one file, a part in memory at a time."""
        rest: dict[str, list[Any]] = {"labels": [], "confidence": []}
        for part in parts:
            with np.load(part) as arrays:
                for name in rest:
                    rest[name] += [arrays[name]] if name in arrays else []
                rest.setdefault("count", []).append(arrays["pixels"].shape[0])
        channels, height, width = about.shape
        shape = (sum(rest.pop("count")), height, width) + ((channels,) if channels > 1 else ())
        with zipfile.ZipFile(path, "w") as archive:
            with archive.open(zipfile.ZipInfo("arr_0.npy", _EPOCH), "w", force_zip64=True) as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for part in parts:
                    with np.load(part) as arrays:
                        file.write(np.ascontiguousarray(arrays["pixels"].transpose(0, 2, 3, 1)).data)
                    part.unlink()
            named = {name: np.concatenate(values) for name, values in rest.items() if values}
            if about.classes:
                named["classes"] = np.array(about.classes)
            for name, values in named.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w") as file:
                    np.lib.format.write_array(file, values, allow_pickle=False)


class EdmZip(_Png):
    """The zip that StyleGAN and EDM read: `00000/img00000000.png` and labels in `dataset.json`."""

    suffix, whole = ".zip", True

    def write(self, path: Path, batches: Iterator[Batch], about: About, leads: bool) -> None:
        """Write a small zip of the same kind."""
        labels: list[tuple[str, int]] = []
        with zipfile.ZipFile(path, "w") as archive:
            for batch in batches:
                for place, encoded in enumerate(batch.encoded):
                    number = batch.first + place
                    name = f"{number // 1000:05d}/img{number:08d}.png"
                    archive.writestr(zipfile.ZipInfo(name, _EPOCH), encoded)
                    if batch.labels is not None:
                        labels.append((name, int(batch.labels[place])))
            archive.writestr(zipfile.ZipInfo("dataset.json", _EPOCH), json.dumps({"labels": labels or None}))

    def join(self, parts: list[Path], path: Path, about: About) -> None:
        """Copy what is in the parts, and put their labels together."""
        labels: list[Any] = []
        with zipfile.ZipFile(path, "w") as whole:
            for part in parts:
                with zipfile.ZipFile(part) as archive:
                    for member in archive.infolist():
                        content = archive.read(member)
                        if member.filename == "dataset.json":
                            labels += json.loads(content)["labels"] or []
                        else:
                            whole.writestr(zipfile.ZipInfo(member.filename, _EPOCH), content)
                part.unlink()
            told = {"labels": labels or None, "classes": about.classes or None}
            whole.writestr(zipfile.ZipInfo("dataset.json", _EPOCH), json.dumps(told))


class Tar(_Png):
    """WebDataset shards: `00000000.png`, `.cls` with the label, `.json` with the judge's confidence."""

    suffix = ".tar"

    def bytes_each(self, about: About) -> int:
        """Count headers and whole blocks of 512 bytes."""
        image = -(-super().bytes_each(about) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        small = bool(about.classes) + about.confident
        return tarfile.BLOCKSIZE + image + small * 2 * tarfile.BLOCKSIZE

    def write(self, path: Path, batches: Iterator[Batch], about: About, leads: bool) -> None:
        """Write a shard that lacks its end."""
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for batch in batches:
                for place, encoded in enumerate(batch.encoded):
                    files = {"png": encoded}
                    if batch.labels is not None:
                        files["cls"] = b"%d" % batch.labels[place]
                    if batch.confidence is not None:
                        files["json"] = json.dumps({CONFIDENCE: float(batch.confidence[place])}).encode()
                    for suffix, content in files.items():
                        member = tarfile.TarInfo(f"{batch.first + place:08d}.{suffix}")
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))
            end = archive.offset
        os.truncate(path, end)

    def join(self, parts: list[Path], path: Path, about: About) -> None:
        """Put the parts one after another, and the end after the last."""
        with path.open("wb") as whole:
            _append(parts, whole)
            end = whole.tell() + 2 * tarfile.BLOCKSIZE
            whole.truncate(-(-end // tarfile.RECORDSIZE) * tarfile.RECORDSIZE)


class Folder(_Png):
    """A folder of class folders of PNG files; a class without images has none."""

    suffix, whole = "", True

    def bytes_each(self, about: About) -> int:
        """Count whole blocks of the disk."""
        return -(-super().bytes_each(about) // 4096) * 4096

    def write(self, path: Path, batches: Iterator[Batch], about: About, leads: bool) -> None:
        """Write the files of a part into a folder of its own."""
        path.mkdir()
        for batch in batches:
            labels = [None] * len(batch.encoded) if batch.labels is None else batch.labels
            inner = {label: path / self._inner(about, label) for label in {*labels}}
            for folder in inner.values():
                folder.mkdir(exist_ok=True)
            for place, (encoded, label) in enumerate(zip(batch.encoded, labels, strict=True)):
                (inner[label] / f"{batch.first + place:08d}.png").write_bytes(encoded)

    @staticmethod
    def _inner(about: About, label: Any) -> str:
        return "" if label is None else folder_name(about.classes[label])

    def join(self, parts: list[Path], path: Path, about: About) -> None:
        """Move all files into one folder."""
        for part in parts:
            for file in part.rglob("*.png"):
                goal = path / file.relative_to(part)
                goal.parent.mkdir(parents=True, exist_ok=True)
                file.rename(goal)
            shutil.rmtree(part)


FORMATS: dict[str, Format] = {
    "parquet": Parquet(),
    "csv": Csv(),
    "csv.gz": Csv(".csv.gz"),
    "csv.zst": Csv(".csv.zst"),
    "npz": Npz(),
    "folder": Folder(),
    "zip": EdmZip(),
    "tar": Tar(),
}
"""By the name that `--format` takes, which is also the suffix that chooses it."""

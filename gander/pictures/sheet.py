"""Contact sheets: many small images in one picture, large enough to be judged by eye."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gander.errors import UsageError
from gander.files import disk_refusals, write_whole

_GAP = 2
_BACKGROUND, _INK = 232, 48
_WIDEST, _TALLEST = 1000, 2000  # pixels; what a screen shows without scrolling sideways


def contact_sheet(
    images: NDArray[np.uint8], columns: int, scale: int | None = None, row_names: Sequence[str] = ()
) -> Image.Image:
    """Lay images out row by row, each enlarged by a whole factor so that no pixel is blurred.

    Args:
        images: (N, C, H, W), one channel or three.
        columns: images a row; the last row may be short.
        scale: pixels a pixel; None picks the largest that keeps the images within 1000 pixels across.
        row_names: one name a row, written in a margin at the left.

    Raises: UsageError where the images are none, or the names do not fit the rows.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[1] not in (1, 3) or not images.size:
        given = f"{images.dtype} {images.shape}"
        raise UsageError(f"a contact sheet takes uint8 images of shape (N, 1 or 3, H, W), not {given}")
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    if row_names and len(row_names) != rows:
        raise UsageError(f"a contact sheet of {rows} rows takes {rows} row names, not {len(row_names)}")
    scale = scale or _fitting_scale(rows * height, columns * width)
    cell_height, cell_width = height * scale + _GAP, width * scale + _GAP
    font = ImageFont.load_default(size=min(max(cell_height // 3, 9), 16))
    margin = 12 + round(max(font.getlength(name) for name in row_names)) if row_names else 0

    mode, shade = ("L", (_BACKGROUND,)) if channels == 1 else ("RGB", (_BACKGROUND,) * 3)
    sheet = Image.new(mode, (margin + columns * cell_width + _GAP, rows * cell_height + _GAP), shade)
    for place, pixels in enumerate(images):
        row, column = divmod(place, columns)
        large = pixels.transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
        picture = Image.fromarray(large[:, :, 0] if channels == 1 else large)
        sheet.paste(picture, (margin + column * cell_width + _GAP, row * cell_height + _GAP))
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(row_names):
        middle = row * cell_height + _GAP + height * scale // 2
        pen.text((margin - 6, middle), name, fill=(_INK,) * len(shade), font=font, anchor="rm")
    return sheet


def _fitting_scale(height: int, width: int) -> int:
    return max(1, min((_WIDEST - 40) // width, _TALLEST // height))


def encode_png(image: Image.Image, compress_level: int = 6, compress_type: int = -1) -> bytes:
    """Encode a picture, by Pillow's level and type of compression; equal pixels give equal bytes."""
    encoded = io.BytesIO()
    image.save(encoded, format="PNG", compress_level=compress_level, compress_type=compress_type)
    return encoded.getvalue()


def save_png(image: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all; StorageError where the disk refuses."""
    save_picture(encode_png(image), path)


def save_picture(encoded: bytes, path: Path) -> None:
    """Write an encoded picture whole or not at all; StorageError where the disk refuses."""
    with disk_refusals(path):
        write_whole(path, encoded)

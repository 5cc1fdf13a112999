"""One image file or array -> square uint8 pixels; one label as found -> a class index."""

from __future__ import annotations

import io
import math

import numpy as np
import PIL.Image
import PIL.ImageOps

from gander.data.origins import Image, Pixels

SMALLEST, LARGEST = 8, 128
MOST_PIXELS = 1 << 24
MOST_CLASSES = 1000
"""How many classes labels without names may speak of."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def decode(image: Image, size: int | None) -> Pixels:
    """Return an image as (1, S, S) or (3, S, S).

    Transparent parts become white, palettes and CMYK become RGB, 16-bit grey is scaled to 8 bits, and a
    photograph is turned upright as its EXIF entry says. With `size`, the largest centred square is kept and
    resized (Lanczos, antialiased); without, the image must be square already.

    Raises: ValueError, whose text is the reason.
    """
    if isinstance(image, np.ndarray):
        height, width = image.shape[:2]
        if size is not None and (height, width) != (size, size):
            image = np.asarray(_resized(PIL.Image.fromarray(image.squeeze()), size))
    else:
        image = _read(image if isinstance(image, bytes) else image(), size)
    height, width = image.shape[:2]
    if height != width:
        raise ValueError(f"{width} x {height} pixels is not square")
    if not SMALLEST <= height <= LARGEST:
        raise ValueError(f"{width} x {height} pixels; {SMALLEST} to {LARGEST} a side can be used")
    planes = image.reshape(height, width, -1)
    return np.ascontiguousarray(planes.transpose(2, 0, 1))


def _read(encoded: bytes, size: int | None) -> Pixels:
    if not encoded:
        raise ValueError("empty, zero bytes")
    try:
        picture: PIL.Image.Image = PIL.Image.open(io.BytesIO(encoded), formats=FORMATS)
    except PIL.UnidentifiedImageError:
        raise ValueError(f"not an image of a kind that is read ({', '.join(FORMATS)})") from None
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels, more than the {MOST_PIXELS:,} that are decoded")
    if getattr(picture, "n_frames", 1) > 1:
        raise ValueError("holds several pictures; write each into a file of its own")
    picture.load()
    if "exif" in picture.info:
        picture = PIL.ImageOps.exif_transpose(picture)
    picture = _plain(picture)
    if size is not None and picture.size != (size, size):
        picture = _resized(picture, size)
    return np.asarray(picture)


def _plain(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Convert any mode to L or RGB."""
    if picture.mode in ("L", "RGB"):
        if "transparency" not in picture.info:
            return picture
    elif picture.mode == "1":
        return picture.convert("L")
    elif picture.mode.startswith("I"):  # 16 bits a pixel, in 16- or 32-bit storage
        values = np.asarray(picture).astype(np.int64).clip(0, 65535)
        return PIL.Image.fromarray(((values + 128) // 257).astype(np.uint8))
    elif picture.mode == "F":
        raise ValueError("32-bit float pixels have no fixed range; save it with 8 bits a channel")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    grey = picture.mode in ("L", "LA", "La")
    pane = picture.convert("RGBA")
    white = PIL.Image.new("RGBA", pane.size, "white")
    return PIL.Image.alpha_composite(white, pane).convert("L" if grey else "RGB")


def _resized(picture: PIL.Image.Image, size: int) -> PIL.Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), PIL.Image.Resampling.LANCZOS, box=box)


def class_index(label: object, classes: int) -> int:
    """Read a label that must be a whole number in 0..classes-1.

    Raises: ValueError, whose text is the reason.
    """
    if label is None:
        raise ValueError("no label")
    if isinstance(label, float | np.floating) and math.isnan(label):
        raise ValueError("the label is NaN")
    if not isinstance(label, int | float | np.integer | np.floating) or label != label // 1:
        raise ValueError(f"the label {label} is not whole")
    if not 0 <= label < classes:
        raise ValueError(f"the label {label} is outside 0..{classes - 1}")
    return int(label)

"""Ways to spoil real images, each at strengths that a person would put in the same order; and plain junk."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels = npt.NDArray[np.uint8]  # (N, C, S, S)
Ladder = tuple[Callable[[Pixels, float], Pixels], tuple[float, ...]]


def noise(pixels: Pixels, deviation: float) -> Pixels:
    """Add normal noise."""
    return _whole(pixels + np.random.default_rng(0).normal(0, deviation, pixels.shape))


def blur(pixels: Pixels, radius: float) -> Pixels:
    """Blur with a normal kernel."""
    return _by_picture(pixels, lambda picture: picture.filter(ImageFilter.GaussianBlur(radius)))


def blocks(pixels: Pixels, count: float) -> Pixels:
    """Paint squares of a quarter of a side, of one colour each, anywhere."""
    rng, spoilt, size = np.random.default_rng(1), pixels.copy(), pixels.shape[2] // 4
    for image in spoilt:
        for _ in range(int(count)):
            top, left = rng.integers(0, pixels.shape[2] - size + 1, 2)
            image[:, top : top + size, left : left + size] = rng.integers(0, 256, (len(image), 1, 1))
    return spoilt


def stripes(pixels: Pixels, height: float) -> Pixels:
    """Add stripes of four pixels, light and dark."""
    wave = np.where(np.arange(pixels.shape[3]) % 8 < 4, height, -height)
    return _whole(pixels + wave)


def checkerboard(pixels: Pixels, height: float) -> Pixels:
    """Add what a transposed convolution may: every other pixel lighter and darker, along both axes."""
    along = np.arange(pixels.shape[2])
    return _whole(pixels + np.where((along[:, None] + along) % 2, height, -height))


def colour_shift(pixels: Pixels, height: float) -> Pixels:
    """Move the channels apart, in a direction drawn for each image."""
    moves = np.random.default_rng(2).normal(size=pixels.shape[:2])
    moves /= np.abs(moves).max(1, keepdims=True)
    return _whole(pixels + height * moves[:, :, None, None])


def shuffled_patches(pixels: Pixels, count: float) -> Pixels:
    """Cut each image into count x count patches and put them together in another order."""
    rng, k, side = np.random.default_rng(3), int(count), pixels.shape[2] // int(count)
    cut = pixels.reshape(*pixels.shape[:2], k, side, k, side).transpose(0, 2, 4, 1, 3, 5)
    cut = np.stack([rng.permutation(image.reshape(k * k, *cut.shape[3:])) for image in cut])
    cut = cut.reshape(len(pixels), k, k, *cut.shape[2:])
    return cut.transpose(0, 3, 1, 4, 2, 5).reshape(pixels.shape)


def pixelated(pixels: Pixels, size: float) -> Pixels:
    """Give squares of so many pixels their mean."""
    k = int(size)
    cut = pixels.reshape(*pixels.shape[:2], pixels.shape[2] // k, k, -1, k).mean((3, 5))
    return _whole(cut.repeat(k, 2).repeat(k, 3))


def jpeg(pixels: Pixels, loss: float) -> Pixels:
    """Compress as JPEG at a quality of 100 - loss."""

    def compressed(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(100 - loss))
        return Image.open(file)

    return _by_picture(pixels, compressed)


def faded(pixels: Pixels, share: float) -> Pixels:
    """Take away a share of the contrast."""
    middle = pixels.mean((2, 3), keepdims=True)
    return _whole(middle + (1 - share) * (pixels - middle))


def mixed(pixels: Pixels, share: float) -> Pixels:
    """Lay another image over each."""
    return _whole((1 - share) * pixels + share * np.roll(pixels, 1, 0))


def repeated(pixels: Pixels, share: float) -> Pixels:
    """Put one image in the place of a share of them."""
    spoilt = pixels.copy()
    spoilt[np.random.default_rng(4).random(len(pixels)) < share] = pixels[0]
    return spoilt


CORRUPTIONS: dict[str, Ladder] = {
    "noise": (noise, (8, 16, 32, 64, 128)),
    "blur": (blur, (0.5, 0.75, 1, 2, 4)),
    "blocks": (blocks, (1, 2, 4, 8, 16)),
    "stripes": (stripes, (8, 16, 32, 64, 128)),
    "checkerboard": (checkerboard, (4, 8, 16, 32, 64)),
    "colour shift": (colour_shift, (16, 32, 64, 96, 128)),
    "patches shuffled": (shuffled_patches, (2, 4, 8, 16)),
    "pixelated": (pixelated, (2, 4, 8, 16)),
    "JPEG": (jpeg, (50, 80, 90, 95, 99)),
    "faded": (faded, (0.25, 0.5, 0.75, 0.9, 1)),
    "mixed": (mixed, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "one image repeated": (repeated, (0.1, 0.25, 0.5, 0.75, 1)),
}
"""Each with its strengths, the weakest first."""


def junk(count: int, channels: int = 3, size: int = 32) -> dict[str, Pixels]:
    """Draw images that show nothing, `count` of each kind."""
    rng, shape = np.random.default_rng(5), (count, channels, size, size)
    down, across = np.mgrid[:size, :size] / size
    colours = rng.uniform(0, 255, (2, count, channels, 1, 1))
    turn, pace, start = rng.uniform(0, (np.pi, 8, 2 * np.pi), (count, 3)).T[:, :, None, None, None]
    wave = np.sin(start + 2 * np.pi * (1 + pace) * (np.cos(turn) * across + np.sin(turn) * down))
    blobs = np.zeros(shape)
    for _ in range(4):
        middle, reach = rng.uniform(0, 1, (2, count, 1, 1, 1)), rng.uniform(0.1, 0.3, (count, 1, 1, 1))
        away = (down - middle[0]) ** 2 + (across - middle[1]) ** 2
        blobs += rng.uniform(0, 90, (count, channels, 1, 1)) * np.exp(-away / (2 * reach**2))
    return {
        "noise": rng.integers(0, 256, shape, np.uint8),
        "flat colours": _whole(np.broadcast_to(colours[0], shape)),
        "stripes": _whole(colours[0] + (colours[1] - colours[0]) * (wave > 0)),
        "waves": _whole(colours[0] + (colours[1] - colours[0]) * (wave + 1) / 2),
        "dark blobs": _whole(blobs),
    }


def _whole(values: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _by_picture(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Change each image as Pillow sees it; grey ones stay grey."""
    channels = pixels.shape[1]
    pictures = (Image.fromarray(p.transpose(1, 2, 0) if channels == 3 else p[0]) for p in pixels)
    changed = np.stack([np.asarray(change(picture)) for picture in pictures])
    return changed.reshape(len(pixels), *pixels.shape[2:], channels).transpose(0, 3, 1, 2)

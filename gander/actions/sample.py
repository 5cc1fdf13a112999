"""Pictures of what a generator makes: contact sheets and latent walks."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gander.errors import UsageError
from gander.generation.load import RunLike, Sampler, load
from gander.pictures.sheet import contact_sheet, save_picture

Names = Sequence[str]

_MOST = 10_000
_FRAME = 640  # pixels across an animation, which would be many megabytes at the size of a sheet


def sample(
    run: RunLike, n: int = 100, classes: Names = (), seed: int = 0, columns: int = 0, device: str = "cpu"
) -> Image.Image:
    """Draw a contact sheet of n fresh images.

    A generator with classes gets a row a class, or the rows asked for; else `columns` 0 picks a sheet that is
    nearly square, without a gap in its last row where that can be.

    Raises: UsageError where n or a class does not fit, CheckpointError where the run holds no generator.
    """
    sampler = load(run, device)
    if not 1 <= n <= _MOST:
        raise UsageError(f"n = {n}: a contact sheet takes 1 to {_MOST:,} images", hint="-n 100")
    latents = sampler.draw(n, seed)
    if not sampler.conditional:
        for name in classes:
            sampler.label(name)
        return _sheet(sampler, latents, None, columns or _columns(n), ())
    rows = [sampler.label(name) for name in classes] or [*range(sampler.generator.num_classes)]
    columns = columns or -(-n // len(rows))
    labels = torch.tensor([rows[place // columns % len(rows)] for place in range(n)])
    names = [sampler.classes[int(label)] for label in labels[::columns]]
    return _sheet(sampler, latents, labels, columns, tuple(names))


def walk(
    run: RunLike, rows: int = 8, classes: Names = (), seed: int = 0, steps: int = 12, device: str = "cpu"
) -> Image.Image:
    """Draw latent walks, one a row, from one latent to another along the great circle between them.

    Raises: UsageError where a class does not fit, CheckpointError where the run holds no generator.
    """
    sampler, latents, named = _walks(load(run, device), rows, classes, seed, steps)
    labels = torch.tensor(named).repeat_interleave(steps) if sampler.conditional else None
    names = tuple(sampler.classes[label] for label in named)
    return _sheet(sampler, latents.flatten(0, 1), labels, steps, names)


def animate(
    run: RunLike, rows: int = 8, classes: Names = (), seed: int = 0, steps: int = 24, device: str = "cpu"
) -> list[Image.Image]:
    """Draw latent walks as the frames of an animation that comes back to where it began.

    Each frame holds all walks side by side, a class each where there are classes; raises as `walk` does.
    """
    sampler, latents, named = _walks(load(run, device), rows, classes, seed, steps)
    labels = torch.tensor(named) if sampler.conditional else None
    columns = _columns(len(latents))
    moments = [sampler.images(latents[:, step], labels).numpy() for step in range(steps)]
    scale = max(1, _FRAME // (columns * moments[0].shape[-1]))
    frames = [contact_sheet(images, columns, scale) for images in moments]
    return frames + frames[-2:0:-1]


def save_animation(frames: list[Image.Image], path: Path) -> None:
    """Write frames as an endless .gif or .webp, 12 a second; StorageError where the disk refuses."""
    encoded = io.BytesIO()
    kind = path.suffix.removeprefix(".").upper()
    exact = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(encoded, kind, save_all=True, append_images=frames[1:], duration=83, loop=0, **exact)
    save_picture(encoded.getvalue(), path)


def _walks(
    sampler: Sampler, rows: int, classes: Names, seed: int, steps: int
) -> tuple[Sampler, Tensor, list[int]]:
    """Return the latents (rows, steps, Z) of walks, and the class of each, if there are classes."""
    named = [sampler.label(name) for name in classes]
    if sampler.conditional:
        named = named or [*range(sampler.generator.num_classes)]
        rows = len(named)
    if not 1 <= rows <= _MOST // steps:
        raise UsageError(f"n = {rows}: a sheet takes 1 to {_MOST // steps} walks", hint="-n 8")
    ends = sampler.draw(2 * rows, seed).view(2, rows, -1)
    latents = torch.stack([slerp(ends[0], ends[1], step / (steps - 1)) for step in range(steps)], 1)
    return sampler, latents, named


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Go from start to end (N, Z) along the great circle, so that normal latents keep their length.

    Source: White 2016, section 2.
    """
    cosine = torch.cosine_similarity(start, end, dim=1).clamp(-1 + 1e-7, 1 - 1e-7)
    angle = cosine.acos()[:, None]
    return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / torch.sin(angle)


def _columns(count: int) -> int:
    """Choose the columns of a sheet: wider than high, and no gap in the last row where that can be."""
    least = math.ceil(count**0.5)
    return next((columns for columns in range(least, 2 * least) if count % columns == 0), least)


def _sheet(
    sampler: Sampler, latents: Tensor, labels: Tensor | None, columns: int, names: tuple[str, ...]
) -> Image.Image:
    return contact_sheet(sampler.images(latents, labels).numpy(), columns, row_names=names)

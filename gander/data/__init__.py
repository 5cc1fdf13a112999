"""Data sets: by name, from disk, or drawn. Batches, which need torch, are in `gander.data.batches`."""

from gander.data.images import Images, open_images

__all__ = ["Images", "open_images"]

"""Data sets: by name, from disk, or drawn. Batches, which need torch, are in `gander.data.batches`."""

from gander.data.images import Images, open_images
from gander.data.shapes import Factors, draw_shapes

__all__ = ["Factors", "Images", "draw_shapes", "open_images"]

"""Data sets: by name, from disk, or drawn. Batches, which need torch, are in `gander.data.batches`."""

from gander.data.check import Summary, inspect_data
from gander.data.images import Images, open_images
from gander.data.names import NAMED, SHAPES, Named
from gander.data.origins import Problem
from gander.data.shapes import Factors, draw_shapes, read_shapes

__all__ = [
    "NAMED",
    "SHAPES",
    "Factors",
    "Images",
    "Named",
    "Problem",
    "Summary",
    "draw_shapes",
    "inspect_data",
    "open_images",
    "read_shapes",
]

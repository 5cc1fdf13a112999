"""The data card: what a generated data set says of itself."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jinja2

from gander.generate.dataset import Target

_GANDER = """# torch, by way of gander, which reads every format that it writes
import torch; from gander.data import open_images
images = open_images("{path}"); pixels = torch.from_numpy(images.pixels.copy())  # uint8 (N, C, S, S)"""
_OTHERS = {
    "parquet": """# pandas: columns img (PNG bytes) and label
import pandas
frame = pandas.read_parquet("{file}")
# datasets
from datasets import load_dataset
data = load_dataset("parquet", data_files="{files}", split="train")""",
    "csv": """# pandas: label, then a column a pixel value, in the order of rows, columns and colours
import pandas
frame = pandas.read_csv("{file}")""",
    "npz": """# numpy
import numpy
arrays = numpy.load("{file}"); images, labels = arrays["arr_0"], arrays.get("labels")""",
    "folder": """# datasets
from datasets import load_dataset
data = load_dataset("imagefolder", data_dir="{path}", split="train")""",
    "zip": "",
    "tar": """# webdataset
import webdataset
data = webdataset.WebDataset("{file}").decode("pil").to_tuple("png", "cls")""",
}


def loading_lines(target: Target) -> str:
    """Give the lines of Python that read a data set, from the folder that it lies in."""
    path = target.path.name
    file = target.file(0, 1)
    place = str(file) if target.is_file else f"{path}/{file}"
    lines = (_OTHERS[target.format.split(".")[0]], _GANDER)
    told = {"path": path, "file": place, "files": place.replace("00000-of-00001", "*")}
    return "\n".join(text.format(**told) for text in lines if text)


def render_card(told: dict[str, Any]) -> str:
    """Write the README of a data set from what its `dataset.json` holds."""
    text = (resources.files("gander.generate") / "card.md").read_text("utf-8")
    world = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    world.filters["figure"] = lambda value: "" if value is None else f"{value:.4g}"
    return world.from_string(text).render(**told)

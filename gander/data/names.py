"""The public data sets that are known by name, and where they can be had."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

SHAPES = "shapes"
"""The embedded data set, which is drawn."""


@dataclass(frozen=True)
class Named:
    """A public data set.

    Args:
        classes: names for files that only number them.
        mirrors: for each split, alternatives; each is the addresses of all files that one of them needs.
        digests: for each split, what `Stored.digest` must be; a split that is not in it is not known.
        md5: checksums of files, by file name.
    """

    name: str
    classes: tuple[str, ...]
    mirrors: dict[str, tuple[tuple[str, ...], ...]]
    digests: dict[str, str] = field(default_factory=dict)
    md5: dict[str, str] = field(default_factory=dict)


def _parquet(folder: str, split: str) -> tuple[str, ...]:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    repository, _, config = folder.rpartition("/")
    return (
        f"{endpoint.rstrip('/')}/datasets/{repository}/resolve/main/{config}/{split}-00000-of-00001.parquet",
    )


def _idx(folder: str, split: str) -> tuple[str, ...]:
    word = "train" if split == "train" else "t10k"
    return (f"{folder}/{word}-images-idx3-ubyte.gz", f"{folder}/{word}-labels-idx1-ubyte.gz")


CIFAR10 = Named(
    "cifar10",
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    {
        split: (
            _parquet("uoft-cs/cifar10/plain_text", split),
            ("https://storage.googleapis.com/skypilot-example-data/datasets/cifar-10-python.tar.gz",),
            ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
        )
        for split in ("train", "test")
    },
    {"train": "5e4e7a1c33eb1bd75b14fe88c8ac92a203ba1354d1e1a060e4911fa21ee2be4d"},
    {"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
)

MNIST = Named(
    "mnist",
    tuple("0123456789"),
    {
        split: (
            _parquet("ylecun/mnist/mnist", split),
            _idx("https://ossci-datasets.s3.amazonaws.com/mnist", split),
        )
        for split in ("train", "test")
    },
    {
        "train": "859f828f6064c0a8c63bc451953e144e50879d78712faf8849dd35ba345caa33",
        "test": "fb2bb6a01f820b45b88878462f3f71d98d3988e8c2b66c19cde1cad7ec15f93e",
    },
)

FASHION_MNIST = Named(
    "fashion-mnist",
    (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    {
        split: (
            _parquet("zalando-datasets/fashion_mnist/fashion_mnist", split),
            _idx("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", split),
        )
        for split in ("train", "test")
    },
)

NAMED = {named.name: named for named in (CIFAR10, MNIST, FASHION_MNIST)}

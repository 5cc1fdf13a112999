"""Data of dark and light images, and the judge that learns them in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gander.data.images import open_images
from gander.engine.machine import Machine
from gander.scores.classifier import Classifier, Hyperparameters, split_data
from gander.scores.judge import Judge, Record, judge_file, load_judge, save_judge


def dark_and_light(folder: Path) -> Path:
    """Write `data.npz`, 400 images of 8 x 8 in two classes."""
    labels = np.arange(400) % 2
    pixels = np.random.default_rng(0).integers(0, 90, (400, 8, 8, 3)) + labels[:, None, None, None] * 120
    path = folder / "data.npz"
    np.savez(path, images=pixels.astype(np.uint8), labels=labels, classes=["dark", "light"])
    return path


def train_judge(data: Path, seed: int = 0) -> Judge:
    """Put a judge of the data into the cache."""
    images = open_images(str(data))
    settings = Hyperparameters(epochs=2, batch=50, width=8, shift=0, seed=seed)
    classifier = Classifier(split_data(images)[0], 2, settings, Machine(torch.device("cpu")))
    while not classifier.finished:
        classifier.train_epoch()
    record = Record("data", images.digest, images.classes, 3, 8, 8, 1.0, 40, 2, seed, "a command", "2.0")
    save_judge(judge_file(images, seed), classifier.net, record)
    return load_judge(judge_file(images, seed))

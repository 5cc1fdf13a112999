"""The healthy recipes that are broken: small enough that a run takes half a minute of one core."""

from __future__ import annotations

from typing import Any

from gander.recipe.read import load_recipe
from gander.recipe.schema import Recipe

Patch = dict[str, Any]

_D = [
    {"kind": "conv", "width": 32, "kernel": 4, "stride": 2},
    {"kind": "conv", "width": 64, "kernel": 4, "stride": 2},
]
_G = [{"kind": "dense", "width": 64, "size": 4}, {"kind": "transposed", "width": 32}]
_EVERY: Patch = {
    "data.size": 16,
    "latents.dim": 32,
    "train.batch": 32,
    "evaluate.every": 0,
    "every.samples": 0,
    "every.keep": 6,
}


def _stack(names: str, patch: Patch) -> tuple[str, Patch]:
    output = {"kind": "transposed", "kernel": 4, "stride": 2}
    return names, {"generator.layers": _G, "generator.output": output, "discriminator.layers": _D, **patch}


_UP = [
    {"kind": "dense", "width": 64, "size": 4, "batch_norm": False},
    {"kind": "upsample"},
    {"kind": "conv", "width": 64},
    {"kind": "upsample"},
    {"kind": "conv", "width": 32},
]
_TRIAL: Patch = {
    "generator.layers": [
        {"kind": "dense", "width": 64, "size": 4},
        *[{"kind": "transposed", "width": 48}] * 2,
    ],
    "discriminator.layers": [
        {"kind": "conv", "width": 48, "stride": 2},
        {"kind": "conv", "width": 64, "stride": 2},
        {"kind": "dropout", "rate": 0.2},
    ],
    "average": {"kind": "ema", "half_life": 3_000},
    "train.g_lr": 5e-4,
    "train.d_lr": 5e-4,
}
_NO_FIRST_NORM = [{**_D[0], "batch_norm": False}, _D[1]]

BASES: dict[str, tuple[str, Patch, int]] = {
    "dcgan": (
        *_stack(
            "shapes-dcgan",
            {
                "discriminator.layers": _NO_FIRST_NORM,
                "average.half_life": 3_000,
                "train.g_lr": 5e-4,
                "train.d_lr": 5e-4,
            },
        ),
        40_000,
    ),
    "sngan": (
        *_stack(
            "quickstart",
            {
                "-features": None,
                "penalties": [],
                "generator.labels": "batch_norm",
                "generator.latents": "first",
                "train.g_lr": 5e-4,
                "train.d_lr": 5e-4,
                "train.d_update": "joint",
                "average.half_life": 3_000,
            },
        ),
        40_000,
    ),
    "acgan": (
        *_stack(
            "shapes-acgan",
            {
                "discriminator.layers": _NO_FIRST_NORM,
                "average.half_life": 3_000,
                "train.g_lr": 5e-4,
                "train.d_lr": 5e-4,
            },
        ),
        40_000,
    ),
    "r3": (
        *_stack(
            "shapes-dcgan",
            {
                "objective": "relativistic",
                "penalties": [{"kind": "r1", "weight": 0.2}, {"kind": "r2", "weight": 0.2}],
                "discriminator.batch_norm": False,
                "discriminator.bias": True,
                "rewires.discriminator": [],
                "train.g_lr": 1e-3,
                "train.d_lr": 1e-3,
                "train.beta1": 0.0,
                "train.beta2": 0.99,
                "average.half_life": 3_000,
            },
        ),
        32_000,
    ),
    "wgan-gp": (
        *_stack(
            "shapes-dcgan",
            {
                "objective": "wasserstein",
                "penalties": [{"kind": "gradient_penalty", "weight": 10}],
                "discriminator.batch_norm": False,
                "rewires.discriminator": [],
                "train.d_steps": 2,
                "train.g_lr": 5e-4,
                "train.d_lr": 5e-4,
                "train.beta1": 0.0,
                "train.beta2": 0.9,
                "average.half_life": 3_000,
            },
        ),
        40_000,
    ),
    "lsgan": (
        "mnist-dcgan",
        {
            "objective": "least_squares",
            "views": [{"kind": "instance_noise", "sigma": 0.05}],
            "generator.layers": _UP,
            "discriminator.layers": [
                {"kind": "conv", "width": 32, "stride": 2, "batch_norm": False},
                {"kind": "dropout", "rate": 0.2},
                {"kind": "conv", "width": 64, "stride": 2},
                {"kind": "dropout", "rate": 0.2},
                {"kind": "conv", "width": 64, "stride": 2},
            ],
            "average": {"kind": "ema", "half_life": 3_000},
            "train.g_lr": 5e-4,
            "train.d_lr": 5e-4,
        },
        24_000,
    ),
    "fast": (
        *_stack(
            "quickstart",
            {
                "features": {"kind": "classes", "weight": 0.3, "epochs": 1, "width": 8},
                "discriminator.layers": [_D[0], _D[1], {"kind": "minibatch_deviation"}],
                "average.half_life": 3_000,
                "train.g_lr": 5e-4,
                "train.d_lr": 5e-4,
            },
        ),
        20_000,
    ),
    "mnist-dcgan": (
        "mnist-dcgan",
        {
            "generator.layers": _UP,
            "discriminator.layers": [
                {"kind": "conv", "width": 32, "stride": 2, "batch_norm": False},
                {"kind": "conv", "width": 64, "stride": 2},
            ],
            "average": {"kind": "ema", "half_life": 3_000},
            "train.g_lr": 5e-4,
            "train.d_lr": 5e-4,
        },
        32_000,
    ),
    "per-class": (
        *_stack(
            "shapes-dcgan",
            {
                "discriminator.layers": _NO_FIRST_NORM,
                "average.half_life": 1_000,
                "train.g_lr": 1e-3,
                "train.d_lr": 1e-3,
                "train.per_class": True,
            },
        ),
        60_000,
    ),
    "trial1": ("cifar10-trial1", _TRIAL, 24_000),
    "trial3": ("cifar10-trial3", _TRIAL, 24_000),
}
"""Shipped recipe, patch, images of a run."""


def base_recipe(base: str, path: str, seed: int, patch: Patch | list[str] = ()) -> Recipe:
    """Give a healthy recipe on a data set, with a patch."""
    name, own, images = BASES[base]
    every: Patch = {
        "data.path": path,
        "data.source": "",
        "train.images": images,
        "every.log": images // 50,
        "every.probe": images // 50,
        "every.save": images // 5,  # what a cure begins at
        "seed": seed,
    }
    recipe = load_recipe(name, _EVERY | own | every)
    return recipe.patched(patch) if patch else recipe

"""Every shipped recipe: read, written, built, trained a little, and what its source demands of it."""

import numpy as np
import pytest
import torch

from gander.data.images import Images
from gander.engine.machine import Machine
from gander.errors import RecipeError
from gander.recipe.read import build_recipe, load_recipe
from gander.recipe.shipped import parse_recipe, recipe_names, recipe_text
from gander.recipe.write import recipe_toml
from gander.training.trainer import Trainer

LARGE = {"cifar10-biggan-mini", "cifar10-r3", "cifar10-sngan"}  # the shapes-* are their small versions
NAMES = recipe_names()
each_recipe = pytest.mark.parametrize("name", NAMES)


@each_recipe
def test_a_shipped_recipe_is_read_and_written_to_an_equal_one(name):
    recipe = load_recipe(name)
    text = recipe_toml(recipe)
    again = build_recipe(parse_recipe(text, name))
    assert again == recipe
    assert recipe_toml(again) == text


@each_recipe
def test_a_shipped_recipe_names_its_source_and_itself(name):
    text = recipe_text(name)
    assert text.startswith("# Source: ")
    assert len(load_recipe(name).title) > 10


def drawn(name, classes=10):
    """Draw a few images of the shape that a recipe is for."""
    channels, size = (1, 28) if name.startswith("mnist") else (3, 32)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, channels, size, size), np.uint8)
    return Images(pixels, np.arange(40) % classes, tuple("0123456789"), "", "drawn")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in NAMES]
)
def test_a_shipped_recipe_trains(name):
    recipe, images = load_recipe(name, {"train.batch": 4, "data.held_out": 0}), drawn(name)
    trainer = Trainer(recipe, images, Machine(torch.device("cpu"), "float32", 1))
    generator = trainer.generator
    weights = [weight for weight in trainer.nets.parameters() if weight.requires_grad]
    before = [weight.detach().clone() for weight in weights]
    for _ in range(2):
        trainer.step()
    moved = [not torch.equal(old, new) for old, new in zip(before, weights, strict=True)]
    assert sum(moved) > 0.9 * len(moved)  # a bias in front of a batch norm has no slope
    assert all(weight.isfinite().all() for weight in trainer.nets.parameters())
    labels = torch.arange(4) if generator.num_classes else None
    made = trainer.average(recipe.latents(4, torch.Generator()), labels)
    assert made.shape == (4, images.channels, images.size, images.size)
    assert made.isfinite().all()


def at(recipe, path):
    """Give the value at a patch's path; a `*` gives those of all entries of a list."""
    here = [recipe.model_dump(mode="json", by_alias=True)]
    *keys, last = path.split(".")
    for key in [*keys, last]:
        if key == "*":
            here = [entry for values in here for entry in values]
        else:
            here = [value[int(key)] if isinstance(value, list) else value.get(key) for value in here]
    return here if "*" in path else here[0]


G_IN, G_OUT = "generator.layers.0", "generator.output"
D, G = "discriminator.layers", "generator.layers"
HALF_BATCHES = {"train.d_update": "separate", "train.batch": 128}
NORMAL_WEIGHTS = [{"kind": "normal_init", "std": 0.02}]
ADAM = {"train.g_lr": 2e-4, "train.d_lr": 2e-4, "train.beta1": 0.5}
UP = ["dense", *["transposed"] * 3]
FADE = {"from": 2e-4, "to": 0.0, "over": 32_000_000, "after": 0, "shape": "linear"}

DEMANDED = {
    "cifar10-trial1": ADAM
    | {
        "train.epochs": 200,
        "generator.activation": "leaky_relu",
        f"{G_OUT}.activation": "sigmoid",
        f"{G_OUT}.kernel": 5,
    },
    "cifar10-trial2": ADAM
    | {
        "train.epochs": 500,
        "generator.activation": "relu",
        f"{G_OUT}.activation": "tanh",
        f"{G_OUT}.kernel": 5,
    },
    "cifar10-trial3": ADAM
    | {
        "train.epochs": 500,
        "generator.activation": "relu",
        f"{G_OUT}.activation": "tanh",
        f"{G_OUT}.kernel": 4,
        "objective.kind": "smooth",
        "objective.real": [0.8, 1.2],
        "objective.fake": [0.0, 0.3],
        "rewires.generator.0.std": 0.02,
        "rewires.discriminator.0.kind": "normal_init",
        "discriminator.front.*.width": [64],
        "discriminator.front.*.stride": [1],
    },
    "cifar10-maxpool": HALF_BATCHES
    | {
        "train.epochs": 180,
        "latents.dim": 200,
        f"{D}.*.kind": [*["conv", "max_pool"] * 3, "conv", "dropout"],
        "discriminator.activation": "leaky_relu",
        "generator.activation": "leaky_relu",
        f"{G}.*.kind": UP,
        f"{G_IN}.width": 256,
        f"{G_IN}.size": 4,
        f"{G_OUT}.kernel": 3,
        f"{G_OUT}.activation": "tanh",
        # 10 epochs of 390 batches, each with 64 real images
        "every.save": 10 * 390 * 64,
        "every.samples": 10 * 390 * 64,
        "every.keep": 18,
        "samples.rows": 10,
        "samples.columns": 10,
    },
    "mnist-dcgan": ADAM
    | {
        "train.batch": 32,
        f"{G_IN}.size": 7,
        f"{G_IN}.width": 128,
        f"{G}.*.kind": ["dense", "upsample", "conv", "upsample", "conv"],
        "generator.batch_norm": True,
        f"{G_OUT}.activation": "tanh",
        f"{D}.*.kind": ["conv", "dropout"] * 4,
        f"{D}.*.width": [32, None, 64, None, 128, None, 256, None],
        f"{D}.*.stride": [2, None] * 4,
        f"{D}.*.kernel": [3, None] * 4,
        "discriminator.batch_norm": True,
        "discriminator.momentum": 0.9,
        "discriminator.slope": 0.2,
        "views.0.kind": "instance_noise",
    },
    "mnist-dcgan-128": ADAM | {"train.batch": 32, f"{D}.*.width": [128, None] * 4},
    "cifar10-acgan": {
        "train.epochs": 50,
        "train.batch": 128,
        "train.g_lr": 3e-4,
        "train.d_lr": 2e-4,
        "train.beta1": 0.5,
        "latents.dim": 128,
        "penalties.*.kind": ["auxiliary_classifier"],
        "discriminator.labels": "head",
        "generator.labels": "concatenated",
        f"{G}.*.kind": ["dense", *["transposed"] * 4],  # and the output is the sixth
        f"{G_OUT}.kind": "transposed",
        f"{D}.*.kind": ["conv"] * 7,
    },
    "cifar10-perclass": HALF_BATCHES
    | {
        "train.per_class": True,
        "train.epochs": 100,
        "latents.dim": 100,
        "latents.kind": "normal",
        f"{G}.*.kind": UP,
        f"{G}.*.width": [256, 128, 128, 128],
        f"{D}.*.width": [64, 128, 128, 256, None],
        f"{D}.*.stride": [1, 2, 2, 2, None],
        f"{D}.4.rate": 0.4,
    },
    "cifar10-dcgan": ADAM
    | {
        f"{D}.*.kind": ["conv"] * 3,
        f"{D}.*.stride": [2] * 3,
        f"{D}.*.batch_norm": [False, None, None],
        "discriminator.batch_norm": True,
        "discriminator.activation": "leaky_relu",
        "discriminator.slope": 0.2,
        "generator.batch_norm": True,
        "generator.activation": "relu",
        f"{G}.*.kind": ["dense", "transposed", "transposed"],
        f"{G_OUT}.activation": "tanh",
        "rewires.generator": NORMAL_WEIGHTS,
        "rewires.discriminator": NORMAL_WEIGHTS,
    },
    "cifar10-sngan": {
        "objective.kind": "hinge",
        "generator.labels": "batch_norm",
        "discriminator.labels": "projected",
        "rewires.discriminator.1.kind": "spectral_norm",
        "average.kind": "ema",
        "train.d_steps": 5,
        "train.batch": 64,
        "train.g_lr": FADE,
        "train.d_lr": FADE,
        "train.beta1": 0.0,
        "train.beta2": 0.9,
    },
    "cifar10-biggan-mini": {
        "objective.kind": "hinge",
        "generator.labels": "batch_norm",
        "generator.chunks": True,
        "generator.embedding": 128,
        "discriminator.labels": "projected",
        "rewires.generator.*.kind": ["orthogonal_init", "spectral_norm"],
        "rewires.discriminator.*.kind": ["orthogonal_init", "spectral_norm"],
        "average.kind": "ema",
    },
    "cifar10-r3": {
        "objective.kind": "relativistic",
        "penalties.*.kind": ["r1", "r2"],
        "generator.kind": "r3",
        "discriminator.kind": "r3",
        "average.kind": "ema",
    },
    "shapes-dcgan": {"data.source": "shapes", "discriminator.batch_norm": True},
    "shapes-acgan": {"data.source": "shapes", "penalties.*.kind": ["auxiliary_classifier"]},
    "shapes-sngan": {"data.source": "shapes", "rewires.discriminator.1.kind": "spectral_norm"},
    "shapes-r3": {"data.source": "shapes", "penalties.*.kind": ["r1", "r2"]},
    "quickstart": {"data.source": "shapes"},
    "cifar10-fast": {"features.kind": "classes", "train.d_update": "shared"},
    "folder-fast": {"features.kind": "classes", "data.labels": "if_there", "data.size": 32},
    "mnist-fast": {"features.kind": "classes", "train.d_update": "shared"},
}


@each_recipe
def test_a_shipped_recipe_holds_what_its_source_demands(name):
    recipe = load_recipe(name)
    assert {path: at(recipe, path) for path in DEMANDED[name]} == DEMANDED[name]
    expected = next((data for data in ("cifar10", "mnist") if name.startswith(data)), "shapes")
    assert recipe.data.source == expected


def leaves(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


@pytest.mark.parametrize(("name", "base"), [("cifar10-trial2", "-trial1"), ("cifar10-trial3", "-trial2")])
def test_a_trial_says_only_what_it_changes(name, base):
    said = parse_recipe(recipe_text(name), name)
    assert said.pop("extends") == f"cifar10{base}"
    before = load_recipe(f"cifar10{base}")
    for path, value in leaves(said):
        if not path.startswith("objective.inner"):  # a new table stands there whole
            assert at(before, path) != value, path


@pytest.mark.parametrize(
    "edits",
    [
        ["objective={ kind = 'flip', share = 0.05 }"],
        ["rewires.generator=[{ kind = 'uniform_init', limit = 0.05 }]"],
        ["rewires.discriminator=[{ kind = 'normal_init', std = 0.02 }]"],
        ["views.instance_noise.sigma={ from = 0.1, to = 0.0, over = 500_000 }"],
    ],
)
def test_the_variants_that_mnist_dcgan_offers_are_recipes(edits):
    assert load_recipe("mnist-dcgan", edits) != load_recipe("mnist-dcgan")


def test_the_blocks_of_acgan_are_switched_one_by_one():
    recipe = load_recipe(
        "cifar10-acgan", ["generator.layers.2.batch_norm=false", "discriminator.layers.4.activation=relu"]
    )
    assert at(recipe, "generator.layers.*.batch_norm") == [None, None, False, None, None]
    assert at(recipe, f"{D}.*.activation") == [None] * 4 + ["relu"] + [None] * 2


def test_an_unknown_name_is_told_with_the_nearest_one():
    with pytest.raises(
        RecipeError, match=r'no recipe is called "cifar10-dcgna".*did you mean "cifar10-dcgan"'
    ):
        load_recipe("cifar10-dcgna")

"""What is told of a recipe's problems: where, what was given, what is allowed, what was meant."""

import copy
import string
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from gander.errors import RecipeError
from gander.nets.stack import Layer, Output
from gander.patch import apply_patch
from gander.recipe.catalogue import kind_of, models_in, setting_names
from gander.recipe.read import build_recipe, load_recipe
from gander.recipe.schema import Data, Engine, Every, Recipe, Rewiring, Samples, Train
from gander.recipe.shipped import parse_recipe, recipe_text
from gander.registry import techniques
from gander.schedule import Ramp

TREE = parse_recipe(recipe_text("cifar10-dcgan"), "cifar10-dcgan")


def problems(patch):
    with pytest.raises(RecipeError) as caught:
        build_recipe(apply_patch(TREE, patch))
    return caught.value.problems


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        (
            {"train.bacth": 64},
            "train.bacth = 64: train has no such setting; it has: batch, beta1, beta2, d_lr, d_steps, "
            'd_update, epochs, g_lr, images, per_class; did you mean "batch", as in train.batch=64?',
        ),
        (
            {"objective": "hing"},
            'objective.kind = "hing": allowed are non_saturating, saturating, least_squares, hinge, '
            'wasserstein, relativistic, smooth, flip, top_k; did you mean "hinge"?',
        ),
        (
            {"generator.activation": "rleu"},
            'generator.activation = "rleu": allowed are relu, leaky_relu, elu, silu, tanh, sigmoid, linear; '
            'did you mean "relu"?',
        ),
        (
            {"penalties": [{"kind": "r1", "wieght": 2.0}]},
            "penalties.r1.wieght = 2.0: penalties.r1 has no such setting; it has: every, kind, weight; "
            'did you mean "weight", as in penalties.r1.weight=2.0?',
        ),
        ({"train.batch": "many"}, 'train.batch = "many": must be a valid integer'),
        ({"train.batch": 1}, "train.batch = 1: must be greater than or equal to 2"),
        ({"train.per_class": 1}, "train.per_class = 1: must be a valid boolean"),
        ({"train.g_lr": True}, "train.g_lr = true: must be a valid number"),
        ({"train.g_lr": -1.0}, "train.g_lr = -1.0: must be from 0 to 1"),
        ({"train.g_lr": {"from": 0.1, "over": 9}}, "train.g_lr.to is missing"),
        ({"train": 5}, "train = 5: must be a table, { setting = value, ... }"),
        ({"penalties": 5}, "penalties = 5: must be a list, [ ... ]"),
        ({"penalties": [{"weight": 1.0}]}, 'penalties.0 = {"weight": 1.0}: no kind is given; '),
        ({"seed": "x" * 500}, f'seed = "{"x" * 56}...: must be a valid integer'),
        (
            {"train.images": 5, "train.epochs": 5},
            "train: give one of train.images and train.epochs, for example train.images=200000",
        ),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else None,
)
def test_a_problem_is_one_line_that_a_person_can_act_on(patch, says):
    (problem,) = problems(patch)
    assert problem.startswith(says)


def test_every_problem_is_told_at_once():
    told = problems({"train.batch": 1, "train.beta1": 2.0, "seed": -1, "views": [{"kind": "noise"}]})
    assert [problem.split(" = ")[0] for problem in told] == [
        "seed",
        "views.noise.kind",
        "train.batch",
        "train.beta1",
    ]


def tables() -> Iterator[tuple[dict[str, object], str, type[BaseModel]]]:
    """Give every table that a recipe can hold: an edit that puts it there, its path, its class."""
    yield {}, "", Recipe
    plain = {"data": Data, "train": Train, "every": Every, "samples": Samples, "engine": Engine}
    for path, model in (plain | {"rewires": Rewiring}).items():
        yield {}, path, model
    yield {"train.g_lr": {"from": 0.1}}, "train.g_lr", Ramp
    yield {}, "generator.output", Output
    for layer in models_in(Layer):
        yield {"generator.layers": [{"kind": kind_of(layer)}]}, "generator.layers.0", layer
    for slot, kinds in techniques().items():
        for kind, model in kinds.items():
            if slot in ("penalties", "views"):
                yield {slot: [{"kind": kind}]}, f"{slot}.0", model
            elif slot == "rewires":
                yield {"rewires.generator": [{"kind": kind}]}, "rewires.generator.0", model
            else:
                yield {slot: {"kind": kind}}, slot, model


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ({"lr": 0.1}, 'did you mean "train.g_lr", as in train.g_lr=0.1?'),
        ({"train.learning_rate": 0.1}, 'did you mean "train.g_lr", as in train.g_lr=0.1?'),
        ({"epochs": 5}, 'did you mean "train.epochs", as in train.epochs=5?'),
        ({"optimizer": "adam"}, "Adam is the optimiser of both nets: train.g_lr, train.d_lr, train.beta1"),
        ({"objective": "BCE"}, 'did you mean "non_saturating"?'),
        ({"objective": "wgan-gp"}, "type objective=wasserstein penalties=gradient_penalty"),
    ],
)
def test_the_words_of_others_are_answered_with_the_names_here(patch, says):
    (problem,) = problems(patch)
    assert says in problem


def test_one_technique_needs_no_list():
    edits = ["penalties=r1", "penalties.r1.weight=3", "views=diffaugment", "rewires.generator=spectral_norm"]
    recipe = load_recipe("shapes-dcgan", edits)
    assert [(each.kind, each.weight) for each in recipe.penalties] == [("r1", 3)]
    assert [each.kind for each in (*recipe.views, *recipe.rewires.generator)] == [
        "diffaugment",
        "spectral_norm",
    ]


def typos(name):
    """Give words one slip away: a letter left out, doubled, replaced, two swapped."""
    for place in range(len(name)):
        other = string.ascii_lowercase[(string.ascii_lowercase.find(name[place]) + 7) % 26]
        yield name[:place] + name[place + 1 :]
        yield name[: place + 1] + name[place:]
        yield name[:place] + other + name[place + 1 :]
        yield name[:place] + name[place : place + 2][::-1] + name[place + 2 :]


def test_nineteen_of_twenty_slips_in_a_settings_name_are_understood():
    asked, missed = 0, []
    for edit, path, model in tables():
        names = setting_names(model)
        if not edit and isinstance(TREE.get(path), str):  # data = "cifar10"
            edit = {path: {}}
        tree = apply_patch(TREE, edit)
        for name in names:
            for typo in {*typos(name)} - {*names, ""}:
                broken = copy.deepcopy(tree)
                table = broken
                for key in path.split(".") if path else ():
                    table = table[int(key)] if isinstance(table, list) else table.setdefault(key, {})
                table[typo] = 1
                with pytest.raises(RecipeError) as caught:
                    build_recipe(broken)
                asked += 1
                if f'did you mean "{name}"' not in str(caught.value):
                    missed.append((path, name, typo))
    assert asked > 3_000  # each setting of each table
    assert len(missed) / asked <= 0.05, missed


def test_a_patch_says_the_path_that_it_was_given():
    with pytest.raises(
        RecipeError, match=r"recipe mnist-dcgan: views\.instance_noise\.sigma = -1: must be at least 0"
    ):
        load_recipe("mnist-dcgan", ["views.instance_noise.sigma=-1"])


def test_after_twenty_problems_the_rest_is_counted():
    told = problems({"train": {f"setting{number}": 1 for number in range(1_022)}})
    assert len(told) == 21
    assert told[-1] == "and 1,002 more problems"


def test_a_kind_that_stands_twice_is_told_by_its_place():
    with pytest.raises(RecipeError, match=r"discriminator\.layers\.2\.widht = 3"):
        load_recipe("cifar10-dcgan", ["discriminator.layers.2.widht=3"])
    with pytest.raises(RecipeError, match=r"penalties\.r1\.wieght"):
        load_recipe("cifar10-r3", ["penalties.r1.wieght=3"])

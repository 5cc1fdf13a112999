"""Writing recipes: the form that every run stores."""

import tomllib

from gander.recipe.read import load_recipe
from gander.recipe.write import recipe_toml


def test_a_recipe_is_written_with_every_setting_under_the_name_that_is_typed():
    smooth = tomllib.loads(recipe_toml(load_recipe("cifar10-trial3")))["objective"]
    assert smooth == {
        "kind": "smooth",
        "real": [0.8, 1.2],
        "fake": [0.0, 0.3],
        "inner": {"kind": "non_saturating"},
    }
    fading = tomllib.loads(recipe_toml(load_recipe("cifar10-sngan")))["train"]["g_lr"]
    assert fading == {"from": 2e-4, "to": 0.0, "over": 32_000_000, "after": 0, "shape": "linear"}


def test_defaults_are_written_out_so_that_a_later_default_changes_no_run():
    train = tomllib.loads(recipe_toml(load_recipe("quickstart")))["train"]
    assert {"batch", "d_steps", "d_update", "beta2", "per_class"} < train.keys()

"""A user's own modules: found, imported, and named by recipes like what comes with gander."""

import sys
from importlib import metadata

import pytest

from gander.errors import RecipeError
from gander.nets.average import Ema
from gander.recipe import plugins
from gander.recipe.read import build_recipe, load_recipe
from gander.recipe.shipped import parse_recipe
from gander.recipe.write import recipe_toml
from gander.registry import subkinds, techniques
from gander.techniques.slots import Penalty

pytestmark = pytest.mark.usefixtures("as_before")

EDGES = """
from typing import Literal
from gander.techniques.slots import Penalty

class Edges(Penalty):
    kind: Literal["{kind}"] = "{kind}"
    sharpness: float = 1.0
"""


@pytest.fixture
def mine(tmp_path):
    """Write a recipe beside a module that defines its penalty."""
    (tmp_path / "my_edges.py").write_text(EDGES.format(kind="edges"))
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "shapes-acgan"\nplugins = ["my_edges"]\npenalties = ["auxiliary_classifier", "edges"]'
    )
    return path


def told(*args):
    with pytest.raises(RecipeError) as caught:
        load_recipe(*args)
    return caught.value


def test_a_module_beside_the_recipe_defines_what_it_names(mine):
    recipe = load_recipe(str(mine), ["penalties.edges.sharpness=2"])
    assert (recipe.penalties[1].kind, recipe.penalties[1].sharpness) == ("edges", 2.0)
    stored = recipe_toml(recipe)
    assert 'plugins = [\n    "my_edges",\n]' in stored
    assert "sharpness = 2.0" in stored
    assert build_recipe(parse_recipe(stored, "")) == recipe


def test_problems_with_ones_own_techniques_are_told_like_any(mine):
    (problem,) = told(str(mine), ["penalties.edges.sharpnes=2"]).problems
    assert (
        'penalties.edges has no such setting; it has: every, kind, sharpness; did you mean "sharpness"'
        in problem
    )
    (problem,) = told(str(mine), ["penalties.+edgse"]).problems
    allowed, meant = problem.partition("allowed are ")[2].split("; ")
    assert sorted(allowed.split(", ")) == sorted(techniques()["penalties"])
    assert {"r1", "auxiliary_classifier", "edges"} < {*allowed.split(", ")}
    assert meant == 'did you mean "edges"?'


def test_a_module_that_is_not_there_is_one_line(mine):
    error = told(str(mine), ['plugins=["my_egdes"]'])
    assert error.problems[0].endswith('plugins: there is no module "my_egdes" here')
    assert "PYTHONPATH" in error.hint


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("\nimport my_missing_thing", "ModuleNotFoundError: No module named 'my_missing_thing'"),
        ("\n1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_fails_is_told_with_its_line(mine, body, says):
    mine.with_name("my_edges.py").write_text(body)
    (problem,) = told(str(mine)).problems
    assert says in problem
    assert problem.endswith("my_edges.py, line 2)")


def test_what_lies_in_a_run_is_never_imported(mine):
    """A run may be a stranger's; the module must be where its reader put it."""
    (mine.parent / "env.json").write_text("{}")
    assert 'no module "my_edges"' in str(told(str(mine)))


def test_a_kind_belongs_to_one_class(mine):
    mine.with_name("my_edges.py").write_text(EDGES.format(kind="r1"))
    (problem,) = told(str(mine)).problems
    assert problem.endswith(
        'kind = "r1" in penalties is taken by gander.techniques.penalties.R1; choose another'
    )


def test_a_class_that_is_defined_anew_takes_its_own_place(mine):
    load_recipe(str(mine))
    before = techniques()["penalties"]["edges"]
    del sys.modules["my_edges"]
    recipe = load_recipe(str(mine))
    assert type(recipe.penalties[1]) is techniques()["penalties"]["edges"] is not before
    assert [model for model in subkinds(Penalty) if model.__name__ == "Edges"] == [type(recipe.penalties[1])]


def test_what_is_installed_as_a_plugin_needs_no_naming(mine, monkeypatch):
    point = metadata.EntryPoint("edges", "my_edges", "gander.plugins")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "gander.plugins" else [])
    monkeypatch.syspath_prepend(mine.parent)
    plugins._import_installed.cache_clear()
    assert load_recipe("shapes-acgan", ["penalties.+edges"]).penalties[1].kind == "edges"
    plugins._import_installed.cache_clear()


def test_a_slot_takes_what_fits_it_and_nothing_else():
    assert Ema not in subkinds(Penalty)
    assert {model.slot for model in subkinds(Penalty)} == {"penalties"}

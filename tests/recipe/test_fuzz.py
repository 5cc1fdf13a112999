"""Whatever is given as a recipe: a recipe comes out, or one line for each problem, soon."""

import copy
import string
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gander.errors import GanderError
from gander.patch import apply_patch
from gander.recipe.read import build_recipe, load_recipe
from gander.recipe.schema import Recipe
from gander.recipe.shipped import parse_recipe, recipe_names, recipe_text
from gander.recipe.write import recipe_toml

SECONDS, LINE = 1.0, 400


def nested(kind, depth):
    value = 1
    for _ in range(depth):
        value = [value] if kind is list else {"kind": value}
    return value


# Too large to be shown where a test fails: drawn by name, then put in place.
LARGE = {
    "<10 ** 400>": 10**400,
    "<10 ** 5000>": 10**5000,
    "<a long word>": "a" * 10_000,
    "<a long list>": [1] * 20_000,
    "<many tables>": [{"kind": "r1"}] * 1_000,
    "<many settings>": {str(number): 1 for number in range(5_000)},
} | {
    f"<{kind.__name__} {depth} deep>": nested(kind, depth)
    for kind in (list, dict)
    for depth in (40, 400, 4_000)
}


def in_place(value):
    match value:
        case dict():
            return {
                LARGE.get(key, key) if key == "<a long word>" else key: in_place(value[key]) for key in value
            }
        case list():
            return [in_place(entry) for entry in value]
        case str():
            return LARGE.get(value, value)
        case _:
            return value


NUMBERS = [1e308, -1e308, 1e-320, float("nan"), float("inf"), 2**63, -(2**64), 0, -1, 0.5, True]
WORDS = ["", "kind", "r1", "two\nlines", "\x1b[31m", "naïve ✓ \u2028 \U0001f986", "'\"\\", "\ud800"]
ODD = st.sampled_from([*NUMBERS, *WORDS, None, [], {}]) | st.sampled_from([*LARGE])
SETTINGS = sorted(set(Recipe.model_fields) | {"kind", "weight", "layers", "batch", "images"})
KEYS = st.sampled_from(SETTINGS) | st.text(max_size=5) | st.sampled_from(["<a long word>", "a.b", "\n", ""])
PLAIN = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TREES = [parse_recipe(recipe_toml(load_recipe(name)), name) for name in recipe_names()]


def tables(tree):
    """Give every table and list in a tree, outermost first."""
    if isinstance(tree, dict | list):
        yield tree
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from tables(value)


@st.composite
def mutated(draw):
    """Change a shipped recipe in a few places: drop, replace, rename, double."""
    tree = copy.deepcopy(draw(st.sampled_from(TREES)))
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from([*tables(tree)][:60]))
        if not table:
            continue
        place = draw(st.sampled_from(sorted(table) if isinstance(table, dict) else range(len(table))))
        change = draw(st.sampled_from(["drop", "replace", "rename"]))
        value = table.pop(place) if change != "replace" else table[place]
        if change == "replace":
            table[place] = draw(PLAIN)
        elif change == "rename" and isinstance(table, dict):
            slip = draw(st.sampled_from(string.ascii_lowercase))
            table[draw(KEYS | st.just(place + slip))] = value
    return tree


PATHS = st.sampled_from(
    [
        *("train.batch", "penalties", "generator.layers.0.width", "views.0", "data", "objective.kind"),
        *("train.g_lr.from", "seed.x", "generator.layers.dense.size", "a" * 3_000, "x." * 3_000 + "x"),
    ]
)
VALUES = st.sampled_from(
    [
        *("1e308", "nan", "0x" + "f" * 5_000, "9" * 4_000, "[" * 300 + "]" * 300, "a" * 5_000, "{a.a.a.a=1}"),
        *("{kind='r1'}", "[{kind='r1'}]", "{from=1,to=0,over=5}", "true", "1\nseed=3", "'", "2020-01-01"),
    ]
)
EDITS = st.tuples(PATHS, VALUES | st.text(max_size=20)).map("=".join)
PATCHES = st.lists(st.text(max_size=30) | EDITS | VALUES, min_size=1, max_size=3)
LINES = st.sampled_from(
    [
        *("[train]", "[generator]", "[[penalties]]", "kind = 'stack'", "images = 1e9", "x = '''"),
        *(f"extends = '{name}'" for name in ("quickstart", "some.toml", "a" * 5_000, "a" * 5_000 + ".toml")),
        *(
            "seed = 0x" + "f" * 5_000,
            "x = " + "[" * 3_000,
            "[" + "a." * 400 + "a]",
            "a" + ".a" * 400 + " = 1",
        ),
    ]
)
FILES = (
    st.binary(max_size=200)
    | st.lists(LINES | st.text(max_size=30), max_size=8).map(lambda lines: "\n".join(lines).encode())
    | st.tuples(
        st.sampled_from(recipe_names()).map(recipe_text), st.integers(0, 2000), st.binary(max_size=3)
    ).map(lambda cut: cut[0].encode()[: cut[1]] + cut[2] + cut[0].encode()[cut[1] :])
)


def read_file(content, path):
    path.write_bytes(content)
    return load_recipe(str(path))


FUZZES = {
    "plain data": (st.dictionaries(KEYS, PLAIN, max_size=6), lambda tree, _: build_recipe(in_place(tree))),
    "mutated recipes": (mutated(), lambda tree, _: build_recipe(in_place(tree))),
    "values in patches": (
        st.dictionaries(PATHS | KEYS, PLAIN, min_size=1, max_size=3),
        lambda patch, _: build_recipe(apply_patch(TREES[-1], in_place(patch))),
    ),
    "typed patches": (PATCHES, lambda texts, _: load_recipe("quickstart", texts)),
    "files": (FILES, read_file),
}


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("given_as", "read"), FUZZES.values(), ids=FUZZES)
def test_anything_is_a_recipe_or_one_line_a_problem(given_as, read, count, tmp_path):
    @settings(max_examples=count, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    @given(given_as)
    def check(something):
        began, told = time.process_time(), ["a problem"]
        try:
            recipe = read(something, tmp_path / "some.toml")
            assert build_recipe(parse_recipe(recipe_toml(recipe), "")) == recipe
        except GanderError as error:
            told = error.problems
        assert time.process_time() - began < SECONDS
        assert told
        for line in told:
            assert line.splitlines() == [line]
            assert len(line) < LINE
            line.encode()  # it can be printed

    check()

"""Patches: read, made, written."""

import copy
import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gander.errors import RecipeError
from gander.patch import apply_patch, parse_patch, parse_value, show_patch


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("2e-4", 2e-4),
        ("1_000", 1000),
        ("true", True),
        ("hinge", "hinge"),
        ('"64"', "64"),
        ("", ""),
        ("../data/cifar 10", "../data/cifar 10"),
        ("[0.8, 1.2]", [0.8, 1.2]),
        ("{ from = 0.1, to = 0.0 }", {"from": 0.1, "to": 0.0}),
        ("{ from = 0.1, to", "{ from = 0.1, to"),
        ("1\nseed = 2", "1\nseed = 2"),  # a second setting is no part of a value
        ("[" * 5000, "[" * 5000),
        ("9" * 5000, "9" * 5000),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_value_is_toml_where_it_can_be_and_text_elsewhere(text, value):
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


def test_edits_keep_their_order_and_the_last_word_counts():
    patch = parse_patch(["train.batch=8", "objective=hinge", " train.batch = 4 "])
    assert [*patch.items()] == [("objective", "hinge"), ("train.batch", 4)]


def test_only_the_first_equals_sign_parts_path_and_value():
    assert parse_patch(["title=a=b"]) == {"title": "a=b"}


def test_each_text_that_is_no_edit_is_told():
    with pytest.raises(RecipeError) as caught:
        parse_patch(["train.batch", "seed=1", "=3", "train..batch=3", "tr ain=3"])
    assert [problem.split('"')[1] for problem in caught.value.problems] == [
        "train.batch",
        "=3",
        "train..batch=3",
        "tr ain=3",
    ]


TREE = {
    "data": "cifar10",
    "objective": "hinge",
    "seed": 1,
    "train": {"batch": 64},
    "penalties": [{"kind": "r1", "weight": 1.0}, {"kind": "r2"}],
}


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("seed", 5, {"seed": 5}),
        ("train.batch", 8, {"train": {"batch": 8}}),
        ("every.log", 10, {"every": {"log": 10}}),
        ("data.path", "d", {"data": {"source": "cifar10", "path": "d"}}),
        ("objective.share", 0.1, {"objective": {"kind": "hinge", "share": 0.1}}),
        ("penalties.r2.weight", 3, {"penalties": [TREE["penalties"][0], {"kind": "r2", "weight": 3}]}),
        ("penalties.0.weight", 3, {"penalties": [{"kind": "r1", "weight": 3}, {"kind": "r2"}]}),
        ("penalties.1", {"kind": "x"}, {"penalties": [TREE["penalties"][0], {"kind": "x"}]}),
        ("penalties", [], {"penalties": []}),
    ],
)
def test_a_patch_changes_what_its_path_names_in_a_copy(path, value, changed):
    before = copy.deepcopy(TREE)
    assert apply_patch(TREE, {path: value}) == TREE | changed
    assert before == TREE


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            "penalties.lecam.weight",
            'penalties has no entry "lecam"; it holds: r1, r2; to add one, type penalties.+lecam.weight=3',
        ),
        ("penalties.2.weight", 'penalties has no entry "2"; it holds: r1, r2'),
        ("seed.value", "seed is 1, which has no parts"),
        ("train.batch.size", "train.batch is 64, which has no parts"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_with_what_there_is(path, says):
    with pytest.raises(RecipeError) as caught:
        apply_patch(TREE, {path: 3, "seed": 2})
    assert caught.value.problems == (f"{path} = 3: {says}",)


R1, R2 = TREE["penalties"]


@pytest.mark.parametrize(
    ("edits", "penalties"),
    [
        (["penalties.+lecam"], [R1, R2, {"kind": "lecam"}]),
        (
            ["penalties.+lecam.weight=1", "penalties.+lecam.every=4"],
            [R1, R2, {"kind": "lecam", "weight": 1, "every": 4}],
        ),
        (["penalties.+r2.weight=1"], [R1, {"kind": "r2", "weight": 1}]),  # it is there: edited, not doubled
        (["penalties.-r1"], [R2]),
        (["penalties.-r1", "penalties.-r2"], []),
        (["penalties.-r1", "penalties.+r1.weight=3"], [R2, {"kind": "r1", "weight": 3}]),
    ],
)
def test_a_patch_adds_to_lists_and_takes_away(edits, penalties):
    before = copy.deepcopy(TREE)
    assert apply_patch(TREE, parse_patch(edits)) == TREE | {"penalties": penalties}
    assert before == TREE


def test_a_setting_taken_away_goes_back_to_its_default():
    assert apply_patch(TREE, parse_patch(["train.-batch"])) == TREE | {"train": {}}


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ("penalties.-r3", 'penalties has no entry "r3"; it holds: r1, r2'),
        ("train.-bacth", 'train has no "bacth"; did you mean "batch"?'),
        ("train.+momentum", 'train has no "momentum"'),
        ("penalties.+lecam=5", "give its settings one by one, as in penalties.+lecam.weight=1"),
    ],
)
def test_what_cannot_be_added_or_taken_away_is_told(edit, says):
    with pytest.raises(RecipeError) as caught:
        apply_patch(TREE, parse_patch([edit]))
    (problem,) = caught.value.problems
    assert problem.removesuffix(says) in (f"{edit}: ", f"{edit.replace('=', ' = ')}: ")


@pytest.mark.parametrize("text", ["penalties.r1", "penalties.+", "+penalties.+r1.weight", "penalties.++r1"])
def test_only_what_is_added_or_taken_away_stands_without_a_value(text):
    with pytest.raises(RecipeError, match="is not an edit"):
        parse_patch([text])


def test_counts_and_booleans_may_be_written_as_people_write_them():
    edits = ["a=10k", "b=1.5M", "c=1e6", "d=True", "e=1e-4", "f=10kg", "g=1.25e1"]
    given = {"a": 10_000, "b": 1_500_000, "c": 1_000_000, "d": True, "e": 1e-4, "f": "10kg", "g": 12.5}
    assert parse_patch(edits) == given
    assert isinstance(parse_patch(edits)["c"], int)


def test_broken_toml_is_called_that():
    with pytest.raises(RecipeError, match="what follows the = is broken TOML; a list is"):
        parse_patch(["penalties=[{ kind = 'r1'"])


KEYS = st.from_regex(r"\+?[A-Za-z0-9_-]{1,8}", fullmatch=True)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, derandomize=True)
@given(st.dictionaries(st.lists(KEYS, min_size=1, max_size=3).map(".".join), VALUES, max_size=3))
@example({"penalties.+r1": None, "penalties.-r2": None, "rewires.generator.+spectral_norm": None})
@example({"penalties.+r1.weight": 1, "-r1": 5, "a.-b": "", "a.+b": "None"})
@example({"penalties": [{"kind": "r1", "weight": {"from": 1e-05, "to": 0.0}}], "train.per_class": True})
@example({"title": "it's 5 o'clock", "data.path": "64", "a": "true", "b": " padded", "c": "\x7f\n\t\\"})
def test_a_patch_is_shown_as_it_is_typed_in_a_shell(patch):
    assert parse_patch(shlex.split(show_patch(patch))) == patch


def test_plain_edits_are_shown_without_quotes():
    patch = {"train.batch": 64, "objective": "hinge", "train.per_class": True, "train.g_lr": 2e-4}
    assert show_patch(patch) == "train.batch=64 objective=hinge train.per_class=true train.g_lr=0.0002"

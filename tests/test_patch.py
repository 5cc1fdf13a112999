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
        ("penalties.lecam.weight", 'penalties has no entry "lecam"; it holds: r1, r2'),
        ("penalties.2.weight", 'penalties has no entry "2"; it holds: r1, r2'),
        ("seed.value", "seed is 1, which has no parts"),
        ("train.batch.size", "train.batch is 64, which has no parts"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_with_what_there_is(path, says):
    with pytest.raises(RecipeError) as caught:
        apply_patch(TREE, {path: 3, "seed": 2})
    assert caught.value.problems == (f"{path} = 3: {says}",)


KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, derandomize=True)
@given(st.dictionaries(st.lists(KEYS, min_size=1, max_size=3).map(".".join), VALUES, max_size=3))
@example({"penalties": [{"kind": "r1", "weight": {"from": 1e-05, "to": 0.0}}], "train.per_class": True})
@example({"title": "it's 5 o'clock", "data.path": "64", "a": "true", "b": " padded", "c": "\x7f\n\t\\"})
def test_a_patch_is_shown_as_it_is_typed_in_a_shell(patch):
    assert parse_patch(shlex.split(show_patch(patch))) == patch


def test_plain_edits_are_shown_without_quotes():
    patch = {"train.batch": 64, "objective": "hinge", "train.per_class": True, "train.g_lr": 2e-4}
    assert show_patch(patch) == "train.batch=64 objective=hinge train.per_class=true train.g_lr=0.0002"

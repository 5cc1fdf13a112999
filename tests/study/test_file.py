"""What a study file says, and what is said of one that does not fit."""

from __future__ import annotations

import pytest

from gander.errors import UsageError
from gander.study.file import list_arms, read_study, study_digest

FILE = """
title = "Do soft labels help?"
recipe = "shapes-dcgan"
seeds = 5
images = 20_000
score = "fd-judge"
smallest = 0.05
[arms]
plain = []
soft = ["objective={ kind = 'smooth' }"]
[axes]
"train.d_lr" = [1e-4, 2e-4]
"""


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def refused(folder, old, new, text=FILE):
    assert old in text
    with pytest.raises(UsageError) as error:
        read_study(write(folder, text.replace(old, new)))
    return str(error.value)


def test_arms_are_named_patches_times_the_values_of_the_axes_and_the_first_is_the_baseline(tmp_path):
    study = read_study(write(tmp_path, FILE))
    assert study.seeds == [0, 1, 2, 3, 4]
    arms = list_arms(study)
    assert [arm.folder for arm in arms] == [
        "plain,d_lr=0.0001",
        "plain,d_lr=0.0002",
        "soft,d_lr=0.0001",
        "soft,d_lr=0.0002",
    ]
    assert arms[0].patch == {"train.d_lr": 1e-4}
    assert arms[3].patch == {"objective": {"kind": "smooth"}, "train.d_lr": 2e-4}


def test_every_data_set_has_all_arms_in_folders_of_its_own(tmp_path):
    study = read_study(write(tmp_path, 'data = ["shapes", "/here/my images"]\n' + FILE))
    arms = list_arms(study)
    assert [arm.folder for arm in arms][::4] == ["plain,d_lr=0.0001@shapes", "plain,d_lr=0.0001@my-images"]
    assert arms[4].patch["data"] == "/here/my images"


def test_axes_alone_are_a_study_and_techniques_are_named_by_their_kind(tmp_path):
    text = (
        'recipe = "shapes-dcgan"\nseconds = 9\n[axes]\nobjective = ["hinge", {kind = "flip", share = 0.1}]\n'
    )
    study = read_study(write(tmp_path, text + "views = [[], ['instance_noise']]"))
    assert [arm.name for arm in list_arms(study)] == [
        "objective=hinge,views=none",
        "objective=hinge,views=instance_noise",
        "objective=flip,views=none",
        "objective=flip,views=instance_noise",
    ]
    assert study.title == "mine"


def test_a_recipe_that_lies_beside_the_study_is_read_from_any_folder(tmp_path):
    (tmp_path / "base.toml").write_text('extends = "quickstart"')
    study = read_study(write(tmp_path, FILE.replace("shapes-dcgan", "base.toml")))
    assert study.recipe == str(tmp_path / "base.toml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "smallest",
            "smalest",
            'smalest = 0.05: a study has no such setting; it has: .*did you mean "smallest"',
        ),
        ("fd-judge", "fd-jugde", 'score = "fd-jugde": allowed are .*did you mean "fd-judge"'),
        ("fd-judge", "kd-judge", "allowed are"),
        ("seeds = 5", 'seeds = "five"', 'seeds = "five": must be a valid list'),
        ("seeds = 5", "seeds = [1, 1]", "a seed stands twice"),
        ("images = 20_000", "", "give one of images and seconds"),
        ("images = 20_000", "images = 1\nlooks = 'often'", 'looks = "often": write the numbers'),
        ("images = 20_000", "images = 1\nlooks = [5, 3]", "ascending"),
        ("plain = []", '"a/b" = []', 'arms."a/b": names a folder'),
        ("plain = []", 'plain = ["seed=4"]', "arms.plain: seed=4: every trial has the study's own seed"),
        ("plain = []", 'plain = ["train.images=4"]', "the study's own train.images"),
        ("plain = []", 'plain = ["batch 3"]', '"batch 3" is not an edit'),
        ("[1e-4, 2e-4]", "[1e-4, 1e-4]", 'two arms are called "plain,d_lr=0.0001"'),
        ("[1e-4, 2e-4]", "[]", "give the values that are compared"),
        ("title =", "title", "is not TOML: .*line 2"),
    ],
)
def test_what_does_not_fit_is_said_with_what_does(tmp_path, old, new, says):
    message = refused(tmp_path, old, new)
    assert str(tmp_path / "mine.toml") in message
    assert __import__("re").search(says, message), message


def test_a_study_that_compares_nothing_is_refused(tmp_path):
    assert "nothing is compared" in refused(
        tmp_path, "seeds", "seeds", 'recipe="shapes-dcgan"\nseeds=3\nimages=9'
    )


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_study(tmp_path / "none.toml")


def test_the_digest_is_of_what_a_study_says_and_not_of_how_it_is_written(tmp_path):
    one = study_digest(read_study(write(tmp_path, FILE)))
    assert (
        study_digest(
            read_study(write(tmp_path, "# a remark\n" + FILE.replace("seeds = 5", "seeds = [0,1,2,3,4]")))
        )
        == one
    )
    assert study_digest(read_study(write(tmp_path, FILE.replace("0.05", "0.06")))) != one

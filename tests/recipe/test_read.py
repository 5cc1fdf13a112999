"""Reading recipes: extending, patching, and what is told where that fails."""

import re
import shlex
import time
from pathlib import Path

import pytest

from gander.errors import RecipeError
from gander.patch import show_patch
from gander.recipe.read import build_recipe, load_recipe
from gander.recipe.shipped import parse_recipe, recipe_names, recipe_text


@pytest.fixture
def write(tmp_path):
    """Write a recipe file and give its path."""

    def written(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return str(path)

    return written


def problems(name, patch=()):
    with pytest.raises(RecipeError) as caught:
        load_recipe(name, patch)
    return caught.value.problems


def test_a_file_that_extends_changes_what_it_says_and_nothing_else(write):
    base = load_recipe("cifar10-dcgan").model_dump(by_alias=True)
    own = load_recipe(
        write(
            """
            extends = "cifar10-dcgan"
            penalties = [{ kind = "r1" }]
            average = { kind = "latest" }                     # another kind: the old table goes
            objective = "hinge"
            [generator]
            output = { activation = "sigmoid" }               # the same kind: the rest stays
            layers = [{ kind = "dense", width = 8, size = 32 }]  # a list: the old one goes
            [train]
            batch = 8
            """
        )
    ).model_dump(by_alias=True)
    changed = {key for key in base if own[key] != base[key]}
    assert changed == {"penalties", "average", "objective", "generator", "train"}
    assert own["train"] == base["train"] | {"batch": 8}
    assert own["average"] == {"kind": "latest"}
    assert own["generator"]["output"] == base["generator"]["output"] | {"activation": "sigmoid"}
    assert len(own["generator"]["layers"]) == 1
    assert own["generator"]["batch_norm"]


def test_files_extend_files_beside_them(write):
    write('extends = "quickstart"\nseed = 1\n[train]\nepochs = 3', "first.toml")
    recipe = load_recipe(write('extends = "first.toml"\n[train]\nbatch = 8', "second.toml"))
    assert (recipe.seed, recipe.train.epochs, recipe.train.images, recipe.train.batch) == (1, 3, None, 8)


@pytest.mark.parametrize("files", [["a"], ["a", "b"], ["a", "b", "c"]], ids=len)
def test_recipes_that_extend_one_another_in_a_circle_are_told(write, files):
    for name, base in zip(files, [*files[1:], files[0]], strict=True):
        path = write(f'extends = "{base}.toml"', f"{name}.toml")
    (problem,) = problems(path)
    assert "extends itself: " in problem
    assert problem.count(" -> ") == len(files)


@pytest.mark.parametrize(
    ("patch", "images", "epochs"),
    [
        (["train.images=500"], 500, None),
        (["train.epochs=2"], None, 2),
        (["train.epochs=2", "train.images=500"], None, None),
    ],
)
def test_images_replace_epochs_and_epochs_replace_images(patch, images, epochs):
    for name in ("shapes-r3", "cifar10-dcgan"):  # one says images, the other epochs
        if len(patch) == 2:
            assert "give one of train.images and train.epochs" in problems(name, patch)[0]
        else:
            train = load_recipe(name, patch).train
            assert (train.images, train.epochs) == (images, epochs)


def test_an_epoch_is_as_many_steps_as_whole_batches_fit():
    steps = {
        "train.epochs=180": 180 * 390,
        "train.epochs=0.5": 195,
        "train.images=6400": 100,
        "train.images=6401": 101,
        "train.images=1": 1,
    }
    for edit, expected in steps.items():
        assert load_recipe("cifar10-maxpool", [edit]).steps_for(50_000) == expected
    assert load_recipe("cifar10-perclass").steps_for(5_000, stages=10) == 100 * 39
    assert load_recipe("cifar10-perclass", {"train.images": 64_000}).steps_for(5_000, stages=10) == 100


def test_a_patch_is_the_same_as_text_and_as_values():
    texts = load_recipe("quickstart", ["train.batch=8", "objective=wasserstein"])
    assert texts == load_recipe("quickstart", {"train.batch": 8, "objective": "wasserstein"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = 1\ntitle = oops\n", "line 2, column 9"),
        ("seed = 1\nseed = 2\n", "line 2"),
        ("[" * 50 + "\n", "line 1"),
        ("x = " + "[" * 5000, "nested too deep"),
        ("seed = " + "9" * 5000, "a number is too long"),
        (b"\xff\xfe", "is not UTF-8 text"),
        ("#" * (1 << 20) + "\n", "over 1 MiB"),
        ("extends = 5", 'write one name, as in extends = "quickstart"'),
        ('extends = "nothing"', 'no recipe is called "nothing"'),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_file_that_is_no_recipe_is_told_in_one_line(write, text, says):
    (problem,) = problems(write(text))
    assert says in problem


def test_a_path_that_cannot_be_read_is_told(tmp_path):
    assert "cannot be read: No such file" in problems(str(tmp_path / "none.toml"))[0]
    (tmp_path / "folder.toml").mkdir()
    assert "cannot be read: Is a directory" in problems(str(tmp_path / "folder.toml"))[0]


def test_problems_say_which_recipe_and_what_to_type_next():
    with pytest.raises(RecipeError) as caught:
        load_recipe("shapes-dcgan", ["train.batch=1", "seed=-1"])
    assert all(problem.startswith("recipe shapes-dcgan: ") for problem in caught.value.problems)
    assert len(caught.value.problems) == 2
    assert caught.value.hint == "gander recipes shapes-dcgan"


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        (["train.d_update=separate", "objective=relativistic"], "relativistic compares real with fake"),
        (["train.d_update=separate", "penalties=[{ kind = 'lecam' }]"], "lecam looks at real and fake"),
        (["train.d_update=shared", "train.d_steps=2"], "with shared fakes D and G are updated once each"),
        (["train.d_update=separate", "train.batch=5"], "half-batches need an even number"),
        (["train.per_class=true"], "each net sees one class"),
        (["discriminator.labels=head"], "nothing trains the head"),
        (
            ["discriminator.labels=ignored"],
            "teaches the generator what they mean; set discriminator.labels=projected",
        ),
        (["generator.labels=ignored"], "that the generator is not given; set generator.labels=batch_norm"),
        (["penalties=[{ kind = 'auxiliary_classifier' }]"], 'set discriminator.labels="head"'),
        (["penalties=[{ kind = 'r1' }, { kind = 'r1' }]"], "r1 stands twice"),
    ],
)
def test_settings_that_do_not_go_together_are_told(patch, says):
    assert any(says in problem for problem in problems("shapes-sngan", patch))


@pytest.mark.parametrize(
    ("key", "name"), [("data", "mnist"), ("objective", "hinge"), ("average", "ema"), ("latents", "uniform")]
)
def test_a_name_alone_stands_for_a_table(key, name):
    tree = parse_recipe(recipe_text("quickstart"), "quickstart")
    word = "source" if key == "data" else "kind"
    assert build_recipe(tree | {key: name}) == build_recipe(tree | {key: {word: name}})


def test_labels_that_only_one_net_is_given_are_refused_with_what_mends_it():
    """A labelled generator that nothing teaches would write a labelled data set of noise."""
    for name, patch, mends in (
        ("shapes-acgan", ["generator.labels=ignored"], ["generator.labels=concatenated"]),
        ("shapes-sngan", ["generator.labels=ignored"], ["generator.labels=batch_norm"]),
        ("shapes-sngan", ["discriminator.labels=ignored"], ["discriminator.labels=projected"]),
    ):
        (problem,) = problems(name, patch)
        assert problem.endswith(f"set {mends[0]}")
        assert load_recipe(name, [*patch, *mends]).uses_labels


@pytest.mark.parametrize(
    ("edits", "whole"),
    [
        (
            ["penalties.+r1.weight=2", "penalties.+r1.every=4"],
            "penalties=[{ kind = 'r1', weight = 2, every = 4 }]",
        ),
        (["views.+diffaugment.share=0.5"], "views=[{ kind = 'diffaugment', share = 0.5 }]"),
        (["rewires.generator.+spectral_norm"], "rewires.generator=[{ kind = 'spectral_norm' }]"),
    ],
)
def test_a_patch_adds_to_a_list_that_the_recipe_does_not_mention(write, edits, whole):
    bare = write("[train]\nimages = 64\n[generator]\nkind = 'residual'\n[discriminator]\nkind = 'residual'")
    assert load_recipe(bare, edits) == load_recipe(bare, [whole])


def test_a_technique_that_is_not_there_is_added_by_a_plus():
    (problem,) = problems("mnist-dcgan", ["penalties.r1.weight=1", "seed=5"])
    assert problem.endswith("it holds: nothing; to add one, type penalties.+r1.weight=1")


def test_the_difference_of_any_two_recipes_makes_one_of_the_other():
    recipes = {name: load_recipe(name) for name in recipe_names()}
    for name, one in recipes.items():
        for other in recipes.values():
            patch = one.diff(other)
            assert one.patched(patch) == other
            assert load_recipe(name, shlex.split(show_patch(patch))) == other  # typed behind what is short
            assert bool(patch) == (one != other)


@pytest.mark.parametrize(
    "edits",
    [
        ["data.size=64", "penalties.+r1.weight={ from = 1, to = 0, over = 9 }"],
        [
            "rewires.discriminator=[{ kind = 'spectral_norm' }, { kind = 'normal_init' }]"
        ],  # the other way round
        ["discriminator.layers.1.activation=relu", "discriminator.layers.1.batch_norm=false"],
        ["views=[{ kind = 'diffaugment', policy = ['shift'] }, 'instance_noise', 'diffaugment']"],
        ["train.d_lr={ from = 0.1, to = 0.0, over = 9 }"],
        ["plugins=['json']", "objective={ kind = 'flip', inner = 'wasserstein' }"],
    ],
)
def test_every_kind_of_difference_goes_there_and_back(edits):
    one = load_recipe("shapes-dcgan", ["rewires.discriminator.+spectral_norm", "train.d_lr=0.0"])
    other = one.patched(edits)
    for here, there in ((one, other), (other, one)):
        patch = shlex.split(show_patch(here.diff(there)))
        assert patch
        assert here.patched(patch) == there


def test_the_python_lines_of_the_page_on_recipes_hold():
    page = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"
    (lines,) = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names = {}
    exec(lines, names)
    assert {"penalties.+r1.every": 1, "penalties.+r1.weight": 0.1}.items() <= names["patch"].items()


def test_a_difference_says_no_more_than_what_differs():
    edits = ["generator.blocks=2", "penalties.-r2", "penalties.+lecam.every=1", "penalties.+lecam.weight=2.0"]
    edits += [
        "penalties.+lecam.decay=0.99",
        "views.+instance_noise.sigma=0.1",
        "train.-images",
        "train.epochs=3.0",
    ]
    before = load_recipe("cifar10-r3")
    assert show_patch(before.diff(before.patched(edits))).split() == edits


def test_a_digest_is_of_what_is_trained_and_not_of_its_title():
    recipe = load_recipe("quickstart")
    assert recipe.digest == recipe.patched(["title=other", "objective=hinge"]).digest
    assert recipe.digest != recipe.patched(["seed=1"]).digest
    assert len(recipe.digest) == 64


def test_a_key_of_a_hundred_thousand_parts_is_refused_at_once(tmp_path):
    (tmp_path / "deep.toml").write_text("a" + ".a" * 400_000 + " = 1\n")
    began = time.process_time()
    with pytest.raises(RecipeError, match="a key has more parts than any setting"):
        load_recipe(str(tmp_path / "deep.toml"))
    for edit in ("a" + ".a" * 60_000 + "=1", "title={ a" + " . a" * 60_000 + " = 1 }"):
        with pytest.raises(RecipeError):
            load_recipe("quickstart", [edit])
    assert time.process_time() - began < 2

"""What is wrong by the recipe alone: each planted problem is named, its healthy neighbour is not."""

from __future__ import annotations

import pytest

from gander.doctor.case import Case
from gander.doctor.facts import facts
from gander.doctor.finding import Finding
from gander.recipe.read import load_recipe
from gander.recipe.shipped import recipe_names

IMAGES = {"shapes": 20_000, "cifar10": 50_000, "mnist": 60_000}


def findings(name: str, *edits: str) -> dict[str, Finding]:
    recipe = load_recipe(name, edits)
    stages = 10 if recipe.train.per_class else 1
    total = recipe.steps_for(IMAGES[recipe.data.source] // stages, stages) * stages * recipe.shown_per_step
    return {each.code: each for each in facts(Case(recipe.as_tree(), total=total))}


@pytest.mark.parametrize("name", recipe_names())
def test_no_shipped_recipe_gives_a_warning(name: str):
    assert [each for each in findings(name).values() if each.alarms] == []


DCGAN, SNGAN, ACGAN, R3 = "shapes-dcgan", "shapes-sngan", "shapes-acgan", "shapes-r3"
SMOOTH = "objective={ kind = 'smooth', real = %s, fake = %s }"
FLIP = "objective={ kind = 'flip', share = %s }"
TOP_K = "objective={ kind = 'top_k', share = %s }"
INNER = "objective={ kind = '%s', inner = { kind = '%s' } }"
FLIP_INSIDE = "objective={ kind = 'top_k', inner = { kind = 'flip', share = %s } }"
ADA = "views=[{ kind = 'ada', most = %s, start = %s }]"
NOISE = "views=[{ kind = 'instance_noise', sigma = %s }]"
G_INIT, D_INIT = "rewires.generator.normal_init.std=%s", "rewires.discriminator.normal_init.std=%s"
D_WIDTHS = " ".join(f"discriminator.layers.{place}.width={{0}}" for place in range(3))
SPECTRAL, CLIP = "rewires.discriminator.+spectral_norm", "rewires.discriminator.+clip_weights.limit=%s"
FALLING = "train.g_lr={ from = 1e-4, to = 0.0, over = 100_000 }"
UNIFORM = "rewires.generator=[{ kind = 'uniform_init', limit = 2.0 }]"
WASSERSTEIN = "objective=wasserstein"
EMA = "average={ kind = 'ema', half_life = 100_000, ramp = %s }"

# a recipe, the edits that spoil it, the code, its severity, and the edits of the neighbour that is healthy
PLANTED = [
    (DCGAN, ["objective=saturating"], "saturating-loss", "warning", ["objective=least_squares"]),
    (DCGAN, [INNER % ("smooth", "saturating")], "saturating-loss", "warning", [INNER % ("smooth", "hinge")]),
    (DCGAN, [SMOOTH % (0.7, 0.3)], "smoothing-two-sided", "warning", [SMOOTH % (0.9, 0.0)]),
    (DCGAN, [SMOOTH % (0.9, 0.1)], "smoothing-two-sided", "note", [SMOOTH % (0.9, 0.0)]),
    (DCGAN, [SMOOTH % (0.6, 0.0)], "smoothing-heavy", "warning", [SMOOTH % ([0.8, 1.0], 0.0)]),
    (DCGAN, [SMOOTH % (0.0, 1.0)], "wrong-sign", "error", [SMOOTH % (1.0, 0.0)]),
    (DCGAN, [SMOOTH % (1.3, 0.0)], "labels-unbounded", "warning", [SMOOTH % ([0.8, 1.2], 0.0)]),
    (DCGAN, [FLIP % 0.3], "labels-flipped", "warning", [FLIP % 0.05]),
    (DCGAN, [FLIP % 0.5], "labels-flipped", "error", [FLIP % "{ from = 0.2, to = 0.0, over = 100_000 }"]),
    (DCGAN, [FLIP_INSIDE % 0.4], "labels-flipped", "warning", [FLIP_INSIDE % 0.01]),
    (DCGAN, [TOP_K % 0.05], "g-uses-few", "warning", [TOP_K % 0.5]),
    (DCGAN, ["penalties.+r1.weight=1000"], "penalty-heavy", "warning", ["penalties.+r1.weight=10"]),
    (DCGAN, ["penalties.+r2.weight=50"], "penalty-heavy", "note", ["penalties.+r2.weight=10"]),
    (DCGAN, ["penalties.+lecam.weight=300"], "penalty-heavy", "warning", ["penalties.+lecam"]),
    (DCGAN, ["penalties.+consistency.weight=5000"], "penalty-heavy", "warning", ["penalties.+consistency"]),
    (
        DCGAN,
        ["penalties.+gradient_penalty.weight=1000"],
        "penalty-heavy",
        "warning",
        ["penalties.+gradient_penalty"],
    ),
    (ACGAN, ["penalties.auxiliary_classifier.weight=50"], "class-loss-heavy", "warning", []),
    ("quickstart", ["penalties.classifier_guidance.weight=20"], "class-loss-heavy", "warning", []),
    (DCGAN, ["train.g_lr=0.02"], "g-rate-high", "warning", ["train.g_lr=0.001"]),
    (DCGAN, ["train.d_lr=0.02"], "d-rate-high", "warning", ["train.d_lr=0.001"]),
    (DCGAN, ["train.d_lr=0.005"], "d-rate-high", "note", ["train.d_lr=0.001"]),
    (DCGAN, ["train.g_lr=0.02", "train.d_lr=0.02"], "rates-high", "warning", ["train.g_lr=0.02"]),
    (DCGAN, ["train.g_lr=0.5", "train.d_lr=0.5"], "rates-high", "error", []),
    (DCGAN, ["train.g_lr={ from = 0.0, to = 0.02, over = 10_000 }"], "g-rate-high", "warning", []),
    (DCGAN, ["train.g_lr=2e-7"], "g-rate-low", "warning", [FALLING]),
    (DCGAN, ["train.d_lr=2e-7"], "d-rate-low", "warning", ["train.d_lr=1e-4"]),
    (DCGAN, ["train.g_lr=2e-7", "train.d_lr=2e-7"], "rates-low", "warning", []),
    (DCGAN, ["train.g_lr=0.0"], "g-frozen", "error", ["train.g_lr=1e-4"]),
    (DCGAN, ["train.d_lr=0.0"], "d-frozen", "error", ["train.d_lr=1e-4"]),
    (DCGAN, ["train.d_lr=2.1e-3"], "rates-apart", "warning", ["train.d_lr=2e-3"]),
    (DCGAN, ["train.d_lr=1e-5"], "rates-apart", "warning", ["train.d_lr=1e-4"]),
    (DCGAN, ["train.beta1=0.99"], "momentum-high", "warning", ["train.beta1=0.5"]),
    (DCGAN, ["train.beta1=0.9"], "momentum-high", "note", ["train.beta1=0.7"]),
    (DCGAN, ["train.d_steps=20"], "d-steps-many", "warning", ["train.d_steps=5"]),
    (DCGAN, ["train.batch=4"], "batch-tiny", "warning", ["train.batch=16"]),
    (DCGAN, ["train.batch=12", "train.d_update=separate"], "batch-tiny", "warning", ["train.batch=16"]),
    (R3, ["train.batch=4"], "batch-tiny", "note", ["train.batch=8"]),
    (DCGAN, ["train.images=3_000"], "run-short", "warning", ["train.images=64_000"]),
    (DCGAN, ["train.images=20_000"], "run-short", "note", ["train.images=64_000"]),
    (DCGAN, ["generator.momentum=0.9999"], "batch-norm-statistics", "warning", ["generator.momentum=0.99"]),
    (DCGAN, ["generator.output.kernel=3"], "kernel-stride", "warning", ["generator.output.kernel=6"]),
    (DCGAN, ["generator.layers.1.kernel=3"], "kernel-stride", "warning", ["generator.layers.1.kernel=2"]),
    (DCGAN, ["generator.layers.1.kernel=5"], "kernel-stride", "note", ["generator.layers.1.kernel=6"]),
    ("cifar10-acgan", ["generator.output.kernel=3"], "kernel-stride", "warning", []),
    (DCGAN, ["generator.output.activation=sigmoid"], "output-range", "note", []),
    (DCGAN, ["generator.output.activation=linear"], "output-range", "note", []),
    (DCGAN, D_WIDTHS.format(4).split(), "d-too-small", "warning", D_WIDTHS.format(32).split()),
    (SNGAN, ["generator.width=4"], "g-too-small", "warning", ["generator.width=16"]),
    (DCGAN, ["latents.dim=2"], "latent-small", "warning", ["latents.dim=16"]),
    (DCGAN, [G_INIT % 1.0], "initialisation-large", "warning", [G_INIT % 0.05]),
    (DCGAN, [D_INIT % 0.0001], "initialisation-small", "warning", [D_INIT % 0.01]),
    (DCGAN, [D_INIT % 1.0], "initialisation-large", "warning", [D_INIT % 1.0, SPECTRAL]),
    (DCGAN, [UNIFORM], "initialisation-large", "warning", []),
    (DCGAN, [NOISE % 0.5], "noise-large", "warning", [NOISE % "{ from = 0.5, to = 0.0, over = 100_000 }"]),
    (DCGAN, [ADA % (1.0, 0.0)], "augmentation-leak", "warning", [ADA % (0.8, 0.0)]),
    (DCGAN, [ADA % (0.8, 0.8)], "augmentation-strong", "warning", [ADA % (0.8, 0.2)]),
    (DCGAN, [EMA % 1.0], "average-slow", "warning", [EMA % 0.05]),  # held by a twentieth of the images so far
    (DCGAN, ["average=latest"], "average-missing", "note", ["average=ema"]),
    (DCGAN, ["average=[{ kind = 'latest' }, { kind = 'ema' }]"], "average-missing", "note", []),
    (R3, ["penalties=[]"], "penalty-missing", "note", []),
    *(
        (DCGAN, [WASSERSTEIN, *loose], "penalty-missing", "warning", [WASSERSTEIN, held])
        for loose, held in (
            ([], "penalties.+gradient_penalty"),
            (["penalties.+lecam"], "penalties.+r1.weight=1"),
            (["penalties.+gradient_penalty.weight=0.0"], SPECTRAL),
            ([CLIP % 0.5], CLIP % 0.01),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoilt", "code", "severity", "healthy"), PLANTED)
def test_a_planted_problem_is_named_its_neighbour_is_not_and_each_remedy_mends_it(
    name: str, spoilt: list[str], code: str, severity: str, healthy: list[str]
):
    finding = findings(name, *spoilt)[code]
    assert (finding.severity, finding.since, finding.confidence) == (severity, 0, 1.0)
    assert finding.evidence[0].healthy
    assert finding.causes
    assert finding.remedy
    for patch in finding.remedy:
        assert code not in findings(name, *spoilt, *patch)
    assert code not in findings(name, *healthy)


def test_the_worst_comes_first():
    said = [each.severity for each in findings(DCGAN, "train.g_lr=0.0", "train.batch=4").values()]
    assert said[:2] == ["error", "warning"]


def test_an_unknown_length_says_nothing_of_what_depends_on_it():
    tree = load_recipe(DCGAN, ["train.images=64", "generator.momentum=0.9999"]).as_tree()
    assert {each.code for each in facts(Case(tree))} & {"run-short", "batch-norm-statistics"} == set()

"""The kinds of failure: what breaks a healthy recipe, strongly and mildly, and the cause to be named."""

from __future__ import annotations

from dataclasses import dataclass

from . import breakages, datasets
from .changes import (
    Sabotage,
    breaks,
    dropped,
    initial,
    narrow,
    penalties,
    rates,
    sets,
    small_batches,
    spoils,
    strong_d,
    thirds,
    wraps,
)

LABELLED = ("sngan", "acgan", "fast")
BATCH_NORM = ("dcgan", "sngan", "acgan", "wgan-gp", "lsgan", "fast")
LOGISTIC = ("dcgan", "acgan")


@dataclass(frozen=True)
class Kind:
    """A kind of failure.

    Args:
        name: of the kind; kinds of one cause may be several.
        cause: the code that the doctor should name.
        bases: the recipes that it can be done to.
        data: the data sets that it can harm: shapes look the same in other colours and upside down.
        middle: it can begin in the middle of a run, too.
        equal: other codes that are as right.
    """

    name: str
    cause: str
    strong: Sabotage
    mild: Sabotage
    bases: tuple[str, ...]
    data: tuple[str, ...] = ("shapes", "mnist", "cifar10")
    middle: bool = False
    equal: tuple[str, ...] = ()


_ALL = ("dcgan", "sngan", "acgan", "wgan-gp", "lsgan", "fast", "r3")
_UNIFORM = breakages.other_latents(1.0, uniform=True)

KINDS = (
    Kind("g-rate-high", "g-rate-high", rates(g=120), rates(g=60), _ALL, middle=True, equal=("rates-high",)),
    Kind("d-rate-high", "d-rate-high", rates(d=1000), rates(d=400), _ALL, middle=True, equal=("rates-high",)),
    Kind(
        "rates-high",
        "rates-high",
        rates(400, 400),
        rates(150, 150),
        _ALL,
        middle=True,
        equal=("g-rate-high", "d-rate-high"),
    ),
    Kind("g-rate-low", "g-rate-low", rates(g=0.005), rates(g=0.05), _ALL, equal=("g-frozen",)),
    Kind("d-rate-low", "d-rate-low", rates(d=0.002), rates(d=0.02), _ALL, equal=("d-frozen", "d-too-weak")),
    Kind("rates-low", "rates-low", rates(0.02, 0.02), rates(0.07, 0.07), _ALL, equal=("g-rate-low",)),
    Kind("g-frozen", "g-frozen", breaks(breakages.frozen("g")), breaks(breakages.frozen("g", 0.6)), _ALL),
    Kind(
        "d-frozen",
        "d-frozen",
        breaks(breakages.frozen("d")),
        breaks(breakages.frozen("d", 0.7)),
        _ALL,
        middle=True,
    ),
    Kind("momentum-high", "momentum-high", sets(train__beta1=0.98), sets(train__beta1=0.9), _ALL),
    Kind(
        "d-steps-many",
        "d-steps-many",
        sets(train__d_steps=20),
        sets(train__d_steps=8),
        ("dcgan", "sngan", "acgan", "r3", "lsgan"),
    ),
    Kind(
        "d-too-weak",
        "d-too-weak",
        dropped(0.9),
        dropped(0.7),
        ("dcgan", "acgan", "sngan", "wgan-gp"),
        equal=("d-too-small",),
    ),
    Kind(
        "d-too-strong",
        "d-too-strong",
        strong_d(96, 60),
        strong_d(96, 20),
        ("dcgan", "acgan", "lsgan"),
        equal=("d-rate-high",),
    ),
    Kind(
        "d-too-small",
        "d-too-small",
        narrow("discriminator", 2),
        narrow("discriminator", 4),
        _ALL,
        equal=("d-too-weak",),
    ),
    Kind("g-too-small", "g-too-small", narrow("generator", 2), narrow("generator", 4), _ALL),
    Kind(
        "saturating-loss",
        "saturating-loss",
        sets(objective="saturating"),
        sets(objective="saturating"),
        LOGISTIC,
        middle=True,
    ),
    Kind(
        "wrong-sign",
        "wrong-sign",
        breaks(breakages.wrong_sign),
        breaks(breakages.real_called_fake),
        _ALL,
        middle=True,
    ),
    Kind(
        "penalty-missing",
        "penalty-missing",
        penalties(0, missing=True),
        penalties(0, missing=True),
        ("r3", "wgan-gp"),
        middle=True,
    ),
    Kind(
        "penalty-heavy",
        "penalty-heavy",
        penalties(1_000),
        penalties(100),
        ("r3", "wgan-gp", "dcgan", "lsgan"),
        middle=True,
    ),
    Kind(
        "data-tiny",
        "data-tiny",
        spoils(datasets.tiny(16)),
        spoils(datasets.tiny(60)),
        _ALL,
        equal=("d-memorises",),
    ),
    Kind(
        "data-duplicates",
        "data-duplicates",
        spoils(datasets.duplicates(10, 0.97)),
        spoils(datasets.duplicates(50, 0.7)),
        _ALL,
    ),
    Kind(
        "data-imbalanced",
        "data-imbalanced",
        spoils(datasets.imbalanced(0.97)),
        spoils(datasets.imbalanced(0.8)),
        _ALL,
    ),
    Kind(
        "labels-shuffled",
        "labels-shuffled",
        spoils(datasets.shuffled_labels),
        spoils(datasets.noisy_labels(0.85)),
        LABELLED,
        equal=("labels-noisy",),
    ),
    Kind(
        "labels-noisy",
        "labels-noisy",
        spoils(datasets.noisy_labels(0.75)),
        spoils(datasets.noisy_labels(0.5)),
        LABELLED,
        equal=("labels-shuffled",),
    ),
    Kind(
        "channels-swapped",
        "channels-swapped",
        spoils(datasets.swapped),
        spoils(datasets.swapped),
        _ALL,
        data=("cifar10",),
    ),
    Kind("data-dark", "data-range", spoils(datasets.ranged(0, 40)), spoils(datasets.ranged(0, 130)), _ALL),
    Kind(
        "data-faded", "data-range", spoils(datasets.ranged(110, 145)), spoils(datasets.ranged(70, 185)), _ALL
    ),
    Kind("data-corrupt", "data-corrupt", spoils(datasets.corrupt(0.5)), spoils(datasets.corrupt(0.15)), _ALL),
    Kind("data-grainy", "data-corrupt", spoils(datasets.grainy(80)), spoils(datasets.grainy(30)), _ALL),
    Kind(
        "output-sigmoid",
        "output-range",
        Sabotage(sets(generator__output__activation="sigmoid").patch, breakage=breakages.data_range(-1, 1)),
        breaks(breakages.data_range(0, 1)),
        _ALL,
        equal=("data-range",),
    ),
    Kind(
        "condition-ignored",
        "condition-ignored",
        breaks(breakages.labels_unheard("d", 1.0)),
        breaks(breakages.labels_unheard("g", 0.6)),
        ("sngan", "fast"),
        middle=True,
        equal=("labels-shuffled",),
    ),
    Kind(
        "class-loss-heavy",
        "class-loss-heavy",
        sets(**{"penalties__auxiliary_classifier__weight": 100}),
        sets(**{"penalties__auxiliary_classifier__weight": 25}),
        ("acgan",),
        middle=True,
    ),
    Kind(
        "smoothing-two-sided",
        "smoothing-two-sided",
        wraps("smooth", real=0.55, fake=0.45),
        wraps("smooth", real=0.75, fake=0.25),
        ("dcgan", "acgan", "lsgan"),
        middle=True,
    ),
    Kind(
        "labels-flipped",
        "labels-flipped",
        wraps("flip", share=0.48),
        wraps("flip", share=0.3),
        ("dcgan", "acgan", "sngan", "lsgan", "wgan-gp"),
        middle=True,
    ),
    Kind(
        "dead-units",
        "dead-units",
        breaks(breakages.dead_units(1.0)),
        breaks(breakages.dead_units(0.9)),
        BATCH_NORM,
        middle=True,
    ),
    Kind(
        "initialisation-large",
        "initialisation-large",
        initial("discriminator", 1.5),
        initial("discriminator", 0.4),
        ("dcgan", "acgan", "wgan-gp", "lsgan"),
    ),
    Kind(
        "initialisation-small",
        "initialisation-small",
        initial("discriminator", 1e-6),
        initial("discriminator", 1e-4),
        ("wgan-gp", "lsgan", "dcgan"),
    ),
    Kind(
        "kernel-stride",
        "kernel-stride",
        thirds(("layers", "output")),
        thirds(("output",)),
        ("dcgan", "sngan", "acgan", "wgan-gp", "fast"),
    ),
    Kind(
        "norm-missing",
        "norm-missing",
        sets(generator__batch_norm=False, discriminator__batch_norm=False),
        sets(generator__batch_norm=False),
        ("dcgan", "acgan", "wgan-gp"),
    ),
    Kind(
        "batch-norm-statistics",
        "batch-norm-statistics",
        breaks(breakages.lost_statistics),
        breaks(breakages.stale_statistics(0.0005)),
        BATCH_NORM,
    ),
    Kind(
        "batch-tiny",
        "batch-tiny",
        small_batches(2, 8),
        small_batches(4, 6),
        ("dcgan", "acgan", "lsgan", "wgan-gp"),
    ),
    Kind("latent-small", "latent-small", sets(latents__dim=1), sets(latents__dim=2), _ALL),
    Kind("latent-mismatch", "latent-mismatch", breaks(breakages.other_latents(0.15)), breaks(_UNIFORM), _ALL),
    Kind(
        "augmentation-strong",
        "augmentation-strong",
        sets(views=[{"kind": "diffaugment"}, {"kind": "instance_noise", "sigma": 0.5}]),
        sets(views=[{"kind": "diffaugment"}]),
        _ALL,
        middle=True,
        equal=("noise-large",),
    ),
    Kind(
        "augmentation-leak",
        "augmentation-leak",
        breaks(breakages.leaking(1.0)),
        breaks(breakages.leaking(0.85)),
        _ALL,
        data=("mnist", "cifar10"),
        middle=True,
    ),
    Kind(
        "augmentation-one-sided",
        "augmentation-one-sided",
        breaks(breakages.one_sided),
        breaks(breakages.one_sided),
        _ALL,
        middle=True,
    ),
    Kind(
        "noise-large",
        "noise-large",
        sets(views=[{"kind": "instance_noise", "sigma": 3.0}]),
        sets(views=[{"kind": "instance_noise", "sigma": 1.0}]),
        _ALL,
        middle=True,
    ),
    Kind(
        "average-slow",
        "average-slow",
        sets(average={"kind": "ema", "half_life": 1e7, "ramp": 1.0}),
        sets(average={"kind": "ema", "half_life": 30_000, "ramp": 1.0}),
        _ALL,
    ),
    Kind(
        "numerics",
        "numerics",
        breaks(breakages.overflowing(3e4)),
        breaks(breakages.no_epsilon),
        LOGISTIC,
        middle=True,
    ),
    Kind(
        "g-copies",
        "g-copies",
        breaks(breakages.copying(30)),
        breaks(breakages.copying(200)),
        _ALL,
        middle=True,
    ),
    Kind(
        "stale-batches",
        "stale-batches",
        breaks(breakages.stale_batches(1)),
        breaks(breakages.stale_batches(6)),
        _ALL,
        middle=True,
        equal=("data-tiny", "d-memorises"),
    ),
    Kind(
        "case-mnist-dcgan",
        "d-too-strong",
        strong_d(128, 12),
        strong_d(128, 6),
        ("mnist-dcgan",),
        equal=("d-rate-high",),
    ),
    Kind(
        "case-per-class",
        "latent-mismatch",
        breaks(breakages.other_latents(0.15)),
        breaks(_UNIFORM),
        ("per-class",),
    ),
    Kind(
        "case-trial1",
        "output-range",
        breaks(breakages.data_range(-1, 1)),
        breaks(breakages.data_range(-1, 1)),
        ("trial1",),
        equal=("data-range",),
    ),
    Kind(
        "case-trial3",
        "g-rate-high",
        rates(g=120),
        rates(g=60),
        ("trial3",),
        middle=True,
        equal=("rates-high",),
    ),
)
"""The sheet's table, kind by kind; the order is that of a round."""

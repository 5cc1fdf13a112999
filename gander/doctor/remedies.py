"""What to type against each cause in this recipe, and what should then happen."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, Literal

from gander.doctor.case import Case
from gander.doctor.finding import Prediction
from gander.doctor.symptoms import FAR, LAST, Seen
from gander.patch import show_patch

Patch = tuple[str, ...]
USUAL = -2.0
"""log10 of what a step changes of the weights where training goes well."""


def rated(case: Case, factors: Mapping[str, float]) -> list[Patch]:
    """Give learning rates times a factor each, wherever a ramp is too."""
    edits: dict[str, Any] = {}
    for side, factor in factors.items():
        path = f"train.{side}_lr"
        rate = case.recipe.get("train", {}).get(f"{side}_lr", 2e-4)
        ends = (
            {f"{path}.{end}": rate[end] for end in ("from", "to")}
            if isinstance(rate, Mapping)
            else {path: rate}
        )
        edits |= {where: float(f"{min(value * factor, 1.0) or 2e-4:.1g}") for where, value in ends.items()}
    return [_typed(edits)]


def usual_rate(case: Case, side: str) -> float:
    """Give the factor that makes the steps as large as is usual, by what they are; from 1/100 to 100."""
    steps = case.probed(f"update_{side}")[-LAST:]
    return float(10 ** min(max(USUAL - median(steps), -2), 2)) if steps else 0.25


def _typed(edits: Mapping[str, Any]) -> Patch:
    return tuple(shlex.split(show_patch(edits)))  # as a program reads it, without a shell's quotes


def _rates(sides: str) -> Callable[[Case], list[Patch]]:
    return lambda case: rated(case, {side: usual_rate(case, side) for side in sides})


def _penalty(case: Case) -> list[Patch]:
    """Give a hundredth of each penalty on D's slope."""
    edits = {}
    for kind in ("r1", "r2", "gradient_penalty", "lecam"):
        weight = (case.technique("penalties", kind) or {}).get("weight")
        if isinstance(weight, int | float):
            edits[f"penalties.{kind}.weight"] = float(f"{weight / 100:.2g}")
    return [_typed(edits)] if edits else []


def _loss(case: Case) -> str:
    path = "objective"
    while case.setting(f"{path}.inner") is not None:
        path += ".inner"
    return path


def _width(name: str, factor: float) -> Callable[[Case], list[Patch]]:
    def wider(case: Case) -> list[Patch]:
        net = case.recipe.get(name, {})
        parts = [(f"layers.{place}.width", each) for place, each in enumerate(net.get("layers", ()))]
        edits = {
            f"{name}.{path}": int(each["width"] * factor)
            for path, each in [*parts, ("width", net)]
            if "width" in each
        }
        return [_typed(edits)] if edits else []

    return wider


def _noise(case: Case) -> list[Patch]:
    return [("views.instance_noise.sigma=0.1",)] if case.technique("views", "instance_noise") else []


def _normal(case: Case) -> list[Patch]:
    sides = [side for side in ("generator", "discriminator") if _has(case, f"rewires.{side}", "normal_init")]
    return [tuple(f"rewires.{side}.+normal_init.std=0.02" for side in sides or ("generator",))]


def _has(case: Case, slot: str, kind: str) -> bool:
    return case.technique(slot, kind) is not None


def _steadier(case: Case) -> list[Patch]:
    """Give what holds D's slope, where the recipe does not have it."""
    held = [*_penalty(case)]
    fresh: list[Patch] = [("penalties.+r1.weight=0.1",)] if not held else []
    if not _has(case, "rewires.discriminator", "spectral_norm"):
        fresh.append(("rewires.discriminator.+spectral_norm",))
    return fresh


def _augmented(case: Case) -> list[Patch]:
    return [] if case.setting("views") else [("views.+diffaugment",)]


REMEDIES: Mapping[str, Callable[[Case], list[Patch]]] = {
    "g-rate-high": _rates("g"),
    "d-rate-high": _rates("d"),
    "rates-high": _rates("gd"),
    "g-rate-low": _rates("g"),
    "d-rate-low": _rates("d"),
    "rates-low": _rates("gd"),
    "g-frozen": lambda case: rated(case, {"g": 1}),
    "d-frozen": lambda case: rated(case, {"d": 1}),
    "momentum-high": lambda case: [("train.beta1=0.5",), ("train.beta1=0.0",)],
    "d-steps-many": lambda case: [("train.d_steps=1",)],
    "d-too-weak": lambda case: [*rated(case, {"d": 4}), *_width("discriminator", 2)(case)],
    "d-too-strong": lambda case: [*_steadier(case), *rated(case, {"d": 0.25})],
    "saturating-loss": lambda case: [(f"{_loss(case)}=non_saturating",)],
    "penalty-missing": _steadier,
    "penalty-heavy": _penalty,
    "d-memorises": _augmented,
    "data-tiny": _augmented,
    "data-duplicates": _augmented,
    "g-copies": _augmented,
    "dead-units": lambda case: rated(case, {"g": 0.25, "d": 0.25}),
    "noise-large": _noise,
    "augmentation-strong": lambda case: [("views=[]",)] if case.setting("views") else [],
    "output-range": lambda case: [("generator.output.activation=tanh",)],
    "initialisation-large": _normal,
    "initialisation-small": _normal,
    "norm-missing": lambda case: [("generator.batch_norm=true",)],
    "class-loss-heavy": lambda case: [("penalties.auxiliary_classifier.weight=1",)],
    "batch-tiny": lambda case: [("train.batch=64",)],
    "latent-small": lambda case: [("latents.dim=64",)],
    "g-too-small": _width("generator", 4),
    "d-too-small": _width("discriminator", 4),
    "numerics": lambda case: [("engine.precision=float32",), *rated(case, {"g": 0.25, "d": 0.25})],
    "average-slow": lambda case: [(f"average={{ kind = 'ema', half_life = {max(case.total // 20, 1)} }}",)],
    "batch-norm-statistics": lambda case: [("generator.momentum=0.9",)],
}  # fmt: skip


def remedies(case: Case, causes: Sequence[str]) -> tuple[Patch, ...]:
    """Give the patches against causes, the likeliest cause's first, each once; none that changes nothing."""
    asked = [patch for cause in causes if cause in REMEDIES for patch in REMEDIES[cause](case)]
    return tuple(dict.fromkeys(patch for patch in asked if patch))


_PREDICTED: Mapping[str, tuple[str, Literal["below", "above"], float]] = {
    "mode-collapse": ("probe/diversity_features", "above", 0.6),
    "partial-collapse": ("probe/diversity_features", "above", 0.6),
    "class-collapse": ("probe/diversity_class", "above", 0.5),
    "d-memorises": ("probe/auc_held_out", "below", 0.6),
    "updates-large": ("", "below", -1.2),
    "updates-small": ("", "above", -3.2),
    "g-frozen": ("", "below", 0.1),
    "d-frozen": ("", "below", 0.1),
    "dead-units": ("", "below", 0.5),
    "saturated-images": ("", "below", 0.15),
    "noise": ("", "below", 4.0),
    "checkerboard": ("", "below", 2.0),
    "condition-unheard": ("", "above", 0.2),
}
"""What a cure does to a symptom; "" is the column that the symptom was seen in."""


def predict(case: Case, seen: Seen) -> Prediction:
    """Say what a remedy of the right cause does to the symptom, within a fifth of the run."""
    within = max(case.total // 5, 1)
    if seen.code in _PREDICTED:
        column, way, bound = _PREDICTED[seen.code]
        return Prediction(column or seen.evidence[0].column, way, bound, within)
    distances = case.probed("distance")[-LAST:]
    bound = max(0.6 * median(distances), 2.0) if distances else FAR
    return Prediction("probe/distance", "below", float(f"{bound:.2g}"), within)

"""What can be seen to be wrong in the log of a run: a small function for each symptom."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from gander.doctor.case import Case
from gander.doctor.finding import Evidence, Severity

LAST = 4  # probed rows that are looked at, all but one of which must agree
FEW = 3  # probed rows before anything is said
FIRST_STEPS = 200
FAR = 4.0
"""A distance at which nobody takes the fakes for real; 1 is as far as other real images are."""


@dataclass(frozen=True)
class Seen:
    """A symptom.

    Args:
        strength: how far beyond its bound it is, in doublings; 0 is at the bound.
    """

    code: str
    severity: Severity
    strength: float
    says: str
    evidence: tuple[Evidence, ...] = ()


Symptom = Callable[[Case], Seen | None]


def holding(values: Sequence[float], bound: float, above: bool = True, rows: int = LAST) -> float | None:
    """Give the middle of the newest values where all but one of them, and the last, are beyond a bound."""
    last = values[-rows:]
    beyond = [value > bound if above else value < bound for value in last]
    held = len(last) == rows and beyond[-1] and sum(beyond) >= max(rows - 1, 2)
    return median(last) if held else None


def doublings(value: float, bound: float) -> float:
    """Give how many times a value is twice its bound; negative where it is below."""
    return max(-9.0, min(9.0, math.log2(max(value, 1e-9) / max(bound, 1e-9))))


def smooth(values: Sequence[float]) -> list[float]:
    """Give the middle of each value and its two neighbours before."""
    return [median(values[max(0, place - 2) : place + 1]) for place in range(len(values))]


def not_finite(case: Case) -> Seen | None:
    """See that the run ended with a number that is not finite."""
    error = str(case.ended.get("error", ""))
    if not error.startswith("NumericsError"):
        return None
    says = f"the run ended after {case.images:,} images: {error.partition(': ')[2] or error}"
    return Seen("divergence", "error", 9.0, says, (Evidence("state.json", error, "no error"),))


def worse_again(case: Case) -> Seen | None:
    """See fakes that are farther from real images than they have been."""
    course = smooth(case.probed("distance"))
    if len(course) < FEW + 2:
        return None
    best = min(course[1:-2])
    bound = max(2 * best, best + FAR)
    now = holding(case.probed("distance"), bound, rows=3)
    if now is None:
        return None
    says = f"the fakes are {now:.3g} times as far from the real images as these are from each other; "
    says += f"it was {best:.3g} before"
    evidence = Evidence("probe/distance", now, f"at most {bound:.2g}, as it was {best:.2g}")
    return Seen("divergence", "warning", doublings(now, bound), says, (evidence,))


def not_learning(case: Case) -> Seen | None:
    """See fakes that have come no nearer to the real images in a part of the run that is long enough."""
    course = smooth(case.probed("distance"))
    if len(course) < 2 * LAST or case.share < 0.2:
        return None
    first, best = max(course[:FEW]), min(course[FEW:])
    now, bound = median(course[-LAST:]), max(FAR, (0.68 - 0.33 * case.share) * first)
    if best < bound or now < bound:
        return None
    says = f"the fakes are {now:.3g} times as far from the real images as these are from each other, "
    says += f"after {first:.3g} times at the start"
    evidence = Evidence("probe/distance", now, f"below {bound:.2g} by now, and falling to 1")
    return Seen("not-learning", "warning", doublings(now, bound), says, (evidence,))


def collapsed(case: Case) -> Seen | None:
    """See fakes that hardly differ from each other, in pixels and in features."""
    pixels, features = case.probed("diversity"), case.probed("diversity_features")
    if len(features) < 2 * LAST - 1 or case.share < 0.1:
        return None
    both = [max(pair) for pair in zip(pixels, features, strict=False)]
    growing = features[-1] > 1.15 * features[-LAST]
    now = holding(both, 0.3, above=False)
    if now is None or growing:
        return None
    says = f"fakes differ from each other {now:.2g} times as much as real images do: G makes few images"
    evidence = (
        Evidence("probe/diversity", pixels[-1], "above 0.7"),
        Evidence("probe/diversity_features", features[-1], "above 0.7"),
    )
    return Seen("mode-collapse", "warning", doublings(0.3, now), says, evidence)


def collapsing(case: Case) -> Seen | None:
    """See fakes that differ less than they did."""
    course = smooth(case.probed("diversity_features"))
    if len(course) < 2 * LAST:
        return None
    best = min(max(course[1:-LAST]), 1.0)
    now = holding(case.probed("diversity_features"), 0.75 * best, above=False)
    if now is None or best < 0.4 or now < 0.3:
        return None
    says = f"fakes differ from each other {now:.2g} times as much as real images do; it was {best:.2g}"
    evidence = Evidence("probe/diversity_features", now, f"above {0.75 * best:.2g}, as it was {best:.2g}")
    return Seen("partial-collapse", "warning", doublings(0.75 * best, now), says, (evidence,))


def class_collapsed(case: Case) -> Seen | None:
    """See a class whose fakes hardly differ, where those of others do."""
    now, whole = holding(case.probed("diversity_class"), 0.4, above=False), case.probed("diversity_features")
    far = median(case.probed("distance")[-LAST:] or [0]) > 2 * FAR
    if now is None or median(whole[-LAST:] or [0]) < 0.6 or far or case.share < 0.1:
        return None
    says = f"in the worst class fakes differ {now:.2g} times as much as its real images do"
    evidence = Evidence("probe/diversity_class", now, "above 0.6")
    return Seen("class-collapse", "warning", doublings(0.4, now), says, (evidence,))


def d_wins(case: Case) -> Seen | None:
    """See a D that tells all fakes apart while G gets no nearer to the real images."""
    auc, course = case.probed("auc"), smooth(case.probed("distance"))
    sure = holding(auc, 0.995, rows=LAST)
    if sure is None or len(course) < 2 * LAST or case.share < 0.1:
        return None
    half = len(course) // 2
    stuck = min(course[half:]) > 0.85 * min(course[:half])
    now = median(course[-LAST:])
    if not stuck or now < FAR:
        return None
    says = f"D tells {sure:.1%} of pairs of real and fake apart, and the fakes come no nearer: "
    says += f"{now:.3g} times as far from the real images as these are from each other"
    evidence = (
        Evidence("probe/auc", sure, "below 0.995, or fakes that come nearer"),
        Evidence("probe/distance", now, "falling to 1"),
    )
    return Seen("d-wins", "warning", doublings(now, FAR), says, evidence)


def d_uninformed(case: Case) -> Seen | None:
    """See a D that takes bad fakes for real: nothing is left to learn from it."""
    course = case.probed("distance")
    far = holding(course, max(2 * FAR, 0.3 * max(course[:FEW], default=0)))
    blind = holding(case.probed("auc"), 0.72 if (far or 0) > 2.5 * FAR else 0.62, above=False)
    if blind is None or far is None:
        return None
    says = f"D ranks a real image above a fake in {blind:.0%} of pairs, where half is chance, and yet the "
    says += f"fakes are {far:.3g} times as far from the real images as these are from each other"
    evidence = (
        Evidence("probe/auc", blind, "above 0.72 while the distance is large"),
        Evidence("probe/distance", far, f"below {2 * FAR:g} where D finds no difference"),
    )
    return Seen("d-uninformed", "warning", doublings(far, 2 * FAR), says, evidence)


def frozen(case: Case) -> Seen | None:
    """See a net none of whose weights, or the larger part of them, moves."""
    for side in "gd":
        still = holding(case.probed(f"frozen_{side}"), 0.45, rows=FEW)
        content = side == "d" and holding(case.probed("auc"), 0.98, rows=FEW)  # a hinge that nothing crosses
        if still is not None and not content:
            says = f"{still:.0%} of {side.upper()}'s weights do not move at all"
            evidence = Evidence(f"probe/frozen_{side}", still, "0")
            return Seen(f"{side}-frozen", "warning", 9 * still, says, (evidence,))
    return None


def large_steps(case: Case) -> Seen | None:
    """See steps that change a large part of the weights, far more than Adam does at a usual rate."""
    return _steps(case, "updates-large", -0.95, True)


def small_steps(case: Case) -> Seen | None:
    """See steps too small to get anywhere while the fakes are still bad."""
    if case.probed("distance") and median(case.probed("distance")[-LAST:]) < FAR:
        return None
    return _steps(case, "updates-small", -3.6, False)


def _steps(case: Case, code: str, bound: float, above: bool) -> Seen | None:
    found = {side: holding(case.probed(f"update_{side}"), bound, above) for side in "gd"}
    both = {side: value for side, value in found.items() if value is not None and value > -11}
    if not both or len(case.looks) < LAST + 1:
        return None
    said = " and ".join(f"{10 ** min(value, 99):.2g} of {side.upper()}'s" for side, value in both.items())
    says = f"one step changes {said} weights, where a hundredth is usual"
    healthy = f"{'below' if above else 'above'} {bound:g} (log10), about -2"
    evidence = tuple(Evidence(f"probe/update_{side}", value, healthy) for side, value in both.items())
    beyond = max(abs(value - bound) for value in both.values())
    return Seen(code, "warning", 3.3 * beyond, says, evidence)


def memorised(case: Case) -> Seen | None:
    """See a D that knows the images it was shown from others that it was not."""
    areas = case.probed("auc_held_out")
    if len(areas) < 6:
        return None
    now, before = math.fsum(areas[-6:]) / 6, math.fsum(areas[:3]) / 3
    if now < 0.66 or now - before < 0.08:  # which images are held out is chance, too, and stays
        return None
    says = f"D ranks images that it was shown above others as real in {now:.0%} of pairs; half is chance"
    evidence = Evidence("probe/auc_held_out", now, "0.5, at most 0.6")
    return Seen("d-memorises", "warning", 20 * (now - 0.66), says, (evidence,))


def copying(case: Case) -> Seen | None:
    """See fakes nearer to the images shown than other real ones are; blurred ones are so, too."""
    now, varied = holding(case.probed("copies"), -6, above=False), case.probed("diversity_features")[-LAST:]
    twice, distances = case.probed("repeats")[-LAST:], case.probed("distance")[-LAST:]
    far, sharp = median(distances or [9 * FAR]), median(varied or [0]) > 0.85
    if now is None or far > 2 * FAR or not ((sharp and far < FAR) or median(twice or [0]) > 0.15):
        return None
    says = f"fakes lie nearer to the images shown than other real images do (z = {now:.2g})"
    evidence = Evidence("probe/copies", now, "above -4")
    return Seen("g-copies", "warning", doublings(-now, 6), says, (evidence,))


def unheard(case: Case) -> Seen | None:
    """See fakes that are of the class asked for no more often than by chance, where features tell classes."""
    agreed, chance = case.probed("label_agreement"), case.probed("label_chance")[-LAST:]
    near = median(case.probed("distance")[-LAST:] or [9 * FAR]) < 2 * FAR
    if not chance or median(chance) > 0.3 or not near or case.share < 0.25:
        return None
    bound = median(chance) + 0.2
    now = holding(agreed, bound, above=False)
    if now is None:
        return None
    says = (
        f"fakes are of the class asked for {now:.2g} times as often as real images are of theirs; by chance "
    )
    says += f"it would be {median(chance):.2g}"
    evidence = Evidence("probe/label_agreement", now, "about 1")
    return Seen("condition-unheard", "warning", doublings(bound, now), says, (evidence,))


def improving(case: Case) -> bool:
    """Tell whether the fakes are coming nearer to the real images."""
    course = case.probed("distance")
    return len(course) > LAST and median(course[-LAST:]) < 0.85 * median(course[-2 * LAST : -LAST])


def average_far(case: Case) -> Seen | None:
    """See an averaged G whose images are far worse than the latest, late in a run or without change."""
    of_average, latest = case.probed("distance_average")[-2:], case.probed("distance")[-LAST:]
    if len(of_average) < 2 or case.share < 0.25:
        return None
    now, bound = min(of_average), max(2 * median(latest), 2.5)
    shrinking = of_average[-1] < 0.85 * of_average[0]
    if now < bound or (shrinking and case.share < 0.6):
        return None
    says = f"images of the averaged G are {now:.3g} times as far from the real ones as these are from each "
    says += f"other, those of the latest {median(latest):.3g} times"
    evidence = Evidence("probe/distance_average", now, "about that of the latest")
    return Seen("average-lags", "warning", doublings(now, bound), says, (evidence,))


def eval_differs(case: Case) -> Seen | None:
    """See a G that is far worse with the statistics that batch norm kept than with a batch's own."""
    kept, own = case.probed("distance")[-6:], case.probed("distance_train_mode")[-6:]
    now = holding([each / max(other, 1e-9) for each, other in zip(kept, own, strict=False)], 2, rows=6)
    if now is None or median(kept) < FAR or case.share < 0.2:
        return None
    says = f"with the statistics that its batch norm kept, G's images are {now:.2g} times as far from the "
    says += "real ones as with those of a batch"
    evidence = (
        Evidence("probe/distance", median(kept), "about that in training mode"),
        Evidence("probe/distance_train_mode", median(own), "about that in evaluation"),
    )
    return Seen("eval-differs", "warning", doublings(now, 2), says, evidence)


@dataclass(frozen=True)
class Bound:
    """A symptom that one column shows by itself, beyond a bound.

    Args:
        column: of the probes.
        above: the side of the bound that is bad.
        says: a sentence with the value in it.
        from_share: of the run, before which nothing is said.
        far: only while the fakes are far from the real images.
        near: only while they are not.
        steady: only where it is not on its way back.
        rows: that are looked at; slow probes have one in three.
    """

    code: str
    column: str
    bound: float
    above: bool
    says: str
    healthy: str
    from_share: float = 0.1
    severity: Severity = "warning"
    far: bool = False
    near: bool = False
    steady: bool = False
    rows: int = LAST

    def __call__(self, case: Case) -> Seen | None:
        values = case.probed(self.column)
        now = holding(values, self.bound, self.above, self.rows)
        distances = case.probed("distance")[-LAST:] or [FAR]
        misplaced = (self.far and min(distances) <= FAR) or (self.near and median(distances) > 2 * FAR)
        if now is None or case.share < self.from_share or misplaced:
            return None
        before = values[-2 * self.rows : -self.rows]
        if self.steady and (not before or improving(case) or abs(now) < 0.75 * abs(median(before))):
            return None
        strength = doublings(abs(now), abs(self.bound)) * (1 if self.above == (self.bound > 0) else -1)
        evidence = Evidence(f"probe/{self.column}", now, self.healthy)
        return Seen(self.code, self.severity, strength, self.says.format(min(abs(now), 999)), (evidence,))


_READ = tomllib.loads(Path(__file__).with_name("bounds.toml").read_text("utf-8"))["bound"]
BOUNDS = tuple(Bound(**each) for each in _READ)

AT_ONCE: tuple[Symptom, ...] = (not_finite, frozen, large_steps)
"""What needs no first steps to be seen; the others say nothing of them."""
SYMPTOMS: tuple[Symptom, ...] = (
    not_finite,
    worse_again,
    not_learning,
    collapsed,
    collapsing,
    class_collapsed,
    d_wins,
    d_uninformed,
    frozen,
    large_steps,
    small_steps,
    memorised,
    copying,
    unheard,
    average_far,
    eval_differs,
    *BOUNDS,
)

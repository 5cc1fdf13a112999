"""Confidence from training runs: for each code, how often it is right at which strength."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

import gander.doctor.diagnose as doctor

from .verdict import read_case, verdicts

FILE = Path(doctor.__file__).with_name("calibration.json")
_SHRUNK = 4.0  # runs that the mean of all codes counts as, for each code
_STEEP = 4.0  # runs that speak for a slope of _SLOPE
_SLOPE = 0.3  # log-odds for a doubling


def calibrate(work: Path) -> str:
    """Write the file; of train runs alone."""
    samples: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
    for verdict in verdicts(work, "train"):
        if not verdict.known:
            continue
        case = read_case(verdict.path)
        times = {finding.code: at for at, finding in verdict.said}
        for moment in case.moments():
            for look in doctor.SYMPTOMS:
                seen = look(moment)
                if seen is not None and times.get(seen.code) == moment.images and seen.severity != "note":
                    samples[seen.code].append((seen.strength, verdict.right(moment.images)))
    if not samples:
        return "no finding in any train run"
    everything = [right for each in samples.values() for _, right in each]
    mean = (sum(everything) + 1) / (len(everything) + 2)
    fitted = {code: fit(each, mean) for code, each in sorted(samples.items())}
    FILE.write_text(
        json.dumps({code: [round(number, 3) for number in pair] for code, pair in fitted.items()}, indent=1)
    )
    lines = [
        f"{code}: {sum(right for _, right in each)} of {len(each)} right; log-odds {fitted[code][0]:.2f} + "
        f"{fitted[code][1]:.2f} a doubling"
        for code, each in sorted(samples.items())
    ]
    return "\n".join([*lines, f"{FILE}: written"])


def fit(samples: list[tuple[float, bool]], mean: float) -> tuple[float, float]:
    """Fit log-odds = start + slope strength, shrunk towards the mean of all codes and a gentle slope."""
    strengths = np.array([strength for strength, _ in samples])
    rights = np.array([right for _, right in samples], float)
    own = (rights.sum() + _SHRUNK * mean) / (len(rights) + _SHRUNK)
    start, slope = math.log(own / (1 - own)), _SLOPE
    target = start
    for _ in range(50):  # Newton's method on the penalised likelihood
        chances = 1 / (1 + np.exp(-(start + slope * strengths)))
        weights = chances * (1 - chances)
        gradient = np.array(
            [
                (rights - chances).sum() - _SHRUNK / 4 * (start - target),
                ((rights - chances) * strengths).sum() - _STEEP * (slope - _SLOPE),
            ]
        )
        mixed = (weights * strengths).sum()
        curve = np.array(
            [
                [weights.sum() + _SHRUNK / 4, mixed],
                [mixed, (weights * strengths**2).sum() + _STEEP],
            ]
        )
        step = np.linalg.solve(curve, gradient)
        start, slope = start + step[0], slope + step[1]
    return float(start), float(max(slope, 0.0))

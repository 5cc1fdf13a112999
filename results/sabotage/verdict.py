"""What the doctor said of each run, and whether it was right."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gander.doctor.diagnose as doctor
from gander.doctor.case import Case, case_of
from gander.doctor.finding import Finding, in_order
from gander.errors import GanderError
from gander.recipe.read import read_recipe
from gander.run import Run

from .plan import CASES

ERRORS = 2.0
"""Standard errors by which a sabotaged run must be worse than its healthy siblings to count."""

CLEARER = 3.0
"""The same of coverage and of copies, which are further tests of the same runs."""

ODD = 3.0
"""How many times worse than its siblings an odd recipe's run may score, and still be called healthy."""

Label = dict[str, Any]


@dataclass
class Verdict:
    """One run and what was said of it.

    Args:
        worse: standard errors by which its score is worse than its siblings'; nan without siblings.
        times: its score over theirs.
        said: every finding when it first alarmed, with the images then; causes are those named at the end.
    """

    label: Label
    path: Path
    total: int
    worse: float = math.nan
    times: float = math.nan
    said: list[tuple[int, Finding]] = field(default_factory=list)
    causes: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Tell whether it was sabotaged, and to its harm."""
        return bool(self.label["cause"]) and self.worse > ERRORS

    @property
    def harmless(self) -> bool:
        return bool(self.label["cause"]) and self.worse <= ERRORS

    @property
    def healthy(self) -> bool:
        """Tell whether it was left as it is, and is no worse than its siblings."""
        if self.label["cause"] or self.case:
            return False
        return self.label["kind"].startswith("first-steps") or not self.times > ODD

    @property
    def case(self) -> bool:
        """Tell whether it is a plain run of a recipe that is known to fail by itself."""
        return not self.label["cause"] and (self.label["base"], self.label["data"]) in CASES

    @property
    def known(self) -> bool:
        """Tell whether its harm is known: its recipe has a healthy run, or is one."""
        return not self.case and (not self.label["cause"] or not math.isnan(self.worse))

    @property
    def detected(self) -> int | None:
        """After how many images, counted from the sabotage, the first alarm came."""
        return next((at - self.label["onset"] for at, _ in self.said if at >= self.label["onset"]), None)

    @property
    def alarms(self) -> list[tuple[int, Finding]]:
        """What is false: all on a run that is not broken, and what came before the sabotage."""
        if not self.broken:
            return self.said
        return [(at, finding) for at, finding in self.said if at < self.label["onset"]]

    def right(self, at: int) -> bool:
        """Tell whether an alarm at this moment is right: something is broken, and was by then."""
        return self.broken and at >= self.label["onset"]

    def rank(self) -> int | None:
        """Give the place, from 0, at which the cause is named."""
        wanted = {self.label["cause"], *self.label["equal"]}
        return next((place for place, cause in enumerate(self.causes) if cause in wanted), None)


def labels(work: Path, split: str = "") -> list[tuple[Path, Label]]:
    """Read the labels of the runs that are done; of one half, where it is named."""
    found = []
    for file in sorted((work / "runs").glob("*/label.json")):
        label = json.loads(file.read_text())
        if not split or label["split"] == split:
            found.append((file.parent, label))
    return found


def verdicts(work: Path, split: str) -> Iterator[Verdict]:
    """Let the doctor look at every run of one half, as it would have while they trained."""
    every = [label for _, label in labels(work)]
    for path, label in labels(work, split):
        try:
            case = read_case(path)
        except GanderError as error:
            print(f"{path.name}: left out: {error}")
            continue
        verdict = Verdict(label, path, case.total, *harm(label, every))
        try:
            verdict.said, verdict.causes = consult(case)
        except Exception as error:  # a doctor that fails has said nothing, and that counts
            print(f"{path.name}: the doctor failed: {type(error).__name__}: {error}")
        yield verdict


def read_case(path: Path) -> Case:
    """Read what the doctor may see of a run."""
    run = Run(path)
    return case_of(run, read_recipe(run).as_tree())


def consult(case: Case) -> tuple[list[tuple[int, Finding]], tuple[str, ...]]:
    """Give every alarm when it first came, and the causes in the order they are named at the end."""
    standing = [finding for finding in doctor.findings_over(case) if finding.alarms]
    first: dict[str, tuple[int, Finding]] = {}
    for at, finding, gone in doctor.courses(case):  # also those that are gone by the end
        if finding.alarms and not gone:
            first.setdefault(finding.code, (at, finding))
    for finding in standing:
        first.setdefault(finding.code, (finding.since, finding))
    said = sorted(first.values(), key=lambda each: each[0])
    named = standing or in_order(finding for _, finding in said)
    causes = [cause for finding in named for cause in (finding.causes or (finding.code,))]
    return said, tuple(dict.fromkeys(causes))


def harm(label: Label, every: Iterable[Label]) -> tuple[float, float]:
    """Give by how many standard errors, and times, a run is worse than healthy ones of its recipe and data.

    Of the logarithm of the distance, of the coverage and of how near fakes are to the images shown, whichever
    is the worst. The deviation is that among seeds, pooled over all recipes; three tests are made, so the
    later ones must be clearer.
    """
    cells: defaultdict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    for each in every:
        if each["kind"] == "healthy" and each["score"] and each["name"] != label["name"]:
            cells[each["base"], each["data"]].append(_goods(each))
    own = cells[label["base"], label["data"]]
    if not own:
        return math.nan, math.nan
    if label["score"] is None or not math.isfinite(label["score"]):
        return math.inf, math.inf
    worse = []
    for place, (now, clear) in enumerate(zip(_goods(label), (ERRORS, CLEARER, CLEARER), strict=True)):
        error = spread([[each[place] for each in cell] for cell in cells.values()])
        less = statistics.mean(each[place] for each in own) - now
        if math.isfinite(less):
            worse.append(less / (error * math.sqrt(1 + 1 / len(own))) * ERRORS / clear)
    return max(worse), label["score"] / math.exp(-statistics.mean(each[0] for each in own))


def _goods(label: Label) -> tuple[float, ...]:
    return -math.log(label["score"]), label["coverage"], -label.get("nearer", math.nan)


def spread(groups: Iterable[Sequence[float]]) -> float:
    """Give the standard deviation within groups, pooled."""
    finite = [[value for value in group if math.isfinite(value)] for group in groups]
    several = [group for group in finite if len(group) > 1]
    degrees = sum(len(group) - 1 for group in several)
    if not degrees:
        return 0.1
    variance = sum(statistics.variance(group) * (len(group) - 1) for group in several) / degrees
    return max(math.sqrt(variance), 0.01)

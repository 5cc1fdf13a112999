"""What a study's directory says, read without running anything: trials, verdicts, cost, deviations."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gander.errors import UsageError
from gander.files import write_whole
from gander.launch.trial import DONE
from gander.patch import difference, show_patch
from gander.run import Run
from gander.study.file import Arm, Study, list_arms, read_study
from gander.study.ledger import Ledger, Row
from gander.study.planning import level_at_looks
from gander.study.scheduler import FAILED, FINAL
from gander.study.verdicts import BETTER, Judgement, judge_arms

VERDICTS, STUDY, PAGE = "verdicts.json", "study.toml", "report.html"


@dataclass(frozen=True)
class Results:
    """A study as it stands.

    Args:
        scores: of each arm's folder, by seed.
        failed: of each arm's folder, the seeds whose trials diverged or collapsed.
        missing: of each arm's folder, the seeds whose trials gave neither, and why.
        findings: of each arm's folder, in how many runs the doctor's alarm stood at the end, by its code.
        seconds: of each arm's folder, what a trial with a score took on average.
        spent: of each arm's folder, what all trials and attempts took together.
        made: the plan that the study began with.
        verdicts: as they are written to verdicts.json.
        noise: of one trial's log score, by data set; nan where unknown.
        level: of error, at this look.
    """

    folder: Path
    study: Study
    arms: list[Arm]
    scores: dict[str, dict[int, float]]
    failed: dict[str, list[int]]
    missing: dict[str, dict[int, str]]
    findings: dict[str, Counter[str]]
    seconds: dict[str, float]
    spent: dict[str, float]
    made: Row
    verdicts: list[dict[str, Any]]
    noise: dict[str, float]
    level: float
    deviations: list[str]

    def run(self, arm: Arm, seed: int) -> Run:
        """Give the run of a trial."""
        return Run(self.folder / "runs" / arm.folder / str(seed))

    def closing(self) -> list[str]:
        """Say what a reader of the table must know."""
        lost = [f"{arm}/{seed} {why}" for arm, of in self.missing.items() for seed, why in of.items()]
        said = [f"missing: {', '.join(lost)}; the same command tries again"] if lost else []
        share = f"an interval misses the truth once in {1 / self.level:.0f}" if self.level else ""
        said += [*self.deviations, f"{share}; verdicts count all {len(self.verdicts)} comparisons"]
        if len(self.verdicts) > 1 and any(row["verdict"] == BETTER for row in self.verdicts):
            said.append(
                "the largest of several effects is flattered by the choice: confirm it on fresh seeds"
            )
        return said


def read_results(folder: Path, seeds: int | None = None) -> Results:
    """Judge a study by its first `seeds` seeds, or by all.

    Raises: UsageError where there is no study, or its trials were scored in different ways.
    """
    study, ledger = read_study(folder / STUDY), Ledger(folder)
    chosen, arms = study.seeds[:seeds], list_arms(study)
    rows = {arm.folder: {seed: ledger.trial(f"{arm.folder}/{seed}") for seed in chosen} for arm in arms}
    scores = {
        name: {seed: row["score"] for seed, row in of.items() if row["state"] == DONE}
        for name, of in rows.items()
    }
    failed = {name: [seed for seed in of if of[seed]["state"] in FAILED] for name, of in rows.items()}
    missing = {
        name: {seed: of[seed]["state"] for seed in of if of[seed]["state"] not in FINAL}
        for name, of in rows.items()
    }
    looks = sorted({*study.looks, *(row["seeds"] for row in ledger.of("look")), len(chosen)} - {0})
    verdicts: list[dict[str, Any]] = []
    noise, level = {}, 0.0
    spent = {name: {seed: ledger.spent(f"{name}/{seed}") for seed in chosen} for name in rows}
    seconds = {name: sum(spent[name][seed] for seed in of) / max(len(of), 1) for name, of in scores.items()}
    for data in dict.fromkeys(arm.data for arm in arms):
        names = {arm.folder: arm.name for arm in arms if arm.data == data}
        check_protocols({f"{name}/{seed}": row for name in names for seed, row in rows[name].items()})
        level = level_at_looks(tuple(looks), len(names))
        how = Judgement(study.smallest, study.better, level, study.any_time)
        judged, noise[data] = judge_arms({name: scores[name] for name in names}, failed, how)
        base = next(iter(names))
        for one in judged:
            each = seconds[one.arm] + seconds[base]
            more = (one.seeds_to_settle or 0) - one.n
            hours = round(more * each / 3600, 3) if one.seeds_to_settle else None
            own = {"arm": names[one.arm], "data": data, "hours_to_settle": hours}
            verdicts.append(one.row() | own | {"missing": len(missing[one.arm])})
    return Results(
        folder,
        study,
        arms,
        scores,
        failed,
        missing,
        {
            name: Counter(code for row in of.values() for code in row.get("findings", ()))
            for name, of in rows.items()
        },
        seconds,
        {name: sum(of.values()) for name, of in spent.items()},
        ledger.of("plan")[0],
        verdicts,
        noise,
        level,
        [*_deviations(study, ledger, looks)],
    )


def last_look(folder: Path) -> Results:
    """Read a study as it was when its verdicts were last read; UsageError where they never were."""
    looks = Ledger(folder).of("look")
    if not looks:
        raise UsageError(
            f"{folder}: is a study without verdicts yet", hint="gander study FILE --to DIR goes on"
        )
    return read_results(folder, looks[-1]["seeds"])


def check_protocols(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UsageError where scores were not made alike: they cannot be compared.

    Args:
        rows: what each was made by under `protocol`, by a name; a row without one is passed over.
    """
    scored = {name: row["protocol"] for name, row in rows.items() if "protocol" in row}
    for name, protocol in scored.items():
        first, expected = next(iter(scored.items()))
        if protocol != expected:
            fields = [field for field in expected | protocol if expected.get(field) != protocol.get(field)]
            told = "; ".join(f"{field} {expected.get(field)} and {protocol.get(field)}" for field in fields)
            raise UsageError(
                f"{first} and {name} were scored in different ways, which cannot be compared: {told}",
                hint="gander evaluate RUN scores a run anew",
            )


def _deviations(study: Study, ledger: Ledger, looks: list[int]) -> list[str]:
    said = []
    plans = ledger.of("plan")
    for before, after in itertools.pairwise(plans):
        changed = difference(before["study"], after["study"])
        if before["gander"] != after["gander"]:
            said.append(f"from here on gander {after['gander']}, before {before['gander']}")
        if changed:
            said.append(f"{after['at']}, after {after['trials']} trials: {show_patch(changed)}")
    unplanned = [look for look in looks if look not in study.looks]
    if len(looks) > 1 and unplanned and not study.any_time:
        said.append(
            f"verdicts were read at {', '.join(map(str, looks))} seeds, of which "
            f"{', '.join(map(str, unplanned))} were not planned; the level of error is that of all"
        )
    return said


def write_verdicts(results: Results) -> None:
    """Write verdicts.json."""
    content = json.dumps(results.verdicts, indent=2, allow_nan=False).encode() + b"\n"
    write_whole(results.folder / VERDICTS, content)

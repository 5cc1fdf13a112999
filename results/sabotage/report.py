"""The page results/doctor.md: how often the doctor is right on runs that nothing was set on."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from scipy import stats

from .pictures import draw_confusion, draw_signals
from .plan import CELLS
from .verdict import CLEARER, ERRORS, ODD, Verdict, labels, verdicts

HERE = Path(__file__).parent.parent
PICTURES = HERE / "doctor"
BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)


def write_report(work: Path, split: str = "test") -> str:
    """Write the page, of test runs; of train runs give the figures alone."""
    runs = [*verdicts(work, split)]
    if not runs:
        return f"{work}: no {split} runs"
    if split == "train":
        return "\n".join([*figures(runs), "", *kinds(runs), "", *misses(runs), "", *false_alarms(runs)])
    lines = [
        *head(work, runs),
        *figures(runs),
        *harmless(runs),
        *kinds(runs),
        *calibration(runs),
        *misses(runs),
        *false_alarms(runs),
        *pictures(runs),
        *lists(work),
    ]
    (HERE / "doctor.md").write_text("\n".join(lines) + "\n", "utf-8")
    return f"{HERE / 'doctor.md'}: of {len(runs)} test runs"


def share(hits: int, count: int) -> str:
    """Write a share with its 95 % interval after Clopper and Pearson 1934."""
    if not count:
        return "no run yet"
    low = float(stats.beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.975, hits + 1, count - hits)) if hits < count else 1.0
    return f"{hits} of {count}: {hits / count:.0%} ({low:.0%} to {high:.0%})"


def head(work: Path, runs: Sequence[Verdict]) -> list[str]:
    """Say how the figures came to be."""
    every = labels(work)
    seconds = sum(label["seconds"] for _, label in every)
    middle = statistics.median(label["seconds"] for _, label in every)
    return f"""# How often the doctor is right

Healthy recipes, broken on purpose: `python results/sabotage.py run`, `calibrate`, `report`. Each run is a
normal training of 16 x 16 pixels, {middle:.0f} seconds in the middle, on one core that was shared;
all {len(every)} took {seconds / 3600:.1f} hours. Thresholds and confidences were set on train runs
({len(labels(work, "train"))}), of which no figure here is; these are of the {len(runs)} test runs, of other
seeds, and of other recipes or data sets ([lists](#which-runs)).

What a run is worth is scored by a judge that neither training nor doctor knows: the Fréchet distance of
2,000 images to as many that no run was shown, in the features of the data set's shipped judge, labels beside
them; coverage; and how near fakes are to the images shown. A sabotage counts where the logarithm of the
distance is worse by more than {ERRORS:g} standard errors than that of healthy runs of its recipe, data set
and other seeds, or one of the others by more than {CLEARER:g} (deviations are pooled over all recipes), or
where the run ended with a number that is not finite; else it is harmless, and an alarm on it is false. A few
kinds have a second cause that is as right, which `kinds.py` names (`equal`): a frozen part beside a rate near
zero. Three rounds hold every kind three times in each half and over sixty healthy runs;
{sum(label["round"] == 0 for _, label in every)} of these runs are of the first. Cures and the probes' time
are measured elsewhere.
Intervals are 95 %, after Clopper and Pearson; they are of runs, and know nothing of kinds not tried.
""".split("\n")


def figures(runs: Sequence[Verdict]) -> list[str]:
    """Give the table that the issue asks for."""
    broken = [run for run in runs if run.broken]
    healthy = [run for run in runs if run.healthy]
    ranks = [run.rank() for run in broken]
    found = [run for run in broken if run.detected is not None]
    ranks_found = [run.rank() for run in found]
    times = sorted((run.detected or 0) / run.total if run.detected is not None else 1.0 for run in broken)
    visible = [run for run in broken if not run.label["hidden"]]
    hidden = [run for run in broken if run.label["hidden"]]
    error = expected_error(runs)
    rows = [
        ("harmful runs with an alarm before the end", share(len(found), len(broken)), "95 %"),
        ("cause named first", share(sum(rank == 0 for rank in ranks), len(broken)), "80 %"),
        (
            "cause among the first three",
            share(sum(rank is not None and rank < 3 for rank in ranks), len(broken)),
            "95 %",
        ),
        ("... first, of those with an alarm", share(sum(rank == 0 for rank in ranks_found), len(found)), ""),
        (
            "... first, where the recipe or the data show it",
            share(sum(run.rank() == 0 for run in visible), len(visible)),
            "",
        ),
        (
            "... first, where neither does",
            share(sum(run.rank() == 0 for run in hidden), len(hidden)),
            "",
        ),
        (
            "healthy runs with any warning or worse",
            share(sum(bool(run.alarms) for run in healthy), len(healthy)),
            "at most 2 %",
        ),
        (
            "harmless sabotages with an alarm",
            share(sum(bool(run.alarms) for run in runs if run.harmless), sum(run.harmless for run in runs)),
            "",
        ),
        (
            "broken runs with an alarm before the sabotage",
            share(sum(bool(run.alarms) for run in broken), len(broken)),
            "",
        ),
        (
            "median time to the alarm, missed ones counted as a whole run",
            f"{statistics.median(times):.0%} of the run" if times else "no run yet",
            "10 %",
        ),
        (
            "expected calibration error of the alarms' confidence",
            f"{error:.3f}" if not math.isnan(error) else "no alarm",
            "at most .1",
        ),
    ]
    table = ["| figure | measured | asked for |", "|---|---|---|"]
    return [*table, *(f"| {name} | {value} | {asked} |" for name, value, asked in rows), ""]


def harmless(runs: Sequence[Verdict]) -> list[str]:
    """List what did no harm, and what is not counted."""
    named = [run for run in runs if run.harmless]
    unknown = [run for run in runs if run.label["cause"] and not run.known]
    cases = [run for run in runs if run.case]
    left_out = [run for run in runs if not run.label["cause"] and not run.healthy and not run.case]
    lines = ["## Sabotages without harm", ""]
    lines += [f"- {_what(run)}: {run.worse:+.1f} standard errors{_said(run)}" for run in named] or ["None."]
    if unknown:
        lines += ["", f"Not counted, for no healthy sibling is done yet: {len(unknown)} runs."]
    if cases:
        alarmed = share(sum(bool(run.said) for run in cases), len(cases))
        lines += [
            "",
            "Plain runs of recipes whose sources report a failure are siblings alone, for an alarm may",
        ]
        lines += [f"be right (decided after trial3 was seen to collapse); with an alarm: {alarmed}.", ""]
        lines += [f"- {_what(run)}{_said(run)}" for run in cases if run.said]
    if left_out:
        lines += ["", f"Not counted as healthy, for {ODD:g} times worse than siblings: "]
        lines += [f"- {_what(run)}" for run in left_out]
    return [*lines, ""]


def kinds(runs: Sequence[Verdict]) -> list[str]:
    """Tell kind by kind what was seen, and which causes were named first."""
    groups: defaultdict[str, list[Verdict]] = defaultdict(list)
    for run in runs:
        if run.label["cause"]:
            groups[run.label["kind"]].append(run)
    lines = [
        "## Kind by kind",
        "",
        "| kind | runs | harmful | seen | first | of three | middle time | what was named first |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, every in sorted(groups.items()):
        broken = [run for run in every if run.broken]
        ranks = [run.rank() for run in broken]
        times = [run.detected / run.total for run in broken if run.detected is not None]
        named = Counter(run.causes[0] if run.causes else "nothing" for run in broken)
        lines.append(
            f"| {kind} | {len(every)} | {len(broken)} | {len(times)} | {sum(rank == 0 for rank in ranks)} | "
            f"{sum(rank is not None and rank < 3 for rank in ranks)} | "
            f"{f'{statistics.median(times):.0%}' if times else ''} | "
            f"{', '.join(f'{name} {count}' for name, count in named.most_common(4))} |"
        )
    return [*lines, ""]


def expected_error(runs: Iterable[Verdict]) -> float:
    """Give the mean distance of confidence and share of right alarms, over bins, by their counts."""
    said = _told(runs)
    total = sum(len(each) * abs(_gap(each)) for each in _binned(said))
    return total / len(said) if said else math.nan


def _told(runs: Iterable[Verdict]) -> list[tuple[float, bool]]:
    return [(finding.confidence, run.right(at)) for run in runs if run.known for at, finding in run.said]


def _binned(said: Sequence[tuple[float, bool]]) -> list[list[tuple[float, bool]]]:
    bounds = pairwise(BINS)
    bins = [
        [each for each in said if low <= each[0] < high or each[0] == high == 1.0] for low, high in bounds
    ]
    return [each for each in bins if each]


def _gap(said: Sequence[tuple[float, bool]]) -> float:
    return statistics.mean(confidence for confidence, _ in said) - statistics.mean(right for _, right in said)


def calibration(runs: Sequence[Verdict]) -> list[str]:
    """Compare what was said with how often it was right."""
    said = _told(runs)
    lines = [
        "## Confidence",
        "",
        "An alarm is right where the run is broken, to its harm, by the time it comes; of each code the",
        "first alarm of a run counts, with the confidence it had then.",
        "",
        "| said with | alarms | right |",
        "|---|---|---|",
    ]
    for each in _binned(said):
        mean = statistics.mean(confidence for confidence, _ in each)
        lines.append(f"| {mean:.0%} | {len(each)} | {share(sum(right for _, right in each), len(each))} |")
    codes: defaultdict[str, list[bool]] = defaultdict(list)
    for run in filter(lambda each: each.known, runs):
        for at, finding in run.said:
            codes[finding.code].append(run.right(at))
    lines += ["", "| code | alarms | right |", "|---|---|---|"]
    lines += [
        f"| {code} | {len(each)} | {share(sum(each), len(each))} |" for code, each in sorted(codes.items())
    ]
    return [*lines, ""]


def misses(runs: Sequence[Verdict]) -> list[str]:
    """List the broken runs that got no alarm, and those whose cause was not among the first three."""
    unseen = [run for run in runs if run.broken and run.detected is None]
    other = [run for run in runs if run.broken and run.detected is not None and not _hit(run)]
    lines = ["## Misses", "", "Not seen:", ""]
    lines += [f"- {_what(run)}: {_harm(run)}" for run in unseen] or ["None."]
    lines += ["", "Seen, and the cause not among the first three:", ""]
    lines += [
        f"- {_what(run)}: {_harm(run)}; {', '.join(f.code for _, f in run.said[:3])}; "
        f"named: {', '.join(run.causes[:3]) or 'nothing'}"
        for run in other
    ] or ["None."]
    return [*lines, ""]


def _hit(run: Verdict) -> bool:
    rank = run.rank()
    return rank is not None and rank < 3


def false_alarms(runs: Sequence[Verdict]) -> list[str]:
    """List every alarm on what is not broken."""
    lines = ["## False alarms", ""]
    groups: tuple[tuple[str, Callable[[Verdict], bool]], ...] = (
        ("On healthy runs", lambda run: run.healthy),
        ("On harmless sabotages", lambda run: run.harmless),
        ("Before the sabotage", lambda run: run.broken),
    )
    for title, chosen in groups:
        listed = [f"- {_what(run)}{_said(run)}" for run in runs if chosen(run) and run.alarms]
        lines += [f"{title}:", "", *(listed or ["None."]), ""]
    return lines


def _said(run: Verdict) -> str:
    told = [f"{f.code} ({f.severity}, {f.confidence:.0%}) after {at:,}" for at, f in run.alarms[:4]]
    return f"; {', '.join(told)}" if told else ""


def _harm(run: Verdict) -> str:
    if run.label["score"] is None:
        return f"ended: {run.label['ended']}"
    return f"score {run.label['score']:.3g}, worse by {run.worse:.1f} standard errors"


def _what(run: Verdict) -> str:
    label = run.label
    onset = f", from {label['onset']:,} images on" if label["onset"] else ""
    kind = f"{label['kind']} ({label['strength'] or 'plain'}{onset})"
    return f"{kind}, {label['base']} on {label['data']}, seed {label['seed']}"


def pictures(runs: Sequence[Verdict]) -> list[str]:
    """Draw the confusion matrix and the signals of each kind."""
    PICTURES.mkdir(exist_ok=True)
    draw_confusion([run for run in runs if run.broken], PICTURES / "confusion.png")
    lines = [
        "## Which cause is named for which",
        "",
        "![true cause by cause named first](doctor/confusion.png)",
        "",
    ]
    lines += [
        "## Signals, kind by kind",
        "",
        "Red: broken runs, thin where harmless; grey: healthy runs of the same recipes and data.",
        "",
    ]
    for name in draw_signals(runs, PICTURES):
        lines += [f"![signals of the kinds](doctor/{name})", ""]
    return lines


def lists(work: Path) -> list[str]:
    """List recipes, data sets and seeds of both halves."""
    lines = ["## Which runs", "", "Recipes and data sets:", ""]
    for split, cells in CELLS.items():
        named = ", ".join(f"{base} on {data}" for base, data in cells)
        seeds = sorted({label["seed"] for _, label in labels(work, split)})
        lines.append(f"- {split}: {named}; seeds {', '.join(map(str, seeds))}")
    return [
        *lines,
        "",
        "A kind that needs a recipe which its half does not have takes one of the other half with a seed of",
        "its own. The recipes stand in `results/sabotage/bases.py`, each a patch of a shipped one, the kinds",
        "in `kinds.py`; `python results/sabotage.py plan` lists the runs.",
    ]

"""A study from its file to its verdicts: measured, run, read at its looks; the same call goes on with it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gander import __version__
from gander.errors import UsageError
from gander.files import disk_refusals, locked, write_whole
from gander.launch.trial import DONE, Launcher
from gander.study.costs import measure, seconds_in_all, seconds_of, usable_cores, workers_by_memory
from gander.study.file import Study, list_arms, read_study, study_digest
from gander.study.ledger import FILE, QUEUED, RUNNING, Ledger, Row
from gander.study.planning import least_difference, seeds_for
from gander.study.results import STUDY, Results, read_results, write_verdicts
from gander.study.scheduler import FINAL, Scheduler
from gander.study.trials import (
    Trial,
    check_unchanged,
    choose_engine,
    list_trials,
    load_recipes,
    probe_of,
    unfinished,
)

if TYPE_CHECKING:
    from gander.recipe.schema import Recipe


@dataclass(frozen=True)
class Forecast:
    """What a study will take and can show, before it runs.

    Args:
        seconds: for the trials that are left.
        noise: of one trial's log score; `measured` in this study, or assumed.
        shows: the least relative difference that all seeds together tell four times in five.
        seeds: that would do for the smallest difference that matters; None beyond 2,000.
    """

    trials: int
    left: int
    workers: int
    threads: int
    seconds: float
    noise: float
    measured: bool
    shows: float
    seeds: int | None


@dataclass(frozen=True)
class Listener:
    """Who hears of a study: its forecast, each trial that ended, its results at each look."""

    planned: Callable[[Study, Forecast], object] = lambda study, forecast: None
    ended: Callable[[Trial, dict[str, Any], int, float], object] = lambda trial, row, left, seconds: None
    read: Callable[[Results], object] = lambda results: None


def conduct(
    file: Path,
    folder: Path,
    launch: Callable[[int, int], Launcher],
    workers: int | None = None,
    listener: Listener = Listener(),
    again: str = "the same command",
) -> Results:
    """Run what a study lacks, and judge it.

    Args:
        file: the study file; it may have more seeds and arms than when the study began.
        folder: of the study, new or begun.
        launch: makes what starts trials, of how many workers with how many threads each.
        workers: trials at once; None is as many as there are cores, and memory for.
        again: what to type to go on.
    Raises: UsageError before any work; Interrupted with all saved; GanderError where two arms crash alike.
    """
    study = read_study(file)
    recipes = load_recipes(study)
    others = [each for each in folder.glob("*") if not each.name.startswith(".")]
    if others and not (folder / FILE).exists():
        raise UsageError(f'--to "{folder}": is already there and holds no study', hint="another --to")
    with disk_refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "running this study"):
        ledger = Ledger(folder)
        ledger.mend()
        plans = ledger.of("plan")
        engine, at_once = _engine(plans, recipes, workers)
        launcher = launch(at_once, engine["threads"])
        images = _measured(study, recipes, engine, (folder, ledger), launcher)
        if workers is None:
            launcher.workers = min(at_once, workers_by_memory(ledger.probes()))
        trials = list_trials(study, recipes, images, engine)
        check_unchanged(trials, ledger)
        content = file.read_bytes()
        if not (folder / STUDY).exists() or (folder / STUDY).read_bytes() != content:
            write_whole(folder / STUDY, content)
        if not plans or plans[-1]["digest"] != study_digest(study) or plans[-1]["gander"] != __version__:
            finished = sum(row["state"] in FINAL for row in ledger.of("trial"))
            said = {"digest": study_digest(study), "study": study.model_dump(mode="json"), "engine": engine}
            ledger.append("plan", said | {"trials": finished, "gander": __version__})
        director = _Director(study, folder, ledger, trials, images, launcher, listener)
        listener.planned(study, director.forecast(engine["threads"]))
        Scheduler(folder, ledger, study.score, launcher, again, director.heard).run(trials)
        return director.read(len(study.seeds))


def _engine(
    plans: Sequence[Row], recipes: Mapping[str, Recipe], workers: int | None
) -> tuple[dict[str, Any], int]:
    """Give what was chosen when the study began, or choose it now; and how many trials may run at once."""
    cores = usable_cores()
    at_once = workers or cores
    first = next(iter(recipes.values()))
    engine = plans[0]["engine"] if plans else choose_engine(first, max(1, cores // at_once))
    alone = engine["device"] != "cpu" and workers is None  # an accelerator is not shared by halves
    return engine, 1 if alone else at_once


def _measured(
    study: Study,
    recipes: Mapping[str, Recipe],
    engine: Mapping[str, Any],
    place: tuple[Path, Ledger],
    launcher: Launcher,
) -> dict[str, int]:
    """Measure the arms that nobody has measured yet; give the length of each arm's trials in images."""
    folder, ledger = place
    new = [arm for arm in list_arms(study) if arm.folder not in ledger.probes()]
    probes = [probe_of(arm, study.seeds[0], recipes[arm.folder], engine) for arm in new]
    measure(probes, folder, launcher, ledger, study.score)
    seconds, known = study.seconds or 0.0, ledger.probes()
    return {name: study.images or max(1, round(seconds * known[name]["speed"])) for name in recipes}


@dataclass
class _Director:
    study: Study
    folder: Path
    ledger: Ledger
    trials: Sequence[Trial]
    images: dict[str, int]
    launcher: Launcher
    listener: Listener

    def left(self) -> list[Trial]:
        return unfinished(self.trials, self.ledger, FINAL)

    def seconds_left(self) -> float:
        """Estimate by trials of an arm that are done, or else by its probe."""
        known, each = self.ledger.probes(), dict[str, float]()
        rows = [row for row in self.ledger.of("trial") if row["state"] == DONE]
        for arm, images in self.images.items():
            done = [row["seconds"] for row in rows if row["trial"].rpartition("/")[0] == arm]
            each[arm] = statistics.mean(done or [seconds_of(known[arm], images, self.study.scores)])
        return seconds_in_all([each[trial.arm.folder] for trial in self.left()], self.launcher.workers)

    def forecast(self, threads: int) -> Forecast:
        measured = read_results(self.folder).noise
        known = [noise for noise in measured.values() if noise > 0]
        noise = max(known) if known else self.study.noise
        arms = len(self.images) // len(measured)
        return Forecast(
            trials=len(self.trials),
            left=len(self.left()),
            workers=self.launcher.workers,
            threads=threads,
            seconds=self.seconds_left(),
            noise=noise,
            measured=bool(known),
            shows=least_difference(noise, len(self.study.seeds), arms),
            seeds=seeds_for(self.study.smallest, noise, arms),
        )

    def heard(self, trial: Trial) -> None:
        row = dict(self.ledger.trial(trial.name))
        self.listener.ended(trial, row, len(self.left()), self.seconds_left())
        taken = {row["seeds"] for row in self.ledger.of("look")}
        for look in {*self.study.looks} - taken:
            chosen = self.study.seeds[:look]
            states = {self.ledger.trial(each.name)["state"] for each in self.trials if each.seed in chosen}
            if 0 < look < len(self.study.seeds) and not states & {QUEUED, RUNNING}:
                self.read(look)

    def read(self, seeds: int) -> Results:
        """Judge the first seeds; that they were looked at is noted before anybody can see it."""
        if seeds not in [row["seeds"] for row in self.ledger.of("look")]:
            self.ledger.append("look", {"seeds": seeds})
        results = read_results(self.folder, seeds)
        write_verdicts(results)
        self.listener.read(results)
        return results

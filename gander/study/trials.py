"""The trials of a study: resolved recipes that differ in their arm and seed alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gander.errors import RecipeError, UsageError
from gander.launch.trial import TIMED
from gander.study.file import Arm, Study, list_arms
from gander.study.ledger import QUEUED, Ledger

if TYPE_CHECKING:
    from gander.recipe.schema import Recipe


@dataclass(frozen=True)
class Trial:
    """One arm on one seed."""

    arm: Arm
    seed: int
    recipe: str  # TOML
    digest: str

    @property
    def name(self) -> str:
        """Where its run lies under `runs/`."""
        return f"{self.arm.folder}/{self.seed}"


def load_recipes(study: Study) -> dict[str, Recipe]:
    """Give the recipe of every arm, by the arm's folder; RecipeError that names the arm."""
    from gander.recipe.read import load_recipe

    recipes = {}
    for arm in list_arms(study):
        try:
            recipes[arm.folder] = load_recipe(study.recipe, arm.patch)
        except RecipeError as error:
            named = (f'arm "{arm.folder}": {problem}' for problem in error.problems)
            raise RecipeError(*named, hint=error.hint) from None
    return recipes


def choose_engine(recipe: Recipe, threads: int) -> dict[str, Any]:
    """Choose once what `auto` is, for all trials: the bits of a run, and its speed, depend on it."""
    from gander.engine.machine import CHOICES, choose_machine, settings_restored

    with settings_restored():
        machine = choose_machine(recipe.engine)
    chosen = {choice: getattr(machine, choice) for choice in CHOICES}
    return {"device": machine.device.type, **chosen, "threads": threads}


def trial_of(arm: Arm, seed: int, recipe: Recipe, images: int, more: Mapping[str, Any]) -> Trial:
    """Pin what all trials have in common; the arm's own words on the engine stand.

    Args:
        images: the length.
        more: `engine`, as chosen for all, and `scores`, how often a trial is scored.
    """
    from gander.recipe.write import recipe_toml

    auto = [name for name in more["engine"] if getattr(recipe.engine, name) in ("auto", 0)]
    patch = {f"engine.{name}": more["engine"][name] for name in auto}
    patch |= {"seed": seed, "train.images": images, "evaluate.share": 1.0}
    patch["evaluate.every"] = -(-images // more["scores"])
    resolved = recipe.patched(patch)
    return Trial(arm, seed, recipe_toml(resolved), resolved.digest)


def probe_of(arm: Arm, seed: int, recipe: Recipe, engine: Mapping[str, Any]) -> Trial:
    """Give a trial of a few steps and one score, which tells what the arm costs."""
    images = TIMED * recipe.shown_per_step * (10 if recipe.train.per_class else 1)
    return trial_of(arm, seed, recipe, images, {"engine": engine, "scores": 1})


def list_trials(
    study: Study, recipes: Mapping[str, Recipe], images: Mapping[str, int], engine: Mapping[str, Any]
) -> list[Trial]:
    """List all trials, seed by seed with all arms of each, so that what is done is balanced at any moment.

    The baselines come first; the order of the others changes from seed to seed, so that no arm has the
    quiet hours.
    """
    arms, pinned = list_arms(study), {"engine": engine, "scores": study.scores}
    firsts = {arm.data: arm for arm in reversed(arms)}.values()
    trials = []
    for seed in study.seeds:
        others = [arm for arm in arms if arm not in firsts]
        random.Random(seed).shuffle(others)
        for arm in [*[arm for arm in arms if arm in firsts], *others]:
            trials.append(trial_of(arm, seed, recipes[arm.folder], images[arm.folder], pinned))
    return trials


def check_unchanged(trials: Sequence[Trial], ledger: Ledger) -> None:
    """Raise UsageError where an arm is no longer what its trials ran with."""
    rows = ((trial, ledger.trial(trial.name)) for trial in trials)
    changed = [trial.name for trial, row in rows if row.get("digest", trial.digest) != trial.digest]
    if changed:
        raise UsageError(
            f"{', '.join(changed[:8])}: ran with another recipe than the study now gives them",
            hint="undo the change, or give the changed arm another name, or the study another --to",
        )


def unfinished(trials: Sequence[Trial], ledger: Ledger, final: Sequence[str]) -> list[Trial]:
    """Give the trials whose last state is none that stays, in order."""
    return [trial for trial in trials if ledger.trial(trial.name).get("state", QUEUED) not in final]

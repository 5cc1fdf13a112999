"""Say what is wrong with a run, from its files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gander.doctor.case import case_of
from gander.doctor.diagnose import findings_over
from gander.doctor.finding import Finding
from gander.errors import UsageError
from gander.recipe.shipped import recipe_tree
from gander.run import Pretrained, Run, find_run


def diagnose(run: Run | str | Path, known: Mapping[str, float] | None = None) -> list[Finding]:
    """Give what is wrong at the end of a run's log, or was when it failed, the worst first.

    Args:
        run: a run, its name or path.
        known: log-odds of causes by experiments: `log_odds_of(examine(run))`.
    Raises: UsageError where the run is a pretrained generator, which has no log.
    """
    found = run if isinstance(run, Run) else find_run(str(run))
    if isinstance(found, Pretrained):
        raise UsageError(
            f"{found.name}: holds a generator alone, and diagnosed is a training", hint="gander runs"
        )
    return findings_over(case_of(found, recipe_tree(str(found.recipe_file))), known)

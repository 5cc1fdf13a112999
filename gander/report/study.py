"""A study as one self-contained page: verdicts, differences by seed, curves, samples, cost, deviations."""

from __future__ import annotations

import base64
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gander.errors import StorageError
from gander.files import disk_refusals, write_whole
from gander.pictures.comparison import Row, draw_bands, draw_differences
from gander.pictures.template import render
from gander.study.file import Arm, study_digest
from gander.study.results import PAGE, Results

_MOST_SHEETS = 8  # arms whose samples are shown


def write_page(results: Results) -> Path:
    """Write `report.html` into the study's folder; StorageError where the disk refuses."""
    sets = [_data_set(results, data) for data in dict.fromkeys(arm.data for arm in results.arms)]
    values = {
        "study": results.study,
        "recipe": Path(results.study.recipe).name,
        "sets": sets,
        "closing": results.closing(),
        "digest": study_digest(results.study),
        "trials": sum(map(len, results.scores.values())),
        "hours": sum(results.spent.values()) / 3600,
        "made": results.made,
    }
    path = results.folder / PAGE
    with disk_refusals(path):
        write_whole(path, render("gander.report", "study.html", values).encode())
    return path


def _data_set(results: Results, data: str) -> dict[str, Any]:
    arms = [arm for arm in results.arms if arm.data == data]
    base, study = results.scores[arms[0].folder], results.study
    verdicts = {row["arm"]: row for row in results.verdicts if row["data"] == data}
    rows = []
    for arm in arms[1:]:
        own, said = results.scores[arm.folder], verdicts[arm.name]
        changes = [own[seed] / base[seed] - 1 for seed in base if seed in own]
        rows.append(Row(arm.name, changes, said["effect"], said["low"], said["high"], said["verdict"]))
    curves = {arm.name: _curves(results, arm) for arm in arms}
    return {
        "data": data,
        "arms": [_arm(results, arm, verdicts.get(arm.name)) for arm in arms],
        "noise": results.noise[data],
        "differences": _inline(draw_differences(rows, study.smallest, study.score, study.better)),
        "curves": _inline(draw_bands(curves, study.score, study.better)) if any(curves.values()) else "",
        "sheets": [sheet for arm in arms[:_MOST_SHEETS] if (sheet := _sheet(results, arm))],
        "left_out": max(0, len(arms) - _MOST_SHEETS),
    }


def _arm(results: Results, arm: Arm, verdict: dict[str, Any] | None) -> dict[str, Any]:
    scores = results.scores[arm.folder]
    mean = math.exp(statistics.fmean(map(math.log, scores.values()))) if scores else None
    return {
        "name": arm.name,
        "verdict": verdict,
        "mean": mean,
        "scores": scores,
        "failed": results.failed[arm.folder],
        "missing": results.missing[arm.folder],
        "findings": results.findings[arm.folder].most_common(),
        "settles": _settles(verdict or {}),
        "minutes": results.seconds[arm.folder] / 60,
    }


def _settles(verdict: Mapping[str, Any]) -> str:
    seeds, hours = verdict.get("seeds_to_settle"), verdict.get("hours_to_settle") or 0.0
    return f"{seeds} ({f'{hours:.2g} h' if hours >= 1 else f'{60 * hours:.2g} min'} more)" if seeds else ""


def _curves(results: Results, arm: Arm) -> list[tuple[list[int], list[float]]]:
    curves = []
    for seed in results.scores[arm.folder]:
        history, score = results.run(arm, seed).scores(), results.study.score
        if math.isfinite(history.last(score)):
            curves.append((history.images, history.column(score)))
    return curves


def _sheet(results: Results, arm: Arm) -> dict[str, str] | None:
    """Give the newest samples of the first seed that has any, of the same latents in every arm."""
    for seed in results.scores[arm.folder]:
        try:
            if sheets := results.run(arm, seed).sheets():
                return {"name": f"{arm.name}, seed {seed}", "source": _inline(sheets[-1].read_bytes())}
        except (OSError, StorageError):  # a run may have been cleared away; its score stands in the ledger
            continue
    return None


def _inline(picture: bytes) -> str:
    return base64.b64encode(picture).decode()

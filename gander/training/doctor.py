"""The doctor at work beside a training: findings as they come and go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gander.chance import rank
from gander.doctor.case import Case, numbered
from gander.doctor.diagnose import Course, courses, saying
from gander.files import append_row, write_whole
from gander.history import History, read_rows
from gander.training.chores import Chore

if TYPE_CHECKING:
    from gander.training.session import Session


class Doctor(Chore):
    """Say what is wrong, once, and write it down; from the log alone, so that a reader comes to the same."""

    def __init__(self) -> None:
        super().__init__(0)
        self._heard: dict[str, Any] = {}
        self._course: Course | None = None
        self._case = Case({})

    def due(self, session: Session, before: int, now: int) -> bool:
        return rank() == 0 and bool(session.log.row) and session.log.row is not self._heard

    def __call__(self, session: Session) -> None:
        self._heard = row = session.log.row
        file, case = session.run.findings_file, self._case
        if self._course is None:  # a run that is gone on with has findings of rows that are no longer there
            data = session.run.env().get("data", {})
            rows = [numbered(row, session.images.classes) for row in read_rows(session.run.log_file)]
            self._course = Course()
            case = Case(session.recipe.as_tree(), data, History(rows[:-1]), session.images_total)
            said = [saying(*each) for each in courses(case, self._course)]
            write_whole(file, "".join(f"{json.dumps(each)}\n" for each in said).encode())
        case.history.append(numbered(row, session.images.classes))
        self._case = Case(case.recipe, case.data, case.history, case.total)
        for moment in self._case.newest():
            for finding, gone in self._course.hear(moment):
                append_row(file, saying(moment.images, finding, gone))
                if finding.since and not gone:
                    session.tell("found", finding)

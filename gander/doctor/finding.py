"""What the doctor reports: what is wrong, how sure, since when, on which evidence, why, and what to type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from gander.history import History
from gander.patch import typed

Severity = Literal["note", "warning", "error"]
"""A note is worth knowing and no alarm; a warning costs quality; after an error nothing good will come."""

_RANKS: tuple[Severity, ...] = ("note", "warning", "error")


@dataclass(frozen=True)
class Evidence:
    """One number that speaks for a finding.

    Args:
        column: of the log, or the recipe's or data's field it was read from.
        value: what it is now.
        healthy: what it is in healthy runs, as a person reads it: "below 0.95".
    """

    column: str
    value: float | str
    healthy: str

    @property
    def shown(self) -> str:
        """The value as a person reads it."""
        return f"{self.value:.3g}" if isinstance(self.value, float) else str(self.value)


@dataclass(frozen=True)
class Prediction:
    """What the remedy will do, put so that it can fail: `column` is `below` or `above` `bound`.

    Args:
        within: images after the branch at which it must hold, as the median of the rows of their last third.
    """

    column: str
    direction: Literal["below", "above"]
    bound: float
    within: int

    def holds(self, history: History, start: int) -> bool | None:
        """Tell whether it came true in a run that has the remedy since `start`; None: not known yet."""
        rows = zip(history.images, history.column(self.column), strict=True)
        end = start + self.within
        last = sorted(value for images, value in rows if end - self.within / 3 <= images and value == value)
        if not last or history.images[-1] < end:
            return None
        middle = last[len(last) // 2]
        return middle < self.bound if self.direction == "below" else middle > self.bound

    def __str__(self) -> str:
        return f"{self.column} {self.direction} {self.bound:g} within {self.within:,} images"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        code: what is seen, as `gander explain CODE` knows it.
        confidence: the share of findings said with this confidence that are right.
        since: images shown when it was first seen; 0 is before the first step.
        causes: candidate causes in order, each a code that `gander explain` knows.
        remedy: patches, one for each cause that has one, the likeliest first; each is tried alone.
    """

    code: str
    severity: Severity
    confidence: float
    says: str
    since: int = 0
    evidence: tuple[Evidence, ...] = ()
    causes: tuple[str, ...] = ()
    remedy: tuple[tuple[str, ...], ...] = ()
    prediction: Prediction | None = None
    unknown: tuple[str, ...] = field(default=())
    """Columns that would tell more, and that the log does not have."""

    @property
    def alarms(self) -> bool:
        """Tell whether it is more than a note."""
        return self.severity != "note"

    def __str__(self) -> str:
        tries = f"; try {typed(self.remedy[0])}" if self.alarms and self.remedy else ""
        return self.says + tries

    def as_dict(self) -> dict[str, Any]:
        """Give plain data, for `findings.jsonl` and `--json`."""
        return asdict(self)


def finding_of(row: Mapping[str, Any]) -> Finding:
    """Read a finding back from plain data; what else the row holds is left out."""
    plain = {each.name: row[each.name] for each in fields(Finding) if each.name in row}
    plain["evidence"] = tuple(Evidence(**each) for each in plain["evidence"])
    plain["prediction"] = plain["prediction"] and Prediction(**plain["prediction"])
    plain["remedy"] = tuple(tuple(patch) for patch in plain["remedy"])
    plain |= {name: tuple(plain[name]) for name in ("causes", "unknown")}
    return Finding(**plain)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings: the worst first, and of equals the surest, then the earliest."""
    return sorted(findings, key=lambda each: (-_RANKS.index(each.severity), -each.confidence, each.since))


def beyond(value: float, above: Sequence[float] = (), below: Sequence[float] = ()) -> Severity | None:
    """Give the worst severity whose bound is passed."""
    passed = max(sum(value > bound for bound in above), sum(value < bound for bound in below))
    return _RANKS[passed - 1] if passed else None


def fact(
    code: str,
    severity: Severity,
    says: str,
    column: str,
    value: float | str,
    healthy: str,
    *remedy: tuple[str, ...],
) -> Finding:
    """Make a finding that is certain, and its own cause."""
    return Finding(code, severity, 1.0, says, 0, (Evidence(column, value, healthy),), (code,), remedy)

"""Pictures and pages that show what happened in a run."""

from gander.report.curves import draw_curves, terminal_curves

__all__ = ["draw_curves", "terminal_curves"]

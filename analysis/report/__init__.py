"""A study as one HTML page, `report(runs)`: its answer first, then what that rests on."""

from analysis.report.page import report

__all__ = ["report"]

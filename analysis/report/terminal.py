"""What a study's tables say, in a terminal: a dot for each seed of each arm, and a sentence."""

import math
from collections.abc import Sequence

from analysis.report import headroom
from analysis.report.forest import Line, Panel, Scale, panels
from analysis.tables.model import Table

WIDTH = 48  # characters of a plot
NAME = 30  # of a row's name, at most
SEED, MEAN, ZERO = "∘", "●", "│"
# Of each verdict how a sentence begins that lists its rows.
VERDICTS = {
    "better": "better than {control}",
    "worse": "worse than {control}",
    "alike": "equal to {control} within {margin}",
    "untold": "cannot be told from {control}",
}


def summary(tables: Sequence[Table], margin: float) -> str:
    """Of each table its first column (the average, where there is one): dots, then a sentence.

    Args:
        tables: as `analysis.tables.papers.of_study` gives them.
        margin: points within which a difference counts as none.

    Returns:
        Lines for a terminal; "" where no runs are done.
    """
    first: dict[str, Panel] = {}
    for panel in panels(tables, margin):
        if any(line.dots for group in panel.groups for line in group):
            first.setdefault(panel.table, panel)
    parts = [_dots(panel) + _sentence(panel, tables, margin) for panel in first.values()]
    return "\n\n".join("\n".join(part) for part in parts)


def _dots(panel: Panel) -> list[str]:
    """The plot: a scale, and a line for each arm."""
    what = "difference to its control" if panel.compares else "score"
    title = f"{panel.table}, {panel.column}: {what} in points; {SEED} a seed, {MEAN} the mean"
    lines = [line for group in panel.groups for line in group]
    width = min(NAME, max(len(line.row) for line in lines))
    rows = [f"{_name(line.row, width)} {_drawn(line, panel)}" for line in lines]
    return [title, f"{'':{width}} {_scale(panel.scale)}", *rows]


def _name(row: str, width: int) -> str:
    return f"{row if len(row) <= width else row[: width - 1] + '…':{width}}"


def _drawn(line: Line, panel: Panel) -> str:
    """The characters of one arm; a mean hides seeds, and seeds hide the zero."""
    row = [" "] * WIDTH
    if panel.compares:
        row[_at(0.0, panel.scale)] = ZERO
    for dot in line.dots:
        row[_at(dot.value, panel.scale)] = SEED
    if not math.isnan(line.mean) and line.dots:
        row[_at(line.mean, panel.scale)] = MEAN
    return f"{''.join(row)} {line.text}".rstrip()


def _at(points: float, scale: Scale) -> int:
    """The character at which a value stands."""
    return round(scale.share(points) * (WIDTH - 1))


def _scale(scale: Scale) -> str:
    """Round values over the characters at which they stand."""
    row = [" "] * (WIDTH + 8)
    for value, text in scale.ticks:
        start = max(_at(value, scale) - (len(text) - 1) // 2, 0)
        row[start : start + len(text)] = text
    return "".join(row).rstrip()


def _sentence(panel: Panel, tables: Sequence[Table], margin: float) -> list[str]:
    """What the tests say of the arms of each control; and how far the teacher is above it."""
    sentences = []
    within = f"{margin:g} point" + ("s" if margin != 1 else "")
    for control, *arms in panel.groups if panel.compares else []:
        by_kind: dict[str, list[str]] = {}
        for line in arms:
            points = f" ({line.mean:+z.1f})".replace("-", "−") if line.kind != "alike" else ""
            by_kind.setdefault(line.kind, []).append(line.row + points)
        said = [
            f"{begins.format(control=control.row, margin=within)}: {', '.join(by_kind[kind])}"
            for kind, begins in VERDICTS.items()
            if kind in by_kind
        ]
        sentences.append(f"{panel.column}: {'; '.join(said)}.")
    gaps = [
        gap
        for gap in headroom.headrooms(tables)
        if (gap.table, gap.column) == (panel.table, panel.column) and gap.closed_by
    ]
    sentences += [
        f"The teacher is {gap.points:.1f} points above {gap.control}; "
        + (
            f"{gap.closed_by} closes {gap.share:.0f} % of that, the most of all arms."
            if gap.share > 0
            else "no mean of an arm is closer to it."
        )
        for gap in gaps
    ]
    return sentences

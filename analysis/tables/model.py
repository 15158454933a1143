"""A table before it is text: its numbers, the order of rows and columns, and its notes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analysis.statistics.cells import Cell, CellRun
from analysis.statistics.contrasts import Sample
from analysis.tables.published_rows import PublishedRows
from sweeps.study.layouts import Layout

Cells = dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class Table:
    """A table of a study.

    Attributes:
        rows, columns: their labels, in the study's order.
        cells: by row and column; what was not planned has none.
        teachers: the rows that are teachers; `majority`, where there is one, comes after them.
        inapplicable: (row, column) of cells that were left out while planning.
        average: the column that is the mean over others, if there is one.
        published: rows of the literature below ours.
        runs: of each cell, but for averages and the majority baseline.
        samples: the paired differences of the cells that have a control.
        best: column to rows: the best, and the second.
        legend: by row and task the overrides that make it what it is.
        layout: how it is arranged.
        inits: by row the initialization of its students, if rows differ in it.
        notes: what a reader must know, in order.
    """

    name: str
    question: str
    split: str
    rows: list[str]
    columns: list[str]
    cells: Cells
    legend: dict[str, str]
    notes: list[str]
    layout: Layout = field(default_factory=Layout)
    teachers: list[str] = field(default_factory=list)
    inits: Mapping[str, str] = field(default_factory=dict)
    inapplicable: frozenset[tuple[str, str]] = frozenset()
    average: str | None = None
    published: PublishedRows = field(default_factory=PublishedRows)
    runs: Mapping[tuple[str, str], Sequence[CellRun]] = field(default_factory=dict)
    samples: Mapping[tuple[str, str], Sample] = field(default_factory=dict)
    best: Mapping[str, tuple[list[str], list[str]]] = field(default_factory=dict)

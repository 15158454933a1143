"""What a table is, before any format."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.statistics.cells import Cell
from analysis.tables.layout import Layout
from analysis.tables.published_rows import Beside

Cells = dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class Table:
    """Cells by (row, column), rows and columns in the study's order, and what each row is.

    Attributes:
        teachers: the rows that are teachers; `majority`, where there is one, comes after them.
        inapplicable: (row, column) of cells that were left out while planning.
        average: the column that is the mean over others, if there is one.
        published: rows of the literature below ours.
        best: column to rows: the best, and the second.
        legend: what each row is.
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
    published: Beside = field(default_factory=Beside)
    best: Mapping[str, tuple[list[str], list[str]]] = field(default_factory=dict)

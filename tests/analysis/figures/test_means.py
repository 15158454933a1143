"""Means of a table's rows, and the signs of what the table says of them."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from artists import errorbars, figure, points

from analysis import figures
from analysis.figures import style
from analysis.figures.means import SIGNS
from analysis.statistics.cells import Cell
from analysis.tables.arrange import arranged
from analysis.tables.majority_baseline import MAJORITY
from analysis.tables.model import Table

FRAME = pd.DataFrame({"table": ["t"]})  # of a table that is made by hand no run is looked at
FRAME.attrs["study"] = "mine"


def cell(mean: float, mark: str | None = None, n: int = 3) -> Cell:
    """A cell; a mark says that it was tested."""
    tested = {} if mark is None else {"family": ("t",), "p": 0.5, "mark": mark}
    return Cell(n=n, expected=n, mean=mean, spread=1.0 if n > 1 else math.nan, **tested)


def table(rows: dict[str, Cell], **fields) -> Table:
    cells = {(row, "c"): of_row for row, of_row in rows.items()}
    return Table("t", "Which?", "report", list(rows), ["c"], cells, {}, [], **fields)


def test_points_are_the_cells_of_the_table(now, gallery):
    (made,) = arranged(now)
    (ax,) = figure(gallery, "means_sizes").axes
    rows = [row for row in made.rows if row != MAJORITY]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == rows
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is at the top
    drawn = np.concatenate([points(c) for c in ax.containers])
    cells = [made.cells[row, "synthetic accuracy"] for row in rows]
    assert drawn.tolist() == [[cell.mean, y] for y, cell in enumerate(cells)]
    for container, of_row in zip(ax.containers, cells, strict=True):
        if of_row.n > 1:
            (((low, _), (high, _)),) = container.lines[2][0].get_segments()
            assert (high - low) / 2 == pytest.approx(of_row.spread)
    # Two seeds: no difference was tested.
    assert set(errorbars(ax)) == {"teacher", "not compared"}
    captions = {drawing.name: drawing.caption for drawing in gallery.drawings}
    assert "Always the most frequent class: synthetic accuracy 5" in captions["means_sizes"]


def test_signs_say_what_the_table_marks():
    rows = {
        "BERT": cell(90, n=1),
        MAJORITY: cell(30, n=1),
        "none": cell(70),
        "better": cell(80, "**"),
        "worse": cell(60, "*"),
        "same": cell(70.1, "≈"),
        "who knows": cell(71, ""),
        "to come": cell(math.nan, n=0),
    }
    (drawn,) = figures.means(FRAME, [table(rows, teachers=["BERT"])]).drawings
    (ax,) = drawn.figure.axes
    kinds = [
        *("teacher", "not compared", "significant (Holm, 5 %)", "significant (Holm, 5 %)"),
        *("equal within the margin (Holm, 5 %)", "not significant"),
    ]
    assert [container.get_label() for container in ax.containers] == kinds
    (legend,) = drawn.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(SIGNS)
    assert ax.get_xlim()[0] > 50  # the majority baseline is in the caption alone
    assert "Always the most frequent class: c 30.0." in drawn.caption
    assert "Without any score yet: to come." in drawn.caption


def test_signs_differ_without_colour():
    looks = [(sign["marker"], sign["markerfacecolor"]) for sign in SIGNS.values()]
    assert len(set(looks)) == len(looks)


def test_many_rows_of_long_names_are_several_pages_that_fit():
    names = [f"{'knowledge ' * 5}number {i}" for i in range(70)]
    drawings = figures.means(FRAME, [table({name: cell(70) for name in names})]).drawings
    assert [drawing.name for drawing in drawings] == ["means_t_1", "means_t_2", "means_t_3"]
    drawn = []
    for drawing in drawings:
        box = drawing.figure.get_tightbbox()
        assert box.x0 > -0.02
        assert drawing.figure.get_size_inches()[1] < 9
        ticks = drawing.figure.axes[0].get_yticklabels()
        drawn += [tick.get_text() for tick in ticks]
        boxes = [tick.get_window_extent() for tick in ticks]
        assert all(one.y0 >= below.y1 for one, below in pairwise(boxes))
    assert drawn == style.row_names(names)


def test_a_table_without_a_score_is_said_to_have_none():
    found = figures.means(FRAME, [table({"none": cell(math.nan, n=0)})])
    assert found.drawings == ()
    (note,) = found.notes
    assert note.startswith("t: no means of rows: none of its runs is done; python -m sweeps launch")

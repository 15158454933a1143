"""Numbers of the literature beside a table's own."""

from dataclasses import dataclass, field

import pandas as pd

from analysis.published import numbers
from analysis.published.numbers import RANKED, STATISTICS
from analysis.tables.layout import HEAD
from kdlab.errors import BadInput
from sweeps.study.layouts import Layout, Published

MARKS = {"verified": "", "computed": "", "second-hand": "§", "inferred": "¶"}
MEANINGS = {
    "§": "second-hand: reported by another paper or a review",
    "¶": "what the row is called is inferred from the authors' files",
}
OUR_SPLIT = "dev"  # of GLUE, which is what `report` is


@dataclass(frozen=True)
class PublishedRows:
    """Published rows below a table.

    Attributes:
        rows: their labels.
        values: by row and column, in points.
        marks: by row and column how sure the value is, as of `MARKS`.
        sizes: by row the parameters, in millions.
        ranked: rows on the split that is ours, which may be ranked with ours.
        notes: lines for under the table.
        sources: where the numbers are from.
    """

    rows: list[str] = field(default_factory=list)
    values: dict[tuple[str, str], float] = field(default_factory=dict)
    marks: dict[tuple[str, str], str] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    ranked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)


def beside(layout: Layout, frame: pd.DataFrame, split: str) -> PublishedRows:
    """Published numbers of a table's columns: one row for each system, split and statistic.

    There are none on `select`, which nobody publishes. Numbers whose metric the source does not
    say stand in no column.

    Args:
        layout: of the table; it names the numbers.
        frame: scores as `layout.placed` gives them.
        split: `report` or `select`.
    """
    if layout.published is None or split != "report":
        return PublishedRows()
    published = _numbers(layout.published)
    scores = published[published["split"] != "none"]
    row = scores["system"] + " (" + scores["paper"] + ", " + scores["split"].map(_split)
    scores = scores.assign(row=row + scores["statistic"].map(_statistic) + ")")
    values, marks, ranked, entries = {}, {}, [], []
    for head, of_head in frame.groupby(HEAD, sort=False):
        first = of_head.iloc[0]  # all scores of a column are of one task, split and metric
        task = _task(str(first["task"]), str(first["split"]))
        is_here = (scores["task"] == task) & (scores["metric"] == first["metric"])
        for entry in scores[is_here].to_dict("records"):
            values[entry["row"], str(head)] = float(entry["value"])
            marks[entry["row"], str(head)] = MARKS[entry["certainty"]]
            entries.append(entry)
    # In the files' order, not in that of this table's columns.
    rows = [name for name in dict.fromkeys(scores["row"]) if any(name == key[0] for key in values)]
    if layout.published.ranked:
        # A label says its split: `BERT6-PKD (PKD, dev)`. What is on test is never ranked with ours.
        ranked = [name for name in rows if f", {OUR_SPLIT}" in name]
    sizes = _sizes(published, scores)
    cited = (f"{e['paper']} (arXiv {e['arxiv']}): {e['source']}" for e in entries)
    sources = list(dict.fromkeys(cited))
    notes = _notes(entries, marks, sources)
    return PublishedRows(rows, values, marks, sizes, ranked, notes, sources)


def _numbers(named: Published) -> pd.DataFrame:
    """The published numbers of some systems.

    Raises:
        BadInput: nothing is published of one of them.
    """
    published = numbers.load()
    if named.paper:
        published = published[published["paper"] == named.paper]
    if absent := sorted(set(named.systems) - set(published["system"])):
        raise BadInput(f"published.systems: nothing is published of {', '.join(absent)}")
    is_named = published["system"].isin(named.systems)
    if named.statistics is not None:
        is_named &= published["statistic"].isin(named.statistics)
    return published[is_named]


def _task(task: str, split: str) -> str:
    """A task as the literature calls it: MNLI's mismatched rows are a task of their own there."""
    return f"{task}_mismatched" if split.endswith("_mismatched") else task


def _split(split: str) -> str:
    return split if split in RANKED else "split not stated"


def _statistic(statistic: str) -> str:
    """What a row's label says of a number that is not of a single run."""
    return "" if statistic == STATISTICS[0] else f", {statistic.replace('_', ' ')}"


def _sizes(published: pd.DataFrame, scores: pd.DataFrame) -> dict[str, float]:
    """By row the parameters of its system in millions, where its paper gives them."""
    sizes = published[published["metric"] == "parameters_millions"]
    # Sizes are rows of their own in the files: of no split, and once for all of a system's scores.
    size_of = {(p, s): float(v) for p, s, v in sizes[["paper", "system", "value"]].to_numpy()}
    rows = scores.drop_duplicates("row")[["row", "paper", "system"]].to_numpy()
    return {row: size_of[p, s] for row, p, s in rows if (p, s) in size_of}


def _notes(
    entries: list[dict[str, str]], marks: dict[tuple[str, str], str], sources: list[str]
) -> list[str]:
    """Notes on where the numbers are from, and on what their marks mean."""
    if not entries:
        return []
    splits = sorted({_split(entry["split"]) for entry in entries})
    notes = [
        "published numbers stand below ours, as their papers give them "
        f"({', '.join(splits)}); ours are on GLUE's dev set: never ranked with test",
        *(f"{mark} {meaning}" for mark, meaning in MEANINGS.items() if mark in marks.values()),
    ]
    return [*notes, *(f"published: {source}" for source in sources)]

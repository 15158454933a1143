"""A study as one HTML page: its answer first, then tables, guideline, effects, figures, sources.

The page needs no network and no file beside it, and the same records make the same bytes.
"""

import math
import shlex
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis import figures
from analysis.effects import variance_shares
from analysis.figures.drawing import data_url
from analysis.guideline import (
    NOT_STUDIED,
    RECOMMENDED,
    UNKNOWN,
    Guideline,
    directional,
    guideline,
)
from analysis.guideline.text import signed
from analysis.read.axes import axes
from analysis.read.completeness import LISTED, audit
from analysis.read.frame import planned_students, reported, scores
from analysis.report import forest, headroom
from analysis.report.details import details
from analysis.report.over_tasks import over_tasks
from analysis.statistics import trials as selection
from analysis.statistics.seed_tests import MARGIN
from analysis.tables import formats, papers, rerun_commands
from analysis.tables.formats import template
from analysis.tables.layout import value_text
from kdlab.errors import BadInput
from sweeps.journal.run_states import study_folder
from sweeps.study import launched

NAMED = 100  # runs of a kind that are named; a page is no place for thousands
FEW_GAPS = 8  # headrooms that are shown without a click
ENOUGH = 2  # axes, from which on there is something to share among them


def report(runs: pd.DataFrame, *, margin: float = MARGIN) -> str:
    """The whole page, as HTML.

    Args:
        runs: as `analysis.load` gives them.
        margin: points within which a difference counts as none.
    """
    tables = papers.of_study(runs, margin=margin)
    advice, why = _guideline(runs, margin)
    choices = _choices(runs)
    text: str = template("report.html").render(
        study=runs.attrs["study"],
        question=runs["question"].iloc[0],
        varied=_varied(runs),
        audit=audit(runs),
        todo=_todo(runs),
        few=LISTED,
        named=NAMED,
        tables=tables,
        guideline=advice,
        why=why,
        verdicts=(RECOMMENDED, UNKNOWN, NOT_STUDIED),
        over_tasks=over_tasks(tables, margin),
        panels=forest.panels(tables, margin),
        gaps=headroom.headrooms(tables),
        gaps_in_short=headroom.in_a_sentence(headroom.headrooms(tables)),
        few_gaps=FEW_GAPS,
        details=details(runs, tables),
        axis_number=_axis_numbers(advice),
        margin=margin,
        effects=_effects(reported(scores(runs)), axes(runs)),
        means=[figures.means(runs, [table]).drawings for table in tables],
        galleries=figures.by_kind(runs),
        choices=choices,
        longest=max((len(arm["points"]) for arm in choices), default=0),
        sources=sorted({source for table in tables for source in table.published.sources}),
        claims=[(claim.claim, claim.source, claim.certainty) for claim in directional.load()],
        made=_made(runs, margin),
        launched=_launched(runs),
        # What the page writes numbers, tables and figures with.
        number=_number,
        signed=signed,
        percent="{:.0f} %".format,
        interval=_interval,
        heights=forest.heights,
        probability=_probability,
        html=formats.html,
        data_url=data_url,
    )
    return text


def _guideline(runs: pd.DataFrame, margin: float) -> tuple[Guideline | None, str]:
    """The guideline, or why there is none."""
    try:
        return guideline(runs, margin), ""
    except BadInput as error:
        return None, str(error)


def _axis_numbers(advice: Guideline | None) -> dict[str, int]:
    """By axis the number of its section, from 1."""
    sections = advice.sections if advice else []
    return {section.axis: number for number, section in enumerate(sections, 1)}


def _todo(runs: pd.DataFrame) -> str:
    """The command that does what is missing or failed; "" if nothing is."""
    states = set(runs["state"]) & set(rerun_commands.OPEN)
    return rerun_commands.command(runs.attrs["study"], runs.attrs["root"], states) if states else ""


def _varied(runs: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Each axis with the number of its levels and their names; tasks and seeds are listed alike."""
    students = planned_students(runs)
    names = {"tasks": "task", **{axis: axis for axis in axes(runs)}, "seeds": "seed"}
    varied = []
    for title, name in names.items():
        levels = [level for level in dict.fromkeys(students[name].map(value_text)) if level]
        varied.append((title, str(len(levels)), ", ".join(levels)))
    return varied


def _effects(scores: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Shares of variance, a table for each column of scores; or why there are none."""
    if len(names) < ENOUGH:
        axis = f"in {names[0]} alone" if names else "in nothing"
        return {"why": f"The study's students differ {axis}: there is nothing to share."}
    shares = variance_shares(scores, names)
    if shares.empty:
        return {"why": "No two runs that are done differ in their score."}
    columns = {}
    for column, part in shares.groupby("column", sort=False):
        # A term without a share is one that other terms cannot be told from.
        is_estimated = part["eta_squared"].notna()
        columns[str(column)] = {
            "terms": part[is_estimated].to_dict("records"),
            "confounded": part.loc[~is_estimated, "term"].tolist(),
        }
    return {"why": "", "columns": columns}


def _choices(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """The choice of each arm's settings, and how good the best of fewer trials would be."""
    trials = selection.trials(runs)
    choices = []
    for row in selection.best_of(runs).to_dict("records"):
        is_of_arm = (trials[selection.ARM] == [row[name] for name in selection.ARM]).all(axis=1)
        scores = trials.loc[is_of_arm, "score"].dropna()
        finite = scores.where(scores > selection.DIVERGED, 0.0)  # a mean with −inf is −inf
        points = selection.curve(finite.tolist())["expected"].tolist()
        choices.append({str(name): value for name, value in row.items()} | {"points": points})
    return choices


def _made(runs: pd.DataFrame, margin: float) -> list[tuple[str, str]]:
    """The data that the page is made from, and the command that makes it again."""
    study, root = str(runs.attrs["study"]), str(runs.attrs["root"])
    commits = ", ".join(f"{commit} ({n} records)" for commit, n in audit(runs).commits.items())
    command = ["python", "-m", "analysis", "report", study, "--root", root]
    command += ["--margin", f"{margin:g}"] if margin != MARGIN else []
    recorded = runs[runs["file"].notna()].drop_duplicates("uid")
    # No date and no host: the same records make the same page, whoever makes it.
    measured = [
        (name, ", ".join(sorted(str(value) for value in recorded[name].dropna().unique())))
        for name in ("device", "torch")
    ]
    return [
        ("study", study),
        ("code of the records", commits or "no record"),
        *((name, value) for name, value in measured if value),
        ("split of the tables", "report"),
        ("margin", f"{margin:g} points"),
        ("to make this page again", f"`{shlex.join(command)}`"),
    ]


def _launched(runs: pd.DataFrame) -> str:
    """The study as it was launched; empty where that is not kept."""
    folder = study_folder(runs.attrs["root"], str(runs.attrs["study"]))
    return launched.text(folder) if (folder / launched.STUDY_FILE).is_file() else ""


def _number(value: float) -> str:
    """A number with one digit; "" for NaN."""
    return "" if math.isnan(value) else f"{value:z.1f}".replace("-", "−")


def _interval(low: float, high: float, form: str = "{:z.1f}") -> str:
    """The bounds of an interval behind its number; "" for NaN."""
    if math.isnan(low):
        return ""
    return f" [{form.format(low)}, {form.format(high)}]".replace("-", "−")


def _probability(p: float) -> str:
    """A p; "" for NaN, where the model leaves no residual to test against."""
    return "" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"

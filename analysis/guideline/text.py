"""Sentences of the guideline, each with the numbers that it rests on."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.effects.comparable import Grid
from analysis.effects.pairing import matters
from analysis.effects.reversals import THERE
from analysis.guideline.evidence import Evidence
from analysis.stats import LEVEL, SEEDS_NEEDED

SHOWN = 4  # of a kind, in one place
Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Statement:
    """A sentence and the numbers of the data that are in it, in points or as counts."""

    text: str
    values: tuple[float, ...]


def signed(points: float) -> str:
    """A difference in points: `+1.2`; what rounds to nothing has no sign."""
    return "0.0" if f"{abs(points):.1f}" == "0.0" else f"{points:+.1f}".replace("-", "−")


def counted(n: int, one: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{n} {one}" if n == 1 else f"{n} {one}s"


def difference(row: Row, there: str = "") -> str:
    """A comparison: `+1.8 points [1.0, 2.6], 20 pairs, 5 seeds, p = 0.003`."""
    low, high = (signed(row[name + there]).lstrip("+") for name in ("low", "high"))
    size = f"{counted(row['n' + there], 'pair')}, {counted(row['seeds' + there], 'seed')}"
    said = f"{signed(row['difference' + there])} points [{low}, {high}], {size}"
    return said if there or "adjusted" not in row else said + tested(row["adjusted"])


def tested(p: float) -> str:
    """What stands behind a comparison of a corrected test, if there is one."""
    if math.isnan(p):
        return ""
    return ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"


def data(found: Evidence, has_examples: bool) -> list[Statement]:
    """Columns, runs, seeds, and the families of tests."""
    runs = pd.concat([grid.runs for grid in found.grids.values()]).drop_duplicates("uid")
    seeds = runs["seed"].nunique()
    claims = [verdict.compared["p"] for verdict in found.verdicts]
    families = [[found.contrasts["p"]], [found.sides["tested"]], [found.changes["p"]], claims]
    tests, flips, changes, claimed = (
        sum(int(p.notna().sum()) for p in family) for family in families
    )
    resampled = "seeds, teachers and examples" if has_examples else "seeds and teachers"
    return [
        Statement(
            f"{counted(len(runs), 'run')} of students that are done, {counted(seeds, 'seed')}, in "
            f"{counted(len(found.grids), 'column')}: {', '.join(found.grids)}.",
            (len(runs), seeds, len(found.grids)),
        ),
        Statement(
            "A difference is the mean over matched pairs, runs that agree in every other axis, "
            "task, seed and teacher. Comparisons of two levels that have such pairs: "
            f"{len(found.contrasts)}. Intervals are 95 % over {resampled}.",
            (len(found.contrasts),),
        ),
        Statement(
            f"A recommendation needs {SEEDS_NEEDED} seeds, an interval without zero and p < "
            f"{LEVEL:g} of a paired t-test over seeds after Holm's correction over all "
            f"{counted(tests, 'test')} of all axes and columns here: the smallest p, uncorrected, "
            f"has to be below {LEVEL / max(tests, 1):.2g}.",
            (tests,),
        ),
        Statement(
            f"Families of their own: flips ({counted(flips, 'test')}), changes of what is shown "
            f"({counted(changes, 'test')}), claims of the literature ({counted(claimed, 'test')}).",
            (flips, changes, claimed),
        ),
    ]


def preferred(own: pd.DataFrame, flips: pd.DataFrame) -> list[Statement]:
    """What to prefer: levels shown to be better than others and in their column worse than none."""
    rows = [better_first(row) for row in own[matters(own)].to_dict("records")]
    winners = {(row["column"], row["level"]) for row in rows}
    winners -= {(row["column"], row["other"]) for row in rows}
    found = []
    for level in dict.fromkeys(row["level"] for row in rows):
        won = [column for column, name in winners if name == level]
        if not won:
            continue
        is_own = (own["level"] == level) | (own["other"] == level)
        of = own.loc[is_own, "column"].nunique()
        lost = len({row["column"] for row in rows if row["other"] == level})
        best = max(
            (row for row in rows if row["level"] == level and row["column"] in won),
            key=lambda row: row["difference"],
        )
        found.append(
            Statement(
                f"Prefer `{level}`: shown to be better than another level, and worse than none, in "
                f"{len(won)} of {counted(of, 'column')}; shown to be worse in {lost}. The largest "
                f"difference, to `{best['other']}` on {best['column']}: {difference(best)}."
                + _beside(level, winners)
                + _reversed(level, flips),
                (len(won), of, lost, best["difference"]),
            )
        )
    return found


def undecided(
    own: pd.DataFrame, is_varied: bool, grids: Mapping[str, Grid], axis: str
) -> list[Statement]:
    """Why nothing is recommended."""
    if not is_varied:
        return [_constant(grids, axis)]
    if own.empty:
        return [
            Statement(
                "No recommendation, cannot tell: 0 matched pairs of runs differ in it alone.", (0,)
            )
        ]
    largest = better_first(max(own.to_dict("records"), key=lambda row: abs(row["difference"])))
    shown = int(matters(own).sum())
    on_top = ", and no level is on top" if shown else ""
    return [
        Statement(
            f"No recommendation, cannot tell: {shown} of {len(own)} differences shown{on_top}. "
            f"The largest, `{largest['level']}` minus `{largest['other']}` on {largest['column']}: "
            f"{difference(largest)}.",
            (shown, len(own), largest["difference"]),
        )
    ]


def differences(own: pd.DataFrame, margin: float) -> list[Statement]:
    """Each column's differences: those shown, those shown to be small, and how many are neither."""
    found: list[Statement] = []
    # One column whose largest difference the section begins with needs no second word of it.
    is_said = own["column"].nunique() == 1 and not own["shown"].any()
    for column, part in own.groupby("column", sort=False):
        found += _shown(str(column), part)
        found += _alike(str(column), part, margin)
        open_ = int((~part["shown"] & ~part["alike"]).sum())
        if open_ and not is_said:
            largest = part.loc[~part["shown"] & ~part["alike"]].to_dict("records")
            row = better_first(max(largest, key=lambda row: abs(row["difference"])))
            found.append(
                Statement(
                    f"{column}: of {counted(open_, 'difference')} it cannot be told whether there "
                    f"is any; the largest, `{row['level']}` minus `{row['other']}`: "
                    f"{difference(row)}.",
                    (open_, row["difference"]),
                )
            )
    return found


def _shown(column: str, part: pd.DataFrame) -> Iterator[Statement]:
    rows = [better_first(row) for row in part[part["shown"]].to_dict("records")]
    rows.sort(key=lambda row: -row["difference"])
    for row in rows[:SHOWN]:
        small = ", which is within the margin" if row["alike"] else ""
        over = f", a mean over {row['over']} on one side" if row["over"] else ""
        yield Statement(
            f"{column}: `{row['level']}` is better than `{row['other']}` by {difference(row)}"
            f"{over}{small}.",
            (row["difference"], row["low"], row["high"], row["n"], row["seeds"]),
        )
    if more := rows[SHOWN:]:
        yield Statement(
            f"{column}: {len(more)} more are shown, of {signed(more[-1]['difference'])} to "
            f"{signed(more[0]['difference'])} points.",
            (len(more), more[-1]["difference"], more[0]["difference"]),
        )


def _alike(column: str, part: pd.DataFrame, margin: float) -> Iterator[Statement]:
    rows = [better_first(row) for row in part[part["alike"] & ~part["shown"]].to_dict("records")]
    if not rows:
        return
    said = [
        f"`{row['level']}` and `{row['other']}` "
        f"({difference({**row, 'adjusted': row['equivalent']})})"
        for row in rows[:SHOWN]
    ]
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    yield Statement(
        f"{column}: no difference beyond ± {margin:g} points between {', '.join(said)}{more}, by "
        "two one-sided tests corrected alike.",
        tuple(row["difference"] for row in rows[:SHOWN]),
    )


def _constant(grids: Mapping[str, Grid], axis: str) -> Statement:
    """That an axis does not vary, and which level it has."""
    levels = dict.fromkeys(v for grid in grids.values() for v in grid.levels.get(axis, []))
    runs = pd.concat([grid.runs for grid in grids.values()]).drop_duplicates("uid")
    if not levels:
        return Statement(f"It applies to 0 of {counted(len(runs), 'run')}.", (0, len(runs)))
    n = int(runs[axis].notna().sum())
    named = ", ".join(f"`{level}`" for level in levels)
    return Statement(
        f"It does not vary: {counted(n, 'run')} to which it applies have {named}.", (n,)
    )


def better_first(row: Row) -> dict[Any, Any]:
    """A comparison with the level that did better first."""
    return dict(row) if row["difference"] >= 0 else turned(row)


def turned(row: Row) -> dict[Any, Any]:
    """A comparison the other way round, on its second side too if it has one."""
    found = {**row, "level": row["other"], "other": row["level"]}
    for side in (side for side in ("", THERE) if "difference" + side in row):
        found["difference" + side] = -row["difference" + side]
        found["low" + side], found["high" + side] = -row["high" + side], -row["low" + side]
    return found


def _beside(level: str, winners: set[tuple[str, str]]) -> str:
    """Other levels that are as good as can be told, in the same columns."""
    columns = {column for column, name in winners if name == level}
    others = sorted({name for column, name in winners if column in columns and name != level})
    return f" Not told apart there from {', '.join(f'`{name}`' for name in others)}." * bool(others)


def _reversed(level: str, flips: pd.DataFrame) -> str:
    """A warning with a recommendation that is an average over what flips it."""
    is_own = ((flips["level"] == level) | (flips["other"] == level)) & (flips["verdict"] == "shown")
    if not is_own.any():
        return ""
    by = ", ".join(f"`{name}`" for name in dict.fromkeys(flips.loc[is_own, "by"]))
    return f" On average only: {counted(int(is_own.sum()), 'comparison')} of it flip with {by}."

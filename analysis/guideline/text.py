"""Sentences of the guideline, each with the numbers that it rests on."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.effects.comparable import Grid
from analysis.effects.pairing import matters
from analysis.effects.reversals import THERE
from analysis.guideline.evidence import Evidence
from kdlab.power import LARGEST, LEVEL, SEEDS_NEEDED

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


def within(row: Row) -> str:
    """The corrected p of lying within the margin, in brackets."""
    return f" ({tested(row['equivalent']).removeprefix(', ')})"


def data(found: Evidence, has_examples: bool) -> list[Statement]:
    """Columns, runs, seeds, and the families of tests."""
    runs = pd.concat([grid.runs for grid in found.grids.values()]).drop_duplicates("uid")
    seeds = runs["seed"].nunique()
    source = "seeds, teachers and examples" if has_examples else "seeds and teachers"
    return [
        Statement(
            f"{counted(len(runs), 'run')} of students that are done, {counted(seeds, 'seed')}, in "
            f"{counted(len(found.grids), 'column')}: {', '.join(found.grids)}.",
            (len(runs), seeds, len(found.grids)),
        ),
        Statement(
            "A difference is the mean over matched pairs, runs that agree in every other axis, "
            "task, seed and teacher. Comparisons of two levels that have such pairs: "
            f"{len(found.compared)}. Intervals are 95 %, of a paired t over seeds whose error "
            f"holds what comes from {source}.",
            (len(found.compared),),
        ),
        *_families(found),
    ]


# What families of tests are of, by how their path begins.
KINDS = {
    "table": "in the study's tables",
    "axis": "of axes",
    "claims": "of claims of the literature",
    "flips": "of sides of flips",
    "changes": "of changes of what is shown",
}


def _families(found: Evidence) -> Iterator[Statement]:
    """How contrasts are tested, each once."""
    parts = [found.compared, *(judged.compared for judged in found.claims), found.sides]
    names = ["key", "p", "family"]
    every = pd.concat([part[names] for part in [*parts, found.changes] if len(part)] or parts[:1])
    every = every[every["p"].notna()].drop_duplicates("key")
    kinds = every["family"].map(lambda family: family[0].split(" ")[0])
    numbers = {kind: kinds.tolist().count(kind) for kind in KINDS}
    said = ", ".join(f"{n} {KINDS[kind]}" for kind, n in numbers.items() if n)
    own = every["family"][kinds == "axis"]
    largest = int(own.value_counts().max()) if len(own) else 1
    yield Statement(
        f"A recommendation needs {SEEDS_NEEDED} seeds and p < {LEVEL:g} by the t of the interval "
        "after Holm's correction. A contrast is tested once, in the first family that has it"
        f"{': ' * bool(said)}{said}. A family is an axis over all columns, or, where so many tests "
        f"would need |t| > {LARGEST:g} to begin with, an axis in a column; the largest here has "
        f"{counted(largest, 'test')}: its smallest p, uncorrected, has to be below "
        f"{LEVEL / largest:.2g}.",
        (*(n for n in numbers.values() if n), largest),
    )


def preferred(own: pd.DataFrame, flips: pd.DataFrame) -> list[Statement]:
    """In each column the level that comes first, and beside it all that are not shown worse."""
    parts = own.groupby("column", sort=False)
    found = (_preferred(str(column), part, flips) for column, part in parts)
    return [statement for statement in found if statement]


def _preferred(column: str, part: pd.DataFrame, flips: pd.DataFrame) -> Statement | None:
    """Nothing if no level is shown to be worse than another, or each one is."""
    rows = [better_first(row) for row in part[matters(part)].to_dict("records")]
    rows.sort(key=lambda row: -row["difference"])
    worse = {row["other"]: row for row in reversed(rows)}  # of each its largest difference
    sizes = ranked(part)
    first, *beside = [level for level in sizes if level not in worse] or [""]
    if not rows or not first:
        return None
    gaps = [sizes[level] - sizes[first] for level in beside]
    near = [f"`{level}` ({signed(gap)} points)" for level, gap in zip(beside, gaps, strict=True)]
    lost = [
        f"`{row['other']}` (than `{row['level']}`)" for row in rows[1:] if row in worse.values()
    ]
    largest = rows[0]
    text = f"Prefer `{first}` on {column}, the first of {counted(len(sizes), 'level')}"
    text += f". Not shown to be worse: {', '.join(near)}" if near else ""
    text += (
        f". Shown to be worse: {len(worse)}, most of all `{largest['other']}` than "
        f"`{largest['level']}`: {difference(largest)}"
    )
    more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
    text += f"; {', '.join(lost[:SHOWN])}{more}" if lost else ""
    values = (len(sizes), *gaps, len(worse), largest["difference"])
    return Statement(f"{text}.{_reversed(first, flips)}", values)


def ranked(part: pd.DataFrame) -> dict[str, float]:
    """Levels of a column by size, the largest first, in points from their mean.

    The least-squares fit to all differences between them, each weighing as its pairs do.
    """
    levels = list(dict.fromkeys([*part["level"], *part["other"]]))
    ends = [
        np.equal.outer(part[name].to_numpy(), np.array(levels, dtype=object)).astype(float)
        for name in ("level", "other")
    ]
    weights = np.sqrt(part["n"].to_numpy(dtype=float))
    design = weights[:, None] * (ends[0] - ends[1])
    sizes = np.linalg.lstsq(design, weights * part["difference"].to_numpy(dtype=float))[0]
    order = np.argsort(-sizes, kind="stable")
    return {levels[place]: float(sizes[place]) for place in order}


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
        f"({difference({**row, 'adjusted': math.nan})}{tested(row['equivalent'])})"
        for row in rows[:SHOWN]
    ]
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    yield Statement(
        f"{column}: no difference beyond ± {margin:g} points between {', '.join(said)}{more}: "
        "p of intervals that lie within them, corrected alike.",
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


def _reversed(level: str, flips: pd.DataFrame) -> str:
    """A warning with a recommendation that is an average over what flips it."""
    is_own = ((flips["level"] == level) | (flips["other"] == level)) & (flips["verdict"] == "shown")
    if not is_own.any():
        return ""
    by = ", ".join(f"`{name}`" for name in dict.fromkeys(flips.loc[is_own, "by"]))
    return f" On average only: {counted(int(is_own.sum()), 'comparison')} of it flip with {by}."

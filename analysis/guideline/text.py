"""Sentences of the guideline: none is without a number of the study's data."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.effects.comparable import Grid
from analysis.effects.pairing import matters
from analysis.effects.reversals import turned
from analysis.guideline.evidence import Evidence
from kdlab.power import LARGEST, LEVEL, SEEDS_NEEDED

LISTED = 4  # sentences or levels of a kind, in one place
Row = Mapping[Any, Any]


def signed(points: float) -> str:
    """A difference in points: `+1.2`; what rounds to nothing has no sign."""
    return f"{points:+z.1f}".replace("-", "−").replace("+0.0", "0.0")


def counted(n: int, one: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{n} {one}" if n == 1 else f"{n} {one}s"


def difference(row: Row, there: str = "") -> str:
    """A comparison: `+1.8 points [1.0, 2.6], 20 pairs, 5 seeds, p = 0.003`."""
    # Bounds stand without a plus, as in tables; minus signs stay.
    low, high = (signed(row[name + there]).lstrip("+") for name in ("low", "high"))
    size = f"{counted(row['n' + there], 'pair')}, {counted(row['seeds' + there], 'seed')}"
    text = f"{signed(row['difference' + there])} points [{low}, {high}], {size}"
    return text if there or "adjusted" not in row else text + tested(row["adjusted"])


def tested(p: float) -> str:
    """The corrected p of a comparison, with a comma before it; "" if it has none."""
    if math.isnan(p):
        return ""
    return ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"


def data(evidence: Evidence, has_examples: bool) -> list[str]:
    """Sentences on columns, runs, seeds, and the families of tests."""
    runs = pd.concat([grid.runs for grid in evidence.grids.values()]).drop_duplicates("uid")
    seeds = runs["seed"].nunique()
    source = "seeds, teachers and examples" if has_examples else "seeds and teachers"
    return [
        f"{counted(len(runs), 'run')} of students that are done, {counted(seeds, 'seed')}, in "
        f"{counted(len(evidence.grids), 'column')}: {', '.join(evidence.grids)}.",
        "A difference is the mean over matched pairs, runs that agree in every other axis, "
        "task, seed and teacher. Comparisons of two levels that have such pairs: "
        f"{len(evidence.compared)}. Intervals are 95 %, of a paired t over seeds whose error "
        f"holds what comes from {source}.",
        _families(evidence),
    ]


# What families of tests are of, by the first word of their path.
KINDS = {
    "table": "in the study's tables",
    "axis": "of axes",
    "claims": "of claims of the literature",
    "flips": "of sides of flips",
    "changes": "of changes of what is shown",
}


def _families(evidence: Evidence) -> str:
    """How contrasts are tested, each once, and in how many families."""
    parts = [evidence.compared, *(judged.compared for judged in evidence.claims), evidence.sides]
    names = ["key", "p", "family"]
    # Empty frames are left out: they would make pandas warn of columns without a type.
    tests = pd.concat(
        [part[names] for part in [*parts, evidence.changes] if len(part)] or parts[:1]
    )
    # A contrast that is quoted in several places was tested once.
    tests = tests[tests["p"].notna()].drop_duplicates("key")
    kinds = tests["family"].map(lambda family: family[0].split(" ")[0])
    numbers = {kind: kinds.tolist().count(kind) for kind in KINDS}
    counts = ", ".join(f"{n} {KINDS[kind]}" for kind, n in numbers.items() if n)
    of_axes = tests["family"][kinds == "axis"]
    largest = int(of_axes.value_counts().max()) if len(of_axes) else 1
    return (
        f"A recommendation needs {SEEDS_NEEDED} seeds and p < {LEVEL:g} by the t of the interval "
        "after Holm's correction. A contrast is tested once, in the first family that has it"
        f"{': ' * bool(counts)}{counts}. A family is an axis over all columns, or, where so many "
        f"tests would need |t| > {LARGEST:g} to begin with, an axis in a column; the largest here "
        f"has {counted(largest, 'test')}: its smallest p, uncorrected, has to be below "
        f"{LEVEL / largest:.2g}."
    )


class Preference(NamedTuple):
    """What one column says of an axis, where a level is shown to be worse than another.

    Attributes:
        column: of the tables.
        first: the largest of the levels that are not shown to be worse.
        beside: the others of these.
        sizes: of all levels, as of `ranked`.
        shown: the differences that are shown and beyond the margin, the better level first, the
            largest first.
    """

    column: str
    first: str
    beside: list[str]
    sizes: dict[str, float]
    shown: Sequence[Row]


def preferences(compared: pd.DataFrame) -> list[Preference]:
    """What each column prefers; none where no level is shown to be worse, or each one is."""
    by_column = compared.groupby("column", sort=False)
    return list(filter(None, (_preference(str(column), part) for column, part in by_column)))


def _preference(column: str, part: pd.DataFrame) -> Preference | None:
    rows = [better_first(row) for row in part[matters(part)].to_dict("records")]
    rows.sort(key=lambda row: -row["difference"])
    worse = {row["other"] for row in rows}
    sizes = ranked(part)
    first, *beside = [level for level in sizes if level not in worse] or [""]
    # Each may be worse than another, in a circle: pairs of levels are matched in other runs.
    return Preference(column, first, beside, sizes, rows) if rows and first else None


def preferred(preference: Preference, flips: pd.DataFrame) -> str:
    """The level that comes first in a column, and all that are not shown to be worse."""
    column, first, beside, sizes, rows = preference
    worse = {row["other"]: row for row in reversed(rows)}  # of each its largest difference
    near = [f"`{level}` ({signed(sizes[level] - sizes[first])} points)" for level in beside]
    others_worse = [
        f"`{row['other']}` (than `{row['level']}`)" for row in rows[1:] if row in worse.values()
    ]
    largest = rows[0]
    text = f"Prefer `{first}` on {column}, the first of {counted(len(sizes), 'level')}"
    text += f". Not shown to be worse: {', '.join(near)}" if near else ""
    text += (
        f". Shown to be worse: {len(worse)}, most of all `{largest['other']}` than "
        f"`{largest['level']}`: {difference(largest)}"
    )
    more = f" and {len(others_worse) - LISTED} more" if len(others_worse) > LISTED else ""
    text += f"; {', '.join(others_worse[:LISTED])}{more}" if others_worse else ""
    return f"{text}.{_reversed(first, flips)}"


def in_short(preferences: Sequence[Preference], flips: pd.DataFrame) -> list[str]:
    """The preferences of all columns, in one sentence those of columns that say the same."""
    alike: dict[tuple[str, str, str, tuple[str, ...]], dict[str, Row]] = {}
    for column, first, beside, _, rows in preferences:
        # The level that comes first is in none of the differences shown where others are worse.
        row = next((row for row in rows if row["level"] == first), rows[0])
        key = (first, row["level"], row["other"], tuple(beside))
        alike.setdefault(key, {})[column] = row
    return [_in_short(*key, of_columns, flips) for key, of_columns in alike.items()]


def _in_short(
    first: str,
    level: str,
    other: str,
    beside: Sequence[str],
    of_columns: Mapping[str, Row],
    flips: pd.DataFrame,
) -> str:
    """One preference, of the columns that share it, with their differences of two levels."""
    rows = list(of_columns.values())
    sizes = sorted(row["difference"] for row in rows)
    points = " to ".join(dict.fromkeys(signed(size) for size in (sizes[0], sizes[-1])))
    low, high = (signed(rows[0][name]).lstrip("+") for name in ("low", "high"))
    interval = f" [{low}, {high}]" if len(rows) == 1 else ""
    text = f"Prefer `{first}` on {', '.join(of_columns)}: "
    text += f"`{level}` is " if level != first else ""
    text += f"{points} points{interval} over `{other}`"
    more = f" and {len(beside) - LISTED} more" if len(beside) > LISTED else ""
    names = ", ".join(f"`{name}`" for name in beside[:LISTED])
    text += f"; not shown to be worse: {names}{more}" if beside else ""
    return f"{text}.{_reversed(first, flips)}"


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
    # Differences tell sizes but for a constant: of all solutions lstsq gives that of mean 0.
    design = weights[:, None] * (ends[0] - ends[1])
    sizes = np.linalg.lstsq(design, weights * part["difference"].to_numpy(dtype=float))[0]
    order = np.argsort(-sizes, kind="stable")
    return {levels[index]: float(sizes[index]) for index in order}


def undecided(compared: pd.DataFrame) -> str:
    """The sentence on why nothing is recommended of an axis that varies."""
    if compared.empty:
        return "No recommendation, cannot tell: 0 matched pairs of runs differ in it alone."
    largest = better_first(max(compared.to_dict("records"), key=lambda row: abs(row["difference"])))
    n = int(matters(compared).sum())
    on_top = ", and no level is on top" if n else ""
    return (
        f"No recommendation, cannot tell: {n} of {len(compared)} differences shown{on_top}."
        f" The largest, `{largest['level']}` minus `{largest['other']}` on {largest['column']}:"
        f" {difference(largest)}."
    )


def differences(compared: pd.DataFrame, margin: float) -> Iterator[str]:
    """Each column's differences: those shown, those shown to be small, and how many are neither."""
    # The section begins with the largest difference (`undecided`): with one column it is this one.
    is_repeated = compared["column"].nunique() == 1 and not compared["shown"].any()
    for column, part in compared.groupby("column", sort=False):
        yield from _shown(str(column), part)
        yield from _alike(str(column), part, margin)
        untold = part[~part["shown"] & ~part["alike"]].to_dict("records")
        if untold and not is_repeated:
            row = better_first(max(untold, key=lambda row: abs(row["difference"])))
            yield (
                f"{column}: of {counted(len(untold), 'difference')} it cannot be told whether "
                f"there is any; the largest, `{row['level']}` minus `{row['other']}`: "
                f"{difference(row)}."
            )


def _shown(column: str, part: pd.DataFrame) -> Iterator[str]:
    """The largest differences that are shown, and how many more there are."""
    rows = [better_first(row) for row in part[part["shown"]].to_dict("records")]
    rows.sort(key=lambda row: -row["difference"])
    for row in rows[:LISTED]:
        small = ", which is within the margin" if row["alike"] else ""
        over = f", a mean over {row['over']} on one side" if row["over"] else ""
        yield (
            f"{column}: `{row['level']}` is better than `{row['other']}` by {difference(row)}"
            f"{over}{small}."
        )
    if more := rows[LISTED:]:
        yield (
            f"{column}: {len(more)} more are shown, of {signed(more[-1]['difference'])} to "
            f"{signed(more[0]['difference'])} points."
        )


def _alike(column: str, part: pd.DataFrame, margin: float) -> Iterator[str]:
    """Levels between which a difference beyond the margin is ruled out."""
    rows = [better_first(row) for row in part[part["alike"] & ~part["shown"]].to_dict("records")]
    if not rows:
        return
    pairs = [
        f"`{row['level']}` and `{row['other']}` "
        f"({difference({**row, 'adjusted': math.nan})}{tested(row['equivalent'])})"
        for row in rows[:LISTED]
    ]
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    yield (
        f"{column}: no difference beyond ± {margin:g} points between {', '.join(pairs)}{more}: "
        "p of intervals that lie within them, corrected alike."
    )


def constant(grids: Mapping[str, Grid], axis: str, is_planned: bool) -> str:
    """The sentence that an axis does not vary, or not yet, with its level."""
    levels = dict.fromkeys(v for grid in grids.values() for v in grid.levels.get(axis, []))
    runs = pd.concat([grid.runs for grid in grids.values()]).drop_duplicates("uid")
    if is_planned:
        has = ", ".join(f"`{level}`" for level in levels) or "none"
        return f"Cannot tell yet: of its levels {has} alone has runs that are done ({len(runs)})."
    if not levels:
        return f"It applies to 0 of {counted(len(runs), 'run')}."
    n = int(runs[axis].notna().sum())
    names = ", ".join(f"`{level}`" for level in levels)
    return f"It does not vary: {counted(n, 'run')} to which it applies have {names}."


def better_first(row: Row) -> dict[Any, Any]:
    """A comparison with the level that did better first."""
    return dict(row) if row["difference"] >= 0 else turned(row)


def _reversed(level: str, flips: pd.DataFrame) -> str:
    """The warning that a recommendation holds on average only, as something flips it."""
    is_of_level = (flips["level"] == level) | (flips["other"] == level)
    significant = flips[is_of_level & (flips["verdict"] == "shown")]
    if significant.empty:
        return ""
    by = ", ".join(f"`{name}`" for name in dict.fromkeys(significant["by"]))
    return f" On average only: {counted(len(significant), 'comparison')} of it flip with {by}."

"""Sentences around a recommendation: costs, shares of variance, flips, claims of the literature."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.effects.comparable import Grid
from analysis.effects.reversals import TASK, THERE
from analysis.guideline.directional import AGREES, DEEPER, DISAGREES, EQUAL, Judged
from analysis.guideline.text import (
    SHOWN,
    Row,
    Statement,
    counted,
    difference,
    signed,
    tested,
    turned,
    within,
)
from analysis.statistics.cells import PERCENT


def costs(grids: Mapping[str, Grid], axis: str) -> list[Statement]:
    """What levels of a size or a shape cost."""
    for grid in grids.values() if axis in ("size", "shape") else ():
        if axis in grid.axes and "transformer" in grid.runs:
            means = grid.runs.groupby(axis, sort=False)["transformer"].mean().dropna() / 1e6
            said = ", ".join(f"`{level}` {millions:.2f}M" for level, millions in means.items())
            if said:
                return [Statement(f"Mean parameters of the layers: {said}.", tuple(means))]
    return []


def shared(shares: pd.DataFrame, axis: str) -> list[Statement]:
    """Shares of the variance: of the axis in each column, and of its pairs with others."""
    found = []
    is_own = shares["share"].notna() & np.array(
        [_axes_of(term)[0] == axis for term in shares["term"]], dtype=bool
    )
    for row in shares[is_own & (shares["kind"] == "axis")].to_dict("records"):
        column = shares[(shares["column"] == row["column"]) & (shares["kind"] == "pair")]
        is_of = np.array([axis in _axes_of(term) for term in column["term"]], dtype=bool)
        partners = column[is_of].dropna(subset="share").sort_values("share", ascending=False)
        chance = ", no more than chance would," if row["share"] <= 0 else ""
        said = f"{row['column']}: it accounts for {_percent(row)}{chance} of the variance"
        said += f" of {counted(row['n'], 'run')}"
        values = [PERCENT * row["share"], row["n"]]
        if len(partners):
            pair = partners.to_dict("records")[0]
            other = next(name for name in _axes_of(pair["term"]) if name != axis)
            said += f", and together with `{other}` for another {_percent(pair)}"
            values.append(PERCENT * pair["share"])
        found.append(Statement(said + ".", tuple(values)))
    return found


def changed(found: pd.DataFrame) -> list[Statement]:
    """Shown differences that are larger at one level of another axis than at another."""
    rows = [turned(row) if _is_backwards(row) else row for row in found.to_dict("records")]
    shown = sorted((row for row in rows if row["shown"]), key=lambda row: -abs(row["apart"]))
    told = [
        Statement(
            f"{_sides(row, 'changes with')}: {signed(abs(row['apart']))} points apart"
            f"{tested(row['adjusted'])}.",
            (row["difference"], row["difference" + THERE], abs(row["apart"])),
        )
        for row in shown[:SHOWN]
    ]
    if rows:
        more = f" (the {SHOWN} largest are above)" if len(shown) > SHOWN else ""
        told.append(
            Statement(
                f"Of {counted(len(rows), 'comparison')} of a difference at two places {len(shown)} "
                f"are shown to be apart{more}; of the other {len(rows) - len(shown)} it cannot be "
                "told.",
                (len(rows), len(shown), len(rows) - len(shown)),
            )
        )
    return told


def _is_backwards(row: Row) -> bool:
    return bool(row["difference"] + row["difference" + THERE] < 0)


def flipped(flips: pd.DataFrame) -> list[Statement]:
    """Flips that are shown, and how many more there may be."""
    found = [
        Statement(
            f"{_sides(row, 'flips with')}{tested(row['adjusted'])}.",
            (row["difference"], row["difference" + THERE]),
        )
        for row in flips[flips["verdict"] == "shown"].to_dict("records")
    ]
    left = int((flips["verdict"] != "shown").sum())
    shown = f"{len(found)} {'is' if len(found) == 1 else 'are'} shown"
    if left:
        found.append(
            Statement(
                f"Of {counted(left + len(found), 'pair')} of differences with opposite signs "
                f"{shown}; of the other {left} it cannot be told.",
                (left + len(found), left),
            )
        )
    return found


def borne_out(verdicts: Sequence[Judged]) -> list[Statement]:
    """Each claim of the literature with the verdict and what it rests on."""
    return [_claim(verdict) for verdict in verdicts]


def _claim(found: Judged) -> Statement:
    claim, compared = found.claim, found.compared
    where = "; ".join(f"{axis} {' or '.join(names)}" for axis, names in claim.where.items())
    about = f"\u201c{claim.claim[0].upper()}{claim.claim[1:]}\u201d"
    about += f" ({claim.source}; {claim.certainty})"
    if compared.empty:
        levels = f"{_any(claim.first)} with {_any(claim.second) or 'the same without'}"
        if claim.first == (DEEPER,):
            levels = f"sizes within {PERCENT * EQUAL:g} % of their parameters and of unequal depth"
        return Statement(
            f"{found.verdict.capitalize()}: {about}. There are 0 matched pairs of {levels}"
            + (f", under {where}." if where else "."),
            (0,),
        )
    columns = [set(part["verdict"]) for _, part in compared.groupby("column", sort=False)]
    against = sum(DISAGREES in told for told in columns)
    agreeing = sum(told == {AGREES} for told in columns)
    rows = sorted(compared.to_dict("records"), key=lambda row: -abs(row["difference"]))
    said = [_compared(row) for row in rows[:SHOWN]]
    more = f"; and {len(rows) - SHOWN} smaller ones" if len(rows) > SHOWN else ""
    return Statement(
        f"{found.verdict.capitalize()} (of {counted(len(columns), 'column')} {agreeing} agree and "
        f"{against} disagree): {about}. {'; '.join(said)}{more}.",
        (len(columns), agreeing, against, *(row["difference"] for row in rows[:SHOWN])),
    )


def _any(patterns: Sequence[str]) -> str:
    """Patterns of levels in words."""
    return " or ".join("any" if name == "*" else f"`{name}`" for name in patterns)


def _compared(row: Row) -> str:
    """A comparison of a claim."""
    levels = f" ({row['levels']})" if row["levels"] else ""
    small = f", within the margin{within(row)}" if row["alike"] else ""
    return f"{row['column']}{levels} {difference(row)}{small}"


def _sides(row: Row, verb: str) -> str:
    """A difference at two places."""
    by_task = row["by"] == TASK
    at, there = (str(row["at" + end]) for end in ("", THERE))
    places = (f"on {at}", f"on {there}") if by_task else (f"at `{at}`", f"at `{there}`")
    where = "" if by_task else f" on {row['column']}"
    return (
        f"`{row['level']}` minus `{row['other']}`{where} {verb} `{row['by']}`: "
        f"{difference({**row, 'adjusted': math.nan})} {places[0]}; "
        f"{difference(row, THERE)} {places[1]}"
    )


def _axes_of(term: str) -> list[str]:
    return [part.partition(" (with ")[0] for part in term.split(" x ")]


def _percent(row: Row) -> str:
    """A share in percent."""
    share = f"{PERCENT * row['share']:.0f}"
    return f"{'0' if share == '-0' else share} %".replace("-", "−")

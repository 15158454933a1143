"""Sentences around a recommendation: costs, shares of variance, flips, claims of the literature."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.effects.comparable import Grid
from analysis.effects.reversals import TASK, THERE, turned
from analysis.guideline import directional
from analysis.guideline.directional import JudgedClaim, column_verdicts
from analysis.guideline.text import LISTED, Row, counted, difference, signed, tested
from analysis.read.frame import PERCENT


def costs(grids: Mapping[str, Grid], axis: str) -> list[str]:
    """The parameters of the levels of a size or a shape."""
    # Of the first column that tells them: models are the same on every task.
    for grid in grids.values() if axis in ("size", "shape") else ():
        if axis in grid.axes and "transformer" in grid.runs:
            means = grid.runs.groupby(axis, sort=False)["transformer"].mean().dropna() / 1e6
            sizes = ", ".join(f"`{level}` {millions:.2f}M" for level, millions in means.items())
            if sizes:
                return [f"Mean parameters of the layers: {sizes}."]
    return []


def shared(shares: pd.DataFrame, axis: str) -> Iterator[str]:
    """Shares of the variance: of the axis in each column, and of its pairs with others."""
    # Omega squared is less what chance accounts for; without a residual there is none.
    shares = shares.dropna(subset="omega_squared")
    is_of_axis = [axis in _axes_of(term) for term in shares["term"]]
    shares = shares[np.array(is_of_axis, dtype=bool)]
    for row in shares[shares["kind"] == "axis"].to_dict("records"):
        pairs = shares[(shares["column"] == row["column"]) & (shares["kind"] == "pair")]
        partners = pairs.sort_values("omega_squared", ascending=False)
        chance = ", no more than chance would," if row["omega_squared"] <= 0 else ""
        text = f"{row['column']}: it accounts for {_percent(row)}{chance} of the variance"
        text += f" of {counted(row['n'], 'run')}"
        if len(partners):
            pair = partners.to_dict("records")[0]
            other = next(name for name in _axes_of(pair["term"]) if name != axis)
            text += f", and together with `{other}` for another {_percent(pair)}"
        yield text + "."


def changed(changes: pd.DataFrame) -> Iterator[str]:
    """Shown differences that are larger at one level of another axis than at another."""
    # The level that does better over both places is named first, so that signs read alike.
    rows = [turned(row) if _is_backwards(row) else row for row in changes.to_dict("records")]
    significant = sorted((row for row in rows if row["shown"]), key=lambda row: -abs(row["apart"]))
    for row in significant[:LISTED]:
        apart = f"{signed(abs(row['apart']))} points apart{tested(row['adjusted'])}"
        yield f"{_sides(row, 'changes with')}: {apart}."
    if rows:
        n, untold = len(significant), len(rows) - len(significant)
        more = f" (the {LISTED} largest are above)" if n > LISTED else ""
        yield (
            f"Of {counted(len(rows), 'comparison')} of a difference at two places {n} "
            f"are shown to be apart{more}; of the other {untold} it cannot be told."
        )


def _is_backwards(row: Row) -> bool:
    """Whether the level named first does worse over both places."""
    return bool(row["difference"] + row["difference" + THERE] < 0)


def flipped(flips: pd.DataFrame) -> Iterator[str]:
    """Flips that are shown, and how many more there may be."""
    is_shown = flips["verdict"] == "shown"
    for row in flips[is_shown].to_dict("records"):
        yield f"{_sides(row, 'flips with')}{tested(row['adjusted'])}."
    n, untold = int(is_shown.sum()), int((~is_shown).sum())
    if untold:
        yield (
            f"Of {counted(untold + n, 'pair')} of differences with opposite signs "
            f"{n} {'is' if n == 1 else 'are'} shown; of the other {untold} it cannot be told."
        )


def borne_out(judged: JudgedClaim) -> str:
    """A claim of the literature, the study's verdict on it, and the comparisons behind that."""
    claim, compared = judged.claim, judged.compared
    where = "; ".join(f"{axis} {' or '.join(names)}" for axis, names in claim.where.items())
    about = f"\u201c{claim.claim[0].upper()}{claim.claim[1:]}\u201d"
    about += f" ({claim.source}; {claim.certainty})"
    if compared.empty:
        levels = f"{_any(claim.first)} with {_any(claim.second) or 'the same without'}"
        if claim.first == (directional.DEEPER,):
            share = PERCENT * directional.EQUAL
            levels = f"sizes within {share:g} % of their parameters and of unequal depth"
        levels += f", under {where}" if where else ""
        return f"{judged.verdict.capitalize()}: {about}. There are 0 matched pairs of {levels}."
    columns = column_verdicts(compared)
    agreeing, against = columns.count(directional.AGREES), columns.count(directional.DISAGREES)
    rows = sorted(compared.to_dict("records"), key=lambda row: -abs(row["difference"]))
    texts = [_compared(row) for row in rows[:LISTED]]
    more = f"; and {len(rows) - LISTED} smaller ones" if len(rows) > LISTED else ""
    return (
        f"{judged.verdict.capitalize()} (of {counted(len(columns), 'column')} {agreeing} agree and "
        f"{against} disagree): {about}. {'; '.join(texts)}{more}."
    )


def _any(patterns: Sequence[str]) -> str:
    """Patterns of levels in words: `random` or any."""
    return " or ".join("any" if name == "*" else f"`{name}`" for name in patterns)


def _compared(row: Row) -> str:
    """A comparison of a claim."""
    levels = f" ({row['levels']})" if row["levels"] else ""
    p = tested(row["equivalent"]).removeprefix(", ")
    small = f", within the margin ({p})" if row["alike"] else ""
    return f"{row['column']}{levels} {difference(row)}{small}"


def _sides(row: Row, verb: str) -> str:
    """A difference at two places in one sentence, whose verb says what it does there."""
    by_task = row["by"] == TASK
    at, there = (str(row["at" + end]) for end in ("", THERE))
    sides = (f"on {at}", f"on {there}") if by_task else (f"at `{at}`", f"at `{there}`")
    where = "" if by_task else f" on {row['column']}"
    return (
        f"`{row['level']}` minus `{row['other']}`{where} {verb} `{row['by']}`: "
        # The corrected p is of both sides together: it stands once, behind the second.
        f"{difference({**row, 'adjusted': math.nan})} {sides[0]}; "
        f"{difference(row, THERE)} {sides[1]}"
    )


def _axes_of(term: str) -> list[str]:
    """The axes of a term: `data (with hard.weight) x init` is of data and init."""
    return [part.partition(" (with ")[0] for part in term.split(" x ")]


def _percent(row: Row) -> str:
    """A share in percent."""
    return f"{PERCENT * row['omega_squared']:z.0f} %".replace("-", "−")

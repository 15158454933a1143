"""Directional claims of the literature, and whether a study agrees with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.effects.comparable import Grid
from analysis.effects.pairing import OTHER, TESTED, TOLD, contrast, pairs, sampled
from analysis.published.numbers import ALLOWED
from analysis.statistics import contrasts
from analysis.statistics.cells import Draws
from analysis.statistics.contrasts import Sample, Verdict, less, mean_of
from kdlab.errors import BadInput

FILE = Path(__file__).parents[1] / "published" / "claims" / "directional.csv"
COLUMNS = ["claim", "axis", "first", "second", "relation", "where", "tasks", "certainty", "source"]
AGREES, DISAGREES, UNKNOWN = "agrees", "disagrees", "cannot tell"
BOTH = "agrees and disagrees"
LOGITS = "logits"
DEEPER = "deeper_of_equal_parameters"  # in place of patterns: of two sizes the one with more layers
EQUAL = 0.1  # of a size's Transformer parameters
JOIN = "+"  # between terms of knowledge


@dataclass(frozen=True)
class Claim:
    """What a paper says of levels of an axis.

    Attributes:
        first: patterns of levels (of knowledge: of its terms, beside those that both have).
        second: what they are compared with; none stands for nothing else.
        relation: `better`, `at_least`, `not_better`: of the first than the second; `equal`: any
            first and any second; `larger_on`: the difference, on `tasks` than on other ones.
        where: patterns of the levels of other axes that it is about.
        certainty: as in `analysis/published/README.md`, of the claim.
    """

    claim: str
    axis: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    relation: str
    where: dict[str, tuple[str, ...]]
    tasks: tuple[str, ...]
    certainty: str
    source: str
    note: str


@dataclass(frozen=True)
class Judged:
    """A claim, what the study says of it, and the comparisons that say so: rows as of `matched`."""

    claim: Claim
    verdict: str
    compared: pd.DataFrame


def load(path: Path = FILE) -> list[Claim]:
    """The claims of the literature in the file's order.

    Raises:
        BadInput: naming the line that lacks something or says what is not allowed.
    """
    page = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(page.columns) != [*COLUMNS, "note"]:
        raise BadInput(f"{path.name}: columns are {', '.join([*COLUMNS, 'note'])}")
    return [_claim(path, line, row) for line, row in enumerate(page.to_dict("records"), 2)]


def judged(
    claims: Sequence[Claim],
    grids: Mapping[str, Grid],
    margin: float,
    draws: Draws | None,
    known: dict[str, Verdict],
) -> list[Judged]:
    """Each claim with the study's verdict.

    A column agrees or disagrees only by what is shown (see `contrasts.judged`) or shown to be
    within the margin; the verdict is that of the columns that can tell. What the study has tested
    keeps that verdict. The others' family is all claims, or, where so many tests could mark
    nothing, a claim's, or a claim's in a column.

    Args:
        claims: as `load` gives them.
        grids: of every column, with all columns that claims are about.
        margin: points within which a difference counts as none.
        draws: scores on resampled examples.
        known: verdicts on what was tested elsewhere; it gets those that are new.
    """
    found = [
        {"claim": claim.claim, "levels": levels, **row}
        | {"path": ("claims", claim.claim, row["column"])}
        for claim in claims
        for levels, row in _compared(claim, grids, margin, draws)
    ]
    frame = pd.DataFrame(found, columns=["claim", "levels", "column", *TOLD, *TESTED])
    frame = contrasts.judged(frame, known)
    parts = {claim.claim: frame[frame["claim"] == claim.claim] for claim in claims}
    return [
        Judged(claim, _verdict(told), told)
        for claim in claims
        for told in [_with_verdicts(claim, parts[claim.claim])]
    ]


def _claim(path: Path, line: int, row: Mapping[Any, str]) -> Claim:
    for name in ("claim", "axis", "first", "certainty", "source"):
        if not row[name].strip():
            raise BadInput(f"{path.name}, line {line}: no {name}")
    for name, allowed in (("relation", set(RELATIONS)), ("certainty", ALLOWED["certainty"])):
        if row[name] not in allowed:
            raise BadInput(f"{path.name}, line {line}: {name} is one of {sorted(allowed)}")
    asked = [part.strip().partition("=") for part in row["where"].split(";") if part.strip()]
    lists = {name: tuple(row[name].split()) for name in ("first", "second", "tasks")}
    words = {name: row[name] for name in ("claim", "axis", "relation", "certainty", "source")}
    where = {axis: tuple(patterns.split()) for axis, _, patterns in asked}
    return Claim(**lists, **words, where=where, note=row["note"])  # type: ignore[arg-type]


def _compared(
    claim: Claim, grids: Mapping[str, Grid], margin: float, draws: Draws | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the study has of a claim: a comparison each column, or each pair of levels."""
    parts = {name: _asked(pairs(grid, claim.axis), claim) for name, grid in grids.items()}
    parts = {name: both for name, both in parts.items() if len(both)}
    if claim.relation == "larger_on":
        yield from _between_tasks(claim, parts, grids, margin, draws)
        return
    for name, both in parts.items():
        levels = both["level"] + " and " + both["other"]
        groups = both.groupby(levels if claim.relation == "equal" else lambda _: "", sort=False)
        for label, part in groups:
            told = contrast(part, grids[name], margin, draws)
            yield str(label), {"column": name, "planned": grids[name].seeds} | told


def _asked(both: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """The pairs that a claim is about, its first level first."""
    for axis, patterns in claim.where.items():
        if axis not in both:
            return both.iloc[:0]
        sides = [both[name] for name in (axis, axis + OTHER) if name in both]
        met = [side.map(lambda level, asked=patterns: _is_of(level, asked)) for side in sides]
        both = both[np.logical_or.reduce(met).astype(bool)] if len(both) else both
    if both.empty:
        return both
    ends = zip(both["level"].tolist(), both["other"].tolist(), strict=True)
    if claim.first == (DEEPER,):
        signs = _deeper(both)
    else:
        signs = np.array([_direction(claim, level, other) for level, other in ends])
    return pd.concat([both[signs > 0], _swapped(both[signs < 0])])


def _swapped(both: pd.DataFrame) -> pd.DataFrame:
    """Pairs with what is of the two runs exchanged."""
    twins = [name for name in map(str, both.columns) if name.endswith(OTHER)]
    ends = [("level", "other"), *((name.removesuffix(OTHER), name) for name in twins)]
    names = dict([*ends, *((there, here) for here, there in ends)])
    both = both.rename(columns=names)
    return both.assign(difference=-both["difference"])


def _deeper(both: pd.DataFrame) -> np.ndarray:
    """1 where the first of two sizes of equal parameters has more layers, -1 where it has fewer."""
    if not {"layers", "transformer"} <= set(both.columns):
        return np.zeros(len(both))
    ratio = (both["transformer"] / both["transformer" + OTHER]).to_numpy(dtype=float)
    deeper = (both["layers"] - both["layers" + OTHER]).to_numpy(dtype=float)
    return np.where(np.abs(ratio - 1) <= EQUAL, np.sign(deeper), 0.0)


def _direction(claim: Claim, level: str, other: str) -> int:
    """1 if a pair is the claim's, -1 if it is so the other way round, else 0."""
    ours, theirs = set(level.split(JOIN)), set(other.split(JOIN))
    sides = (ours - theirs - {"none"}, theirs - ours - {"none"})
    for sign, (first, second) in ((1, sides), (-1, sides[::-1])):
        if first and _are(first, claim.first) and _are(second, claim.second):
            return sign
    return 0


def _are(terms: set[str], patterns: Sequence[str]) -> bool:
    """Whether all terms are of the patterns; no patterns stand for no terms."""
    return bool(terms) == bool(patterns) and all(_matches(term, patterns) for term in terms)


def _is_of(level: object, patterns: Sequence[str]) -> bool:
    """Whether a level is of the patterns; soft labels may stand beside other knowledge."""
    if not isinstance(level, str):
        return False
    terms = level.split(JOIN)
    others = [term for term in terms if not term.startswith(LOGITS)]
    return all(_matches(term, patterns) for term in others or terms)


def _matches(term: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(term, pattern) for pattern in patterns)


def _between_tasks(
    claim: Claim,
    parts: Mapping[str, pd.DataFrame],
    grids: Mapping[str, Grid],
    margin: float,
    draws: Draws | None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The mean difference on the claim's tasks less that on the others, if there are both."""
    samples: dict[bool, list[Sample]] = {True: [], False: []}
    columns: dict[bool, list[str]] = {True: [], False: []}
    for name, both in parts.items():
        is_named = both["task"].iloc[0] in claim.tasks
        samples[is_named].append(sampled(both, grids[name], draws))
        columns[is_named].append(name)
    if not all(samples.values()):
        return
    ours, theirs = (mean_of(own) for own in samples.values())
    apart = less(ours, theirs) if ours and theirs else None
    if apart is None:
        return
    ours_at, theirs_at = (", ".join(names) for names in columns.values())
    name = f"{ours_at} less {theirs_at}"
    counts = [
        (len(both), both["degenerate"] | both["degenerate" + OTHER]) for both in parts.values()
    ]
    yield (
        "",
        {"column": name, "over": "", "key": f"{claim.claim}: {name}"}
        | contrasts.contrast(apart, margin)._asdict()
        | {"n": sum(n for n, _ in counts), "degenerate": sum(int(d.sum()) for _, d in counts)}
        | {"planned": max(grid.seeds for grid in grids.values())},
    )


# By relation, what a comparison that is so says; the first that holds.
RELATIONS = {
    "better": ((AGREES, {"above"}), (DISAGREES, {"below", "alike"})),
    "at_least": ((DISAGREES, {"below"}), (AGREES, {"above", "alike"})),
    "not_better": ((DISAGREES, {"above"}), (AGREES, {"below", "alike"})),
    "equal": ((AGREES, {"alike"}), (DISAGREES, {"above", "below"})),
    "larger_on": ((AGREES, {"above"}), (DISAGREES, {"below", "alike"})),
}


def _with_verdicts(claim: Claim, compared: pd.DataFrame) -> pd.DataFrame:
    """Each comparison with what it says of the claim."""
    verdicts = []
    for row in compared.to_dict("records"):
        told = {"alike"} if row["alike"] else set()
        told |= {"above" if row["difference"] > 0 else "below"} if row["shown"] else set()
        said = (verdict for verdict, kinds in RELATIONS[claim.relation] if told & kinds)
        verdicts.append(next(said, UNKNOWN))
    return compared.assign(verdict=verdicts)


def _verdict(compared: pd.DataFrame) -> str:
    """Of all columns: one of several pairs that disagrees does, all have to agree."""
    by_column = [set(part["verdict"]) for _, part in compared.groupby("column", sort=False)]
    is_against = any(DISAGREES in told for told in by_column)
    is_for = any(told == {AGREES} for told in by_column)
    if is_for and is_against:
        return BOTH
    return AGREES if is_for else DISAGREES if is_against else UNKNOWN

"""Directional claims of the literature, and whether a study agrees with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.effects.comparable import Grid
from analysis.effects.pairing import NUMBERS, TESTED, contrast, pairs
from analysis.published.numbers import ALLOWED, checked
from analysis.statistics import contrasts
from analysis.statistics.contrasts import Sample, less, mean_of
from analysis.statistics.pairs import OTHER, Inference, in_frame, sample_of

FILE = Path(__file__).parents[1] / "published" / "claims" / "directional.csv"
COLUMNS = (
    *("claim", "axis", "first", "second", "relation", "where", "tasks"),
    *("certainty", "source", "note"),
)
AGREES, DISAGREES, UNKNOWN = "agrees", "disagrees", "cannot tell"
BOTH = "agrees and disagrees"
LOGITS = "logits"
DEEPER = "deeper_of_equal_parameters"  # in place of patterns: of two sizes the one with more layers
EQUAL = 0.1  # relative difference of Transformer parameters that still counts as equal
JOIN = "+"  # between terms of knowledge


@dataclass(frozen=True)
class Claim:
    """What a paper says of levels of an axis; the columns of `published/claims/directional.csv`.

    Attributes:
        claim: the sentence.
        axis: whose levels it is about.
        first: patterns of levels (of knowledge: of its terms, beside those that both have), such as
            `hidden_*`.
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


@dataclass(frozen=True)
class JudgedClaim:
    """A claim, the study's verdict on it, and the comparisons behind that: rows as of `matched`."""

    claim: Claim
    verdict: str
    compared: pd.DataFrame


def load(path: Path = FILE) -> list[Claim]:
    """The claims of the literature in the file's order.

    Raises:
        BadInput: naming the line that lacks something or says what is not allowed.
    """
    needed = ("claim", "axis", "first", "certainty", "source")
    allowed = {"relation": set(RELATIONS), "certainty": ALLOWED["certainty"]}
    table = checked(path, COLUMNS, needed, allowed)
    return [_claim(row) for row in table.to_dict("records")]


def judge_claims(
    claims: Sequence[Claim], grids: Mapping[str, Grid], inference: Inference
) -> list[JudgedClaim]:
    """Each claim with the study's verdict.

    A column agrees or disagrees only by what is shown (see `contrasts.judged`) or shown to be
    within the margin; the verdict is that of the columns that can tell. What the study has tested
    keeps that verdict. The others' family is all claims, or, where so many tests could mark
    nothing, a claim's, or a claim's in a column.

    Args:
        claims: as `load` gives them.
        grids: of every column, with all columns that claims are about.
        inference: margin, draws and verdicts, which get those that are new.
    """
    rows = [
        {"claim": claim.claim, "levels": levels, **row}
        | {"path": ("claims", claim.claim, row["column"])}
        for claim in claims
        for levels, row in _compared(claim, grids, inference)
    ]
    frame = pd.DataFrame(rows, columns=["claim", "levels", "column", *NUMBERS, *TESTED])
    frame = contrasts.judged(frame, inference.verdicts)
    of_claims = [_with_verdicts(claim, frame[frame["claim"] == claim.claim]) for claim in claims]
    return [
        JudgedClaim(claim, _verdict(compared), compared)
        for claim, compared in zip(claims, of_claims, strict=True)
    ]


def _claim(row: Mapping[Any, str]) -> Claim:
    """The claim of a line; `where` reads `init=random copied; size=l6_*`."""
    conditions = [part.partition("=") for part in row["where"].split(";") if part.strip()]
    lists = {name: tuple(row[name].split()) for name in ("first", "second", "tasks")}
    words = {name: row[name] for name in ("claim", "axis", "relation", "certainty", "source")}
    where = {axis.strip(): tuple(patterns.split()) for axis, _, patterns in conditions}
    return Claim(**lists, **words, where=where)  # type: ignore[arg-type]


def _compared(
    claim: Claim, grids: Mapping[str, Grid], inference: Inference
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The comparisons that a claim is about: one each column, or of `equal` each pair of levels."""
    by_column = {name: _pairs_of(claim, grid) for name, grid in grids.items()}
    by_column = {name: claimed for name, claimed in by_column.items() if len(claimed)}
    if claim.relation == "larger_on":
        yield from _between_tasks(claim, by_column, grids, inference)
        return
    for name, claimed in by_column.items():
        levels = claimed["level"] + " and " + claimed["other"]
        # Of `equal` each two levels have to be: a mean over them could hide two that are not.
        by = levels if claim.relation == "equal" else lambda _: ""
        for label, part in claimed.groupby(by, sort=False):
            numbers = contrast(part, grids[name], inference)
            yield str(label), {"column": name, "planned": grids[name].seeds} | numbers


def _pairs_of(claim: Claim, grid: Grid) -> pd.DataFrame:
    """The pairs of a grid's runs that a claim is about, the level that it names first first."""
    claimed = pairs(grid, claim.axis)
    for axis, patterns in claim.where.items():
        if axis not in claimed:
            return claimed.iloc[:0]
        # An axis that applies to one side only has a column for each: one of them has to fit.
        sides = [claimed[name] for name in (axis, axis + OTHER) if name in claimed]
        # `of=patterns` binds them now: a lambda in a loop would see the last ones.
        fits = [side.map(lambda level, of=patterns: _is_of(level, of)) for side in sides]
        claimed = claimed[np.logical_or.reduce(fits).astype(bool)] if len(claimed) else claimed
    if claimed.empty:
        return claimed
    if claim.first == (DEEPER,):
        signs = _deeper(claimed)
    else:
        ends = zip(claimed["level"].tolist(), claimed["other"].tolist(), strict=True)
        signs = np.array([_direction(claim, level, other) for level, other in ends])
    # Pairs stand in the study's order of levels, which need not be the claim's.
    return pd.concat([claimed[signs > 0], _swapped(claimed[signs < 0])])


def _swapped(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs whose two runs are exchanged."""
    of_other = [name for name in map(str, pairs.columns) if name.endswith(OTHER)]
    # One renaming for both directions: one after the other would undo the first.
    ends = [("level", "other"), *((name.removesuffix(OTHER), name) for name in of_other)]
    pairs = pairs.rename(columns=dict([*ends, *((there, here) for here, there in ends)]))
    return pairs.assign(difference=-pairs["difference"])


def _deeper(pairs: pd.DataFrame) -> np.ndarray:
    """1 where the first of two sizes of equal parameters has more layers, -1 where it has fewer."""
    if not {"layers", "transformer"} <= set(pairs.columns):
        return np.zeros(len(pairs))
    ratio = (pairs["transformer"] / pairs["transformer" + OTHER]).to_numpy(dtype=float)
    deeper = (pairs["layers"] - pairs["layers" + OTHER]).to_numpy(dtype=float)
    return np.where(np.abs(ratio - 1) <= EQUAL, np.sign(deeper), 0.0)


def _direction(claim: Claim, level: str, other: str) -> int:
    """1 if a pair is the claim's, -1 if it is so the other way round, else 0.

    Example: a claim of `cls_pkd` against nothing else is about `logits_kl+cls_pkd` and `logits_kl`,
    for what both have is left aside.
    """
    terms, other_terms = set(level.split(JOIN)), set(other.split(JOIN))
    sides = (terms - other_terms - {"none"}, other_terms - terms - {"none"})
    for sign, (first, second) in ((1, sides), (-1, sides[::-1])):
        if first and _are(first, claim.first) and _are(second, claim.second):
            return sign
    return 0


def _are(terms: set[str], patterns: Sequence[str]) -> bool:
    """Whether every term matches one of the patterns; no patterns stand for no terms."""
    return bool(terms) == bool(patterns) and all(_matches(term, patterns) for term in terms)


def _is_of(level: object, patterns: Sequence[str]) -> bool:
    """Whether a level matches the patterns; soft labels may stand beside other knowledge."""
    if not isinstance(level, str):
        return False
    terms = level.split(JOIN)
    others = [term for term in terms if not term.startswith(LOGITS)]
    return all(_matches(term, patterns) for term in others or terms)


def _matches(term: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(term, pattern) for pattern in patterns)


def _between_tasks(
    claim: Claim,
    by_column: Mapping[str, pd.DataFrame],
    grids: Mapping[str, Grid],
    inference: Inference,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The mean difference on the claim's tasks less that on the others, if there are both."""
    samples: dict[bool, list[Sample]] = {True: [], False: []}  # by whether the claim names the task
    columns: dict[bool, list[str]] = {True: [], False: []}
    for name, claimed in by_column.items():
        is_named = claimed["task"].iloc[0] in claim.tasks
        grid, task_pairs = grids[name], in_frame(claimed)
        samples[is_named].append(sample_of(task_pairs, grid.split, grid.metric, inference.draws))
        columns[is_named].append(name)
    if not all(samples.values()):
        return
    on_named, on_others = (mean_of(of_tasks) for of_tasks in samples.values())
    gap = less(on_named, on_others) if on_named and on_others else None
    if gap is None:
        return
    name = " less ".join(", ".join(names) for names in columns.values())
    all_pairs = in_frame(pd.concat(by_column.values()))
    yield (
        "",
        {"column": name, "over": "", "key": f"{claim.claim}: {name}"}
        | contrasts.contrast(gap, inference.margin)._asdict()
        | {
            "n": len(all_pairs),
            "degenerate": sum(all_pairs.degenerate),
            "planned": max(grid.seeds for grid in grids.values()),
        },
    )


# By relation of a claim: what a comparison says of it that is above (the first level is shown to be
# better), below, or alike (within the margin). The first row that holds counts.
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
        kinds = {"alike"} if row["alike"] else set()
        kinds |= {"above" if row["difference"] > 0 else "below"} if row["shown"] else set()
        possible = (verdict for verdict, of in RELATIONS[claim.relation] if kinds & of)
        verdicts.append(next(possible, UNKNOWN))
    return compared.assign(verdict=verdicts)


def column_verdicts(compared: pd.DataFrame) -> list[str]:
    """The verdict of each column: it disagrees if one of its pairs does, and agrees if all do."""
    verdicts_of = [set(part["verdict"]) for _, part in compared.groupby("column", sort=False)]
    return [
        DISAGREES if DISAGREES in verdicts else AGREES if verdicts == {AGREES} else UNKNOWN
        for verdicts in verdicts_of
    ]


def _verdict(compared: pd.DataFrame) -> str:
    """The verdict of those columns that can tell."""
    verdicts = set(column_verdicts(compared)) - {UNKNOWN}
    return BOTH if len(verdicts) > 1 else next(iter(verdicts), UNKNOWN)

"""Why two numbers differ: what two cells or runs do differently, and by how much they differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from analysis.explain.difference import Column, Difference, Scored, by_column, difference, known
from analysis.explain.lookup import SEEDS, Target, find
from analysis.statistics import seed_tests
from analysis.tables.layout import column_name
from kdlab.record import Record
from kdlab.storage import ledger, repeats

# Keys of a record's cost that say with what a run was computed, which is no part of it.
COMPUTED_WITH = (
    *("commit", "python", "torch", "transformers", "numpy"),
    *("device", "threads", "cores", "host"),
)
MOST = 6  # parts of unequal results, in print


def diff(name: str, other: str, root: str, other_root: str) -> str:
    """What two cells or runs do differently, their scores, and whether equal runs are equal.

    Args:
        name, other: as `analysis.explain.lookup.find` takes them.
        root, other_root: where the runs of each are.

    Raises:
        BadInput: if there is no such cell or run.
    """
    a, b = find(name, root), find(other, other_root)
    lines = [f"{label}: {t.name} ({t.states}; {t.root})" for label, t in (("A", a), ("B", b))]
    lines += [""]
    lines += [*_options(a, b), *_overrides(a, b), *_computed(a, b), ""]
    lines += [*_scores(a, b), "", *_equality(a, b)]
    return "\n".join(lines)


def data(name: str, other: str, root: str, other_root: str) -> dict[str, Any]:
    """What `diff` says, as JSON has it: docs/reference/commands.md says what each key is.

    Args:
        name, other, root, other_root: as of `diff`.
    """
    a, b = find(name, root), find(other, other_root)
    of_a, of_b = _options_of(a), _options_of(b)
    with_a, with_b = _computed_of(a), _computed_of(b)
    columns_a, columns_b = by_column(a), by_column(b)
    shared = _recorded_in_both(a, b)
    return {
        **{
            side: {"name": target.name, "root": target.root, "states": target.states}
            for side, target in (("a", a), ("b", b))
        },
        "options": _differing([name for name in of_a if name in of_b], of_a, of_b),
        "overrides": _only(a, b),
        "computed_with": _differing(COMPUTED_WITH, with_a, with_b) if with_a and with_b else None,
        "scores": [
            _as_data(column, columns_a[column], columns_b[column], (a.root, b.root))
            for column in columns_a
            if column in columns_b
        ],
        "same_runs": len(shared),
        # Of one root each is the same record: there, what differs is between records of one run.
        "unequal": {
            uid: _unequal_parts(one, other_one)
            for uid, (one, other_one) in shared.items()
            if one.result != other_one.result
        },
    }


def _options_of(target: Target) -> dict[str, str]:
    return _values([run.options for run in target.runs])


def _options(a: Target, b: Target) -> list[str]:
    """Options and keys with other values.

    A key in which only one of two studies' runs differ is not known of the other.
    """
    of_a, of_b = _options_of(a), _options_of(b)
    shared = [name for name in of_a if name in of_b]
    same = "options and keys: the same" if shared else "options and keys: not known of both"
    lines = _lines(shared, of_a, of_b)
    if a.study and b.study:  # a run of no study is known by its options alone
        lines += [
            f"  {name}: only {'A' if name in of_a else 'B'} tells: {(of_a | of_b)[name]}"
            for name in {**of_a, **of_b}
            if name not in shared and "." in name
        ]
    return ["options and keys that differ (A | B):", *lines] if lines else [same]


def _only(a: Target, b: Target) -> dict[str, list[str]]:
    """Overrides, seeds aside, that some run of the one has and none of the other."""
    of_a, of_b = (
        dict.fromkeys(o for run in t.runs for o in run.overrides if not o.startswith(SEEDS))
        for t in (a, b)
    )
    return {"a": [o for o in of_a if o not in of_b], "b": [o for o in of_b if o not in of_a]}


def _overrides(a: Target, b: Target) -> list[str]:
    lines = [
        f"  only {which.upper()}: {' '.join(texts)}"
        for which, texts in _only(a, b).items()
        if texts
    ]
    return ["overrides that differ:", *lines] if lines else ["overrides: the same but for seeds"]


def _computed(a: Target, b: Target) -> list[str]:
    """Code, versions and machines that differ."""
    of_a, of_b = _computed_of(a), _computed_of(b)
    if not of_a or not of_b:
        return ["code, versions and machines: not recorded of both"]
    lines = _lines(COMPUTED_WITH, of_a, of_b)
    same = "code, versions and machines: the same"
    return ["code, versions and machines that differ (A | B):", *lines] if lines else [same]


def _computed_of(target: Target) -> dict[str, str]:
    return _values([_computed_with(run.record) for run in target.runs if run.record])


def _computed_with(record: Record) -> dict[str, str]:
    return {key: str(record.cost.get(key)) for key in COMPUTED_WITH}


def _values(runs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """By key every value that some of the runs have, joined by `or`."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {
        name: " or ".join(dict.fromkeys(run.get(name, "none") for run in runs)) for name in names
    }


def _lines(names: Sequence[str], a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    return [f"  {name}: {one} | {other}" for name, (one, other) in _differing(names, a, b).items()]


def _differing(
    names: Sequence[str], a: Mapping[str, str], b: Mapping[str, str]
) -> dict[str, list[str]]:
    """The values of both by name, where they are not the same."""
    return {name: [a[name], b[name]] for name in names if a[name] != b[name]}


def _scores(a: Target, b: Target) -> list[str]:
    """Each column's means, and the difference over the seeds that both have."""
    of_a, of_b = by_column(a), by_column(b)
    shared = [column for column in of_a if column in of_b]
    lines = [_line(c, of_a[c], of_b[c], (a.root, b.root)) for c in shared]
    indented = [f"  {line}" for line in lines] or ["  no column that both have scores in"]
    return ["scores in points, mean ± standard deviation (runs):", *indented]


def _line(column: Column, a: Scored, b: Scored, roots: tuple[str, str]) -> str:
    means = [_mean([score for _, score in scored]) for scored in (a, b)]
    gap = _difference_text(difference(column, a, b, roots))
    return f"{_name(column)}: A {means[0]}, B {means[1]}; {gap}"


def _name(column: Column) -> str:
    return column_name(*column) + (" on select" if column[1] == "select" else "")


def _as_data(column: Column, a: Scored, b: Scored, roots: tuple[str, str]) -> dict[str, Any]:
    """A column's means and their difference, as JSON has it."""
    means = {
        side: {"mean": float(np.mean(scores)), "spread": known(seed_tests.spread(scores))}
        | {"runs": len(scores)}
        for side, scores in (("a", [s for _, s in a]), ("b", [s for _, s in b]))
    }
    return {
        "column": _name(column),
        **means,
        "difference": asdict(difference(column, a, b, roots)),
    }


def _mean(scores: Sequence[float]) -> str:
    spread = seed_tests.spread(scores)
    return f"{np.mean(scores):.2f}{'' if np.isnan(spread) else f' ± {spread:.2f}'} ({len(scores)})"


def _difference_text(gap: Difference) -> str:
    if gap.points is None:
        return gap.why
    over = f" over {gap.pairs} shared seed{'s' * (gap.pairs > 1)}" if gap.pairs else ""
    text = f"A − B {gap.points:+z.2f}{over}"
    if gap.low is None:
        return f"{text}, {gap.why}"
    return f"{text} [{gap.low:z.2f}, {gap.high:z.2f}]{'' if gap.p is None else f', p {gap.p:.2g}'}"


def _equality(a: Target, b: Target) -> list[str]:
    """Whether runs that both have are equal bit for bit, and what of them is not."""
    shared = _recorded_in_both(a, b)
    if not shared:
        return ["no recorded run is the same in both (by uid): results need not be equal"]
    if a.root == b.root:  # there each is equal to itself: what may differ is its other records
        return _repeats(a.root, list(shared))
    unequal = {uid: both for uid, both in shared.items() if both[0].result != both[1].result}
    n = len(shared) - len(unequal)
    counted = f"{n} of {len(shared)} runs that both have are equal bit for bit"
    return [counted, *(line for uid, both in unequal.items() for line in _unequal(uid, *both))]


def _recorded_in_both(a: Target, b: Target) -> dict[str, tuple[Record, Record]]:
    """By uid the records of runs that both have."""
    of_a, of_b = ({r.uid: r.record for r in target.runs if r.record} for target in (a, b))
    return {str(uid): (record, of_b[uid]) for uid, record in of_a.items() if uid in of_b}


def _repeats(root: str, uids: Sequence[str]) -> list[str]:
    """Runs that are the same in both, and how several records of one agree."""
    recorded = ledger.entries(root)
    # A run that was done twice, on two machines or after a lost connection, has a record of each.
    several = {uid: ledger.read_all(root, recorded[uid]) for uid in uids if recorded[uid][1:]}
    runs_are = "run is" if len(uids) == 1 else "runs are"
    lines = [f"{len(uids)} {runs_are} the same in both; {len(several)} recorded more than once"]
    for uid, records in several.items():
        for number, other in enumerate(records[1:], 2):
            kind = repeats.kind(records[0], other)
            lines.append(f"  records 1 | {number} of {uid}: {kind}")
            lines += [] if kind == repeats.EQUAL else _unequal(uid, records[0], other)
    return lines


def _unequal(uid: str, a: Record, b: Record) -> Iterator[str]:
    """The parts of two results that are not equal, and with what else each was computed."""
    parts = _unequal_parts(a, b)
    yield f"  unequal: {uid}"
    for name, (one, other) in list(parts.items())[:MOST]:
        yield f"    {name}: {one} | {other}"
    if len(parts) > MOST:
        yield f"    and {len(parts) - MOST} more"
    computed = _lines(COMPUTED_WITH, _computed_with(a), _computed_with(b))
    yield from (f"  {line}" for line in computed)
    if not computed:
        yield "    of the same code, versions and machine: is a file damaged, or the data another?"


def _unequal_parts(a: Record, b: Record) -> dict[str, list[Any]]:
    """The values of both by the name of the part, of the parts of two results that differ."""
    of_a, of_b = (dict(_leaves("", record.result)) for record in (a, b))
    return {
        name: [of_a.get(name, "none"), of_b.get(name, "none")]
        for name in {**of_a, **of_b}
        if of_a.get(name) != of_b.get(name)
    }


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), inner)
    else:
        yield name, value

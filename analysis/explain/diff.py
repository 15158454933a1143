"""Why two numbers differ: what two cells or runs do differently, and by how much they differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.explain.lookup import SEEDS, Run, Target, find
from analysis.statistics import seed_tests
from analysis.statistics.bootstrap import resample
from analysis.statistics.cells import PERCENT
from analysis.statistics.contrasts import Sample, contrast
from analysis.tables.layout import column_name
from kdlab import record, repeats
from kdlab.power import SEEDS_NEEDED
from kdlab.record import Record, kept, read_examples, read_outputs
from kdlab.repeats import is_same

# What a run was computed with: no part of what it is.
WITH = ("commit", "python", "torch", "transformers", "numpy", "device", "threads", "cores", "host")
MOST = 6  # parts of unequal results, in print
Column = tuple[str, str, str]  # task, split, metric


class Pair(NamedTuple):
    """Two runs of one task and equal seeds."""

    seeds: tuple[int, int]
    ours: Record
    theirs: Record


def diff(
    name: str, other: str, root: str, other_root: str, margin: float = seed_tests.MARGIN
) -> str:
    """What two cells or runs do differently, their scores, and whether equal runs are equal.

    Args:
        name, other: as `analysis.explain.lookup.find` takes them.
        root, other_root: where the runs of each are.
        margin: points, see `analysis.statistics.seed_tests.equivalence`.

    Raises:
        BadInput: if there is no such cell or run.
    """
    ours, theirs = find(name, root), find(other, other_root)
    lines = [f"A: {_counted(ours)}", f"B: {_counted(theirs)}", ""]
    lines += [*_options(ours, theirs), *_overrides(ours, theirs), *_computed(ours, theirs), ""]
    lines += [*_scores(ours, theirs, margin), "", *_equality(ours, theirs)]
    return "\n".join(lines)


def _counted(target: Target) -> str:
    states = [run.state for run in target.runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{target.name} ({counts}; {target.root})"


def _options(ours: Target, theirs: Target) -> list[str]:
    """Options and keys with other values.

    A key in which only one of two studies' runs differ is not told by the other.
    """
    a, b = (_values([run.told for run in target.runs]) for target in (ours, theirs))
    shared = [name for name in a if name in b]
    same = "options and keys: the same" if shared else "options and keys: not known of both"
    found = _lines(shared, a, b)
    if ours.study and theirs.study:
        found += [
            f"  {name}: only {'A' if name in a else 'B'} tells: {(a | b)[name]}"
            for name in {**a, **b}
            if name not in shared and "." in name
        ]
    return ["options and keys that differ (A | B):", *found] if found else [same]


def _overrides(ours: Target, theirs: Target) -> list[str]:
    a, b = (
        dict.fromkeys(o for run in t.runs for o in run.overrides if not o.startswith(SEEDS))
        for t in (ours, theirs)
    )
    only = {"A": [o for o in a if o not in b], "B": [o for o in b if o not in a]}
    found = [f"  only {which}: {' '.join(texts)}" for which, texts in only.items() if texts]
    return ["overrides that differ:", *found] if found else ["overrides: the same but for seeds"]


def _computed(ours: Target, theirs: Target) -> list[str]:
    """Code, versions and machines that differ."""
    a, b = (
        _values([{k: str(r.record.cost.get(k)) for k in WITH} for r in t.runs if r.record])
        for t in (ours, theirs)
    )
    if not a or not b:
        return ["code, versions and machines: not recorded of both"]
    found = _lines(WITH, a, b)
    if not found:
        return ["code, versions and machines: the same"]
    return ["code, versions and machines that differ (A | B):", *found]


def _values(pages: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Every value that some runs have, by key."""
    names = dict.fromkeys(name for page in pages for name in page)
    return {
        name: " or ".join(dict.fromkeys(page.get(name, "none") for page in pages)) for name in names
    }


def _lines(names: Sequence[str], a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    return [f"  {name}: {a[name]} | {b[name]}" for name in names if a[name] != b[name]]


def _scores(ours: Target, theirs: Target, margin: float) -> list[str]:
    """Each column's means, and the difference over the seeds that both have."""
    a, b = _by_column(ours), _by_column(theirs)
    found = [_line(c, a[c], b[c], (ours.root, theirs.root), margin) for c in a if c in b]
    lines = [f"  {line}" for line in found] or ["  no column that both have scores in"]
    return ["scores in points, mean ± standard deviation (runs):", *lines]


Scored = list[tuple[Run, float]]


def _by_column(target: Target) -> dict[Column, Scored]:
    """Runs with their scores, those to report first."""
    found: dict[Column, Scored] = {}
    for run in target.runs:
        scores = run.record.result.get("scores", {}) if run.record else {}
        for split in sorted(scores, key=lambda split: split == "select"):
            for metric, score in scores[split].items():
                found.setdefault((run.task, split, metric), []).append((run, PERCENT * score))
    return found


def _line(
    column: Column, ours: Scored, theirs: Scored, roots: tuple[str, str], margin: float
) -> str:
    _, split, _ = column
    name = column_name(*column) + (" on select" if split == "select" else "")
    shown = [_mean([score for _, score in scored]) for scored in (ours, theirs)]
    return f"{name}: A {shown[0]}, B {shown[1]}; {_difference(column, ours, theirs, roots, margin)}"


def _mean(scores: Sequence[float]) -> str:
    spread = seed_tests.spread(scores)
    return f"{np.mean(scores):.2f}{'' if np.isnan(spread) else f' ± {spread:.2f}'} ({len(scores)})"


def _difference(
    column: Column, ours: Scored, theirs: Scored, roots: tuple[str, str], margin: float
) -> str:
    """The mean over pairs with its interval, as a table has it."""
    _, split, metric = column
    pairs = _pairs([run for run, _ in ours], [run for run, _ in theirs])
    if not pairs:
        gap = np.mean([score for _, score in ours]) - np.mean([score for _, score in theirs])
        return f"A − B {gap:+.2f}, no seed in common: not paired"
    if any(p.ours.result["examples"][split] != p.theirs.result["examples"][split] for p in pairs):
        return "not comparable: scored on other rows"
    gaps = [_points(p.ours, split, metric) - _points(p.theirs, split, metric) for p in pairs]
    said = f"A − B {np.mean(gaps):+.2f} over {len(pairs)} shared seed{'s' * (len(pairs) > 1)}"
    if len({p.seeds[0] for p in pairs}) < SEEDS_NEEDED:
        return f"{said}, no interval: it needs {SEEDS_NEEDED} seeds"
    if not all(
        split in kept(roots[0], pair.ours) and split in kept(roots[1], pair.theirs)
        for pair in pairs
    ):
        return f"{said}, no interval: outputs are gone"
    drawn = [
        _draws(roots[0], p.ours, split, metric) - _draws(roots[1], p.theirs, split, metric)
        for p in pairs
    ]
    seeds, teachers = np.array([p.seeds for p in pairs]).T
    told = contrast(Sample(seeds, teachers, np.array(gaps), PERCENT * np.stack(drawn, 1)), margin)
    tested = "" if np.isnan(told.p) else f", p {told.p:.2g}"
    return f"{said} [{told.low:.2f}, {told.high:.2f}]{tested}"


def _pairs(ours: Sequence[Run], theirs: Sequence[Run]) -> list[Pair]:
    """Runs of equal seeds, each once."""
    known = {(run.seed, run.teacher_seed): run.record for run in theirs}
    mine = {(run.seed, run.teacher_seed): run.record for run in ours}
    return [
        Pair(seeds, record, other)
        for seeds, record in mine.items()
        if record and (other := known.get(seeds))
    ]


def _points(record: Record, split: str, metric: str) -> float:
    return PERCENT * float(record.result["scores"][split][metric])


def _draws(root: str, record: Record, split: str, metric: str) -> np.ndarray:
    _, labels = read_examples(root, record, split)
    return resample(metric, labels, read_outputs(root, record, split))


def _equality(ours: Target, theirs: Target) -> list[str]:
    """Whether runs that both have are equal bit for bit, and what of them is not."""
    a = {run.uid: run.record for run in ours.runs if run.record}
    b = {run.uid: run.record for run in theirs.runs if run.record}
    shared = [str(uid) for uid in a if uid in b]
    if not shared:
        return ["no recorded run is the same in both (by uid): results need not be equal"]
    if ours.root == theirs.root:
        return _repeats(ours.root, shared)
    unequal = [uid for uid in shared if not is_same(a[uid].result, b[uid].result)]
    counted = (
        f"{len(shared) - len(unequal)} of {len(shared)} runs that both have are equal bit for bit"
    )
    return [counted, *(line for uid in unequal for line in _unequal(str(uid), a[uid], b[uid]))]


def _repeats(root: str, uids: Sequence[str]) -> list[str]:
    """Of runs that are the same in both, what the records of each are to each other."""
    recorded = record.entries(root)
    several = {uid: record.read_all(root, recorded[uid]) for uid in uids if recorded[uid][1:]}
    said = "run is" if len(uids) == 1 else "runs are"
    lines = [f"{len(uids)} {said} the same in both; {len(several)} recorded more than once"]
    for uid, records in several.items():
        for number, other in enumerate(records[1:], 2):
            kind = repeats.kind(records[0], other)
            lines.append(f"  records 1 | {number} of {uid}: {kind}")
            lines += [] if kind == repeats.EQUAL else _unequal(uid, records[0], other)
    return lines


def _unequal(uid: str, ours: Record, theirs: Record) -> Iterator[str]:
    a, b = dict(_leaves("", ours.result)), dict(_leaves("", theirs.result))
    names = [name for name in {**a, **b} if a.get(name) != b.get(name)]
    yield f"  unequal: {uid}"
    for name in names[:MOST]:
        yield f"    {name}: {a.get(name, 'none')} | {b.get(name, 'none')}"
    if len(names) > MOST:
        yield f"    and {len(names) - MOST} more"
    found = _lines(WITH, *({k: str(r.cost.get(k)) for k in WITH} for r in (ours, theirs)))
    yield from (f"  {line}" for line in found)
    if not found:
        yield "    of the same code, versions and machine: is a file damaged, or the data another?"


def _leaves(name: str, page: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(page, Mapping):
        for key, value in page.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), value)
    else:
        yield name, page

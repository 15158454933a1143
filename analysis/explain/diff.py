"""Why two numbers differ: what two cells or runs do differently, and by how much they differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.explain.lookup import SEEDS, FoundRun, Target, find
from analysis.read.frame import PERCENT
from analysis.statistics import seed_tests
from analysis.statistics.bootstrap import resample
from analysis.statistics.contrasts import Sample, estimated
from analysis.tables.layout import column_name
from kdlab.power import SEEDS_NEEDED
from kdlab.record import Record
from kdlab.storage import ledger, repeats
from kdlab.storage.example_outputs import kept, read_examples, read_outputs

# Keys of a record's cost that say with what a run was computed, which is no part of it.
COMPUTED_WITH = (
    *("commit", "python", "torch", "transformers", "numpy"),
    *("device", "threads", "cores", "host"),
)
MOST = 6  # parts of unequal results, in print
Column = tuple[str, str, str]  # task, split, metric


class SeedPair(NamedTuple):
    """Two recorded runs of one task and equal seeds: a run's own, and its teacher's."""

    seeds: tuple[int, int]
    a: Record
    b: Record


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


def _options(a: Target, b: Target) -> list[str]:
    """Options and keys with other values.

    A key in which only one of two studies' runs differ is not known of the other.
    """
    of_a, of_b = (_values([run.options for run in target.runs]) for target in (a, b))
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


def _overrides(a: Target, b: Target) -> list[str]:
    """Overrides, seeds aside, that some run of the one has and none of the other."""
    of_a, of_b = (
        dict.fromkeys(o for run in t.runs for o in run.overrides if not o.startswith(SEEDS))
        for t in (a, b)
    )
    only = {"A": [o for o in of_a if o not in of_b], "B": [o for o in of_b if o not in of_a]}
    lines = [f"  only {which}: {' '.join(texts)}" for which, texts in only.items() if texts]
    return ["overrides that differ:", *lines] if lines else ["overrides: the same but for seeds"]


def _computed(a: Target, b: Target) -> list[str]:
    """Code, versions and machines that differ."""
    of_a, of_b = (
        _values([_computed_with(run.record) for run in target.runs if run.record])
        for target in (a, b)
    )
    if not of_a or not of_b:
        return ["code, versions and machines: not recorded of both"]
    lines = _lines(COMPUTED_WITH, of_a, of_b)
    same = "code, versions and machines: the same"
    return ["code, versions and machines that differ (A | B):", *lines] if lines else [same]


def _computed_with(record: Record) -> dict[str, str]:
    return {key: str(record.cost.get(key)) for key in COMPUTED_WITH}


def _values(runs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """By key every value that some of the runs have, joined by `or`."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {
        name: " or ".join(dict.fromkeys(run.get(name, "none") for run in runs)) for name in names
    }


def _lines(names: Sequence[str], a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    return [f"  {name}: {a[name]} | {b[name]}" for name in names if a[name] != b[name]]


def _scores(a: Target, b: Target) -> list[str]:
    """Each column's means, and the difference over the seeds that both have."""
    of_a, of_b = _by_column(a), _by_column(b)
    shared = [column for column in of_a if column in of_b]
    lines = [_line(c, of_a[c], of_b[c], (a.root, b.root)) for c in shared]
    indented = [f"  {line}" for line in lines] or ["  no column that both have scores in"]
    return ["scores in points, mean ± standard deviation (runs):", *indented]


Scored = list[tuple[FoundRun, float]]


def _by_column(target: Target) -> dict[Column, Scored]:
    """By column the runs with their scores in points; splits to report come first."""
    scored: dict[Column, Scored] = {}
    for run in target.runs:
        scores = run.record.result.get("scores", {}) if run.record else {}
        for split in sorted(scores, key=lambda split: split == "select"):
            for metric, score in scores[split].items():
                scored.setdefault((run.task, split, metric), []).append((run, PERCENT * score))
    return scored


def _line(column: Column, a: Scored, b: Scored, roots: tuple[str, str]) -> str:
    _, split, _ = column
    name = column_name(*column) + (" on select" if split == "select" else "")
    means = [_mean([score for _, score in scored]) for scored in (a, b)]
    return f"{name}: A {means[0]}, B {means[1]}; {_difference(column, a, b, roots)}"


def _mean(scores: Sequence[float]) -> str:
    spread = seed_tests.spread(scores)
    return f"{np.mean(scores):.2f}{'' if np.isnan(spread) else f' ± {spread:.2f}'} ({len(scores)})"


def _difference(column: Column, a: Scored, b: Scored, roots: tuple[str, str]) -> str:
    """The mean over pairs with its interval, as a table has it."""
    _, split, metric = column
    pairs = _pairs([run for run, _ in a], [run for run, _ in b])
    if not pairs:
        gap = np.mean([score for _, score in a]) - np.mean([score for _, score in b])
        return f"A − B {gap:+z.2f}, no seed in common: not paired"
    # Runs of two roots may have read other files, or other versions of them.
    if any(p.a.result["examples"][split] != p.b.result["examples"][split] for p in pairs):
        return "not comparable: scored on other rows"
    gaps = [_points(p.a, split, metric) - _points(p.b, split, metric) for p in pairs]
    text = f"A − B {np.mean(gaps):+z.2f} over {len(pairs)} shared seed{'s' * (len(pairs) > 1)}"
    if len({p.seeds[0] for p in pairs}) < SEEDS_NEEDED:
        return f"{text}, no interval: it needs {SEEDS_NEEDED} seeds"
    root, other = roots
    if not all(split in kept(root, p.a) and split in kept(other, p.b) for p in pairs):
        return f"{text}, no interval: outputs are gone"
    drawn = [_draws(root, p.a, split, metric) - _draws(other, p.b, split, metric) for p in pairs]
    seeds, teachers = np.array([p.seeds for p in pairs]).T
    sample = Sample(seeds, teachers, np.array(gaps), PERCENT * np.stack(drawn, 1))
    estimate = estimated(sample)
    low, high = seed_tests.interval(estimate)
    p = seed_tests.two_sided(estimate)
    return f"{text} [{low:z.2f}, {high:z.2f}]{'' if np.isnan(p) else f', p {p:.2g}'}"


def _pairs(a: Sequence[FoundRun], b: Sequence[FoundRun]) -> list[SeedPair]:
    """Recorded runs of equal seeds, each once."""
    of_a, of_b = ({(r.seed, r.teacher_seed): r.record for r in runs} for runs in (a, b))
    return [
        SeedPair(seeds, record, other)
        for seeds, record in of_a.items()
        if record and (other := of_b.get(seeds))
    ]


def _points(record: Record, split: str, metric: str) -> float:
    return PERCENT * float(record.result["scores"][split][metric])


def _draws(root: str, record: Record, split: str, metric: str) -> np.ndarray:
    _, labels = read_examples(root, record, split)
    return resample(metric, labels, read_outputs(root, record, split))


def _equality(a: Target, b: Target) -> list[str]:
    """Whether runs that both have are equal bit for bit, and what of them is not."""
    of_a, of_b = ({r.uid: r.record for r in target.runs if r.record} for target in (a, b))
    shared = [str(uid) for uid in of_a if uid in of_b]
    if not shared:
        return ["no recorded run is the same in both (by uid): results need not be equal"]
    if a.root == b.root:  # there each is equal to itself: what may differ is its other records
        return _repeats(a.root, shared)
    unequal = [uid for uid in shared if of_a[uid].result != of_b[uid].result]
    n = len(shared) - len(unequal)
    counted = f"{n} of {len(shared)} runs that both have are equal bit for bit"
    return [counted, *(line for uid in unequal for line in _unequal(uid, of_a[uid], of_b[uid]))]


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
    of_a, of_b = (dict(_leaves("", record.result)) for record in (a, b))
    names = [name for name in {**of_a, **of_b} if of_a.get(name) != of_b.get(name)]
    yield f"  unequal: {uid}"
    for name in names[:MOST]:
        yield f"    {name}: {of_a.get(name, 'none')} | {of_b.get(name, 'none')}"
    if len(names) > MOST:
        yield f"    and {len(names) - MOST} more"
    computed = _lines(COMPUTED_WITH, _computed_with(a), _computed_with(b))
    yield from (f"  {line}" for line in computed)
    if not computed:
        yield "    of the same code, versions and machine: is a file damaged, or the data another?"


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), inner)
    else:
        yield name, value

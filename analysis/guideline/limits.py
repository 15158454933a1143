"""What a study's data cannot say, in numbers."""

from collections.abc import Iterator, Mapping
from itertools import combinations

import pandas as pd

from analysis.effects.comparable import Grid, governs, same_or_absent
from analysis.guideline.text import LISTED, counted, signed
from analysis.read.frame import NO_SEED, PERCENT, reader
from analysis.statistics import seed_tests
from analysis.statistics.draws import Draws, sampler
from analysis.statistics.pairs import OTHER
from analysis.tables.layout import span_text
from kdlab.power import SEEDS_NEEDED
from kdlab.storage.example_outputs import kept

GLUE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte")  # WNLI is in no average


def draws(runs: pd.DataFrame, scores: pd.DataFrame) -> Draws | None:
    """Scores on resampled examples, if the outputs of all students that are done are there."""
    read = reader(runs)
    students = scores[(scores["seed"] != NO_SEED) & (scores["stage"] != "tune")]
    # All or none: intervals of one guideline shall hold the same sources of variance.
    splits = students[students["score"].notna()].groupby("uid")["split"].agg(set)
    is_whole = all(
        needed <= set(kept(runs.attrs["root"], read(str(uid)))) for uid, needed in splits.items()
    )
    return sampler(runs) if is_whole else None


def of_axis(
    grids: Mapping[str, Grid], axis: str, compared: pd.DataFrame, margin: float
) -> Iterator[str]:
    """What cannot be told of one axis that varies."""
    yield from _joined(grids, axis)
    yield from _unmatched(grids, axis, compared)
    yield from _few_seeds(compared)
    yield from _blind(compared, margin)


def general(
    runs: pd.DataFrame, scores: pd.DataFrame, grids: Mapping[str, Grid], has_examples: bool
) -> Iterator[str]:
    """What cannot be told of any axis."""
    yield from _tasks(grids)
    yield from _left_out(grids)
    yield from _teachers(grids)
    yield from _untuned(runs)
    yield from _degenerate(grids)
    yield from _headroom(scores, grids)
    if not has_examples:
        yield _examples_taken(grids)


def _joined(grids: Mapping[str, Grid], axis: str) -> Iterator[str]:
    """Axes that part the runs as this one does."""
    for grid in grids.values():
        # This axis is the first of those that are joined, or one of the others.
        names = next(([a, *rest] for a, rest in grid.joined.items() if axis in [a, *rest]), [])
        if names:
            n = len(grid.runs)
            others = ", ".join(f"`{name}`" for name in names if name != axis)
            yield (
                f"{grid.column}: `{axis}` parts {counted(n, 'run')} exactly as {others} does: "
                "which of them makes a difference cannot be told."
            )


def _unmatched(grids: Mapping[str, Grid], axis: str, compared: pd.DataFrame) -> Iterator[str]:
    """Levels that never differ in this axis alone."""
    for grid in grids.values():
        part = compared[compared["column"] == grid.column]
        # Sets, as a comparison stands for both orders of its two levels.
        matched = {frozenset(ends) for ends in zip(part["level"], part["other"], strict=True)}
        levels = grid.levels.get(axis, [])
        lacking = [ends for ends in combinations(levels, 2) if frozenset(ends) not in matched]
        if not lacking:
            continue
        texts = [
            f"`{one}` and `{other}` ({', '.join(_apart(grid, axis, one, other))})"
            for one, other in lacking[:LISTED]
        ]
        more = f"; and {len(lacking) - LISTED} more" if len(lacking) > LISTED else ""
        yield (
            f"{grid.column}: {counted(len(lacking), 'pair')} of levels with 0 matched pairs of "
            f"runs, and in brackets what else differs: {'; '.join(texts)}{more}."
        )


def _apart(grid: Grid, axis: str, one: str, other: str) -> list[str]:
    """The other axes in which two levels' runs differ; of all pairs of runs the one with fewest."""
    names = [name for name in grid.levels if name != axis]
    first, second = (
        grid.runs[grid.runs[axis] == level][names].drop_duplicates() for level in (one, other)
    )
    # Every run of the one level beside every run of the other.
    both = first.merge(second, how="cross", suffixes=("", OTHER))
    apart = pd.DataFrame({name: _differs(both, axis, name) for name in names}, index=both.index)
    least = apart.to_numpy()[apart.sum(axis=1).to_numpy().argmin()]
    return [name for name, differs in zip(names, least, strict=True) if differs] or ["seeds"]


def _differs(both: pd.DataFrame, axis: str, name: str) -> pd.Series:
    """Where two runs beside each other differ in an axis, as `pairing.pairs` sees it."""
    levels, others = both[name], both[name + OTHER]
    if governs(axis, name):
        return ~same_or_absent(levels, others)
    # In pandas None differs from None, but two runs to which an axis does not apply agree in it.
    return (levels != others) & ~(levels.isna() & others.isna())


def _few_seeds(compared: pd.DataFrame) -> Iterator[str]:
    """Comparisons that have too few seeds for a test."""
    few = compared[compared["seeds"] < SEEDS_NEEDED]
    if len(few):
        least = int(few["seeds"].min())
        yield (
            f"Comparisons of fewer than {SEEDS_NEEDED} seeds (down to {least}): {len(few)} of "
            f"{len(compared)}; nothing can be shown by them."
        )


def _blind(compared: pd.DataFrame, margin: float) -> Iterator[str]:
    """Comparisons that would not have found a difference of the margin."""
    detectable = compared["detectable"].dropna()
    blind = detectable[detectable > margin]
    if len(blind):
        yield (
            f"Comparisons that would miss a difference of the margin ({margin:g}): {len(blind)} of "
            f"{len(detectable)}; the smallest that one finds with 80 % power, uncorrected, is "
            f"{span_text(blind, '{:.1f}')} points."
        )


def _tasks(grids: Mapping[str, Grid]) -> Iterator[str]:
    """Tasks of GLUE that the study does not have."""
    # A column has no runs yet where all of its task are still to be done.
    tasks = dict.fromkeys(str(task) for grid in grids.values() for task in grid.runs["task"])
    lacking = [task for task in GLUE if task not in tasks]
    if lacking:
        n = len(GLUE) - len(lacking)
        text = f"{n} of GLUE's {len(GLUE)} tasks are in it"
        text += f"; not {', '.join(lacking)}." if n else f": it is about {', '.join(tasks)} alone."
        yield text


def _left_out(grids: Mapping[str, Grid]) -> Iterator[str]:
    """Runs that should have a score and have none."""
    for grid in grids.values():
        if grid.left_out:
            reasons = ", ".join(f"{count} {why}" for why, count in grid.left_out.items())
            yield f"{grid.column}: runs left out of all comparisons: {reasons}."


def _teachers(grids: Mapping[str, Grid]) -> Iterator[str]:
    """That all runs have one teacher, which says nothing of other teachers."""
    seeds = {int(seed) for grid in grids.values() for seed in grid.runs["teacher_seed"].unique()}
    # NO_SEED counts as one: a teacher that all students share, whatever its seed is.
    if len(seeds) == 1:
        yield (
            "1 teacher seed of each kind of teacher: whether another teacher would say the same "
            "cannot be told."
        )


def _untuned(runs: pd.DataFrame) -> Iterator[str]:
    """That no trials chose an arm's settings, or more of them for some arms than for others."""
    students = runs[(runs["seed"] != NO_SEED) & (runs["stage"] != "tune")]
    trials = sorted(set(students["trials"].astype(int)))
    if trials == [0]:
        yield (
            "0 trials: no arm chose its own settings, so that a level may only suit those given "
            "better than another."
        )
    elif len(trials) > 1:
        yield (
            f"Arms had {trials[0]} to {trials[-1]} trials each: those with more may only have been "
            "searched better."
        )


def _degenerate(grids: Mapping[str, Grid]) -> Iterator[str]:
    """Runs that predict one class for every row."""
    for grid in grids.values():
        runs = grid.by_run.runs
        if n := int(runs["degenerate"].sum()):
            yield (
                f"{grid.column}: {n} of {counted(len(runs), 'run')} predict the same for "
                "every row; they are in all comparisons as they are."
            )


def _headroom(scores: pd.DataFrame, grids: Mapping[str, Grid]) -> Iterator[str]:
    """Where the teacher is not above its student without knowledge by more than their spread."""
    for grid in grids.values():
        if not grid.levels.get("knowledge"):  # none of its runs is done yet, or it has no such axis
            continue
        is_here = (scores["split"] == grid.split) & (scores["metric"] == grid.metric)
        is_here &= scores["task"] == grid.runs["task"].iloc[0]
        # A teacher of several tables has a row in each.
        teacher_runs = scores[is_here & (scores["seed"] == NO_SEED)].drop_duplicates("uid")
        teachers = PERCENT * teacher_runs["score"].dropna()
        headrooms = _headrooms(grid, teachers)
        within = [headroom for headroom, spread in headrooms if headroom <= spread]
        if within:
            yield (
                f"{grid.column}: in {len(within)} of {counted(len(headrooms), 'setting')} the "
                "headroom (teacher minus student without knowledge) is within its spread, down to "
                f"{signed(min(within))} points: little could be gained from teachers there."
            )


def _headrooms(grid: Grid, teachers: pd.Series) -> list[tuple[float, float]]:
    """Headroom and its spread of every setting without knowledge, in points."""
    nones = grid.runs[grid.runs["knowledge"] == "none"]
    if nones.empty or teachers.empty:
        return []
    # A setting is all axes but knowledge; where there are none it is the whole study.
    names = [name for name in grid.levels if name != "knowledge"] or ["knowledge"]
    headrooms = []
    # Without `dropna=False` pandas leaves out every run to which one of the axes does not apply.
    for _, part in nones.groupby(names, sort=False, dropna=False):
        headrooms.append(seed_tests.headroom(teachers.tolist(), part["score"].tolist()))
    return headrooms


def _examples_taken(grids: Mapping[str, Grid]) -> str:
    n = len(pd.concat([grid.runs["uid"] for grid in grids.values()]).drop_duplicates())
    return (
        f"Not all of the {counted(n, 'run')} have their outputs here: intervals and tests take the "
        "examples of the report as they are."
    )

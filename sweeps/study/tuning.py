"""Trials are scored on `select`, and the best of each group is frozen before it is confirmed.

A winner is chosen once all trials of its group are recorded, and never again: its confirming runs
have other seeds than its trials, so that what a table shows was not chosen by luck.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kdlab.errors import BadInput
from kdlab.metrics import ranked, selection
from kdlab.options.schema import Task
from kdlab.record import Record
from kdlab.storage.durable import line, page_of, short_digest, write_whole
from sweeps.study.cells import Winner
from sweeps.study.outline import Cell

DIVERGED_SCORE = -math.inf
Trials = dict[tuple[str, ...], list[str]]  # a trial's overrides to the uids of its runs

# How a trial's scores over seeds become the number of which the largest wins, by the names of
# `sweeps.study.schema.Rule`. With `best_worst` no seed may fail.
RULES: Mapping[str, Callable[[list[float]], float]] = {
    "best_mean": statistics.fmean,
    "best_worst": min,
}


def score(record: Record | None, task: Task) -> float | None:
    """A run's score on `select`: the mean of the task's `select_by` metrics.

    0 for a run with one prediction for every row, minus infinity for one that diverged, None
    without a record.
    """
    if record is None:
        return None
    if record.result["status"] == "diverged":
        return DIVERGED_SCORE
    score = selection(record.result["scores"]["select"], task.select_by)
    return ranked(score, "select" in record.result["degenerate"])


def choose(
    cells: Iterable[tuple[Cell, str | None]], score_of: Callable[[str], float | None]
) -> dict[str, Winner]:
    """The winner of every group of which all runs are recorded; of equal ones the first trial.

    Args:
        cells: of a study, with the uid of their runs; None where a skip rule leaves one out.
        score_of: the score of a uid's run, None where it is not recorded.
    """
    rules, groups = _groups(cells)
    winners = {}
    for group, trials in groups.items():
        scores = {uid: score_of(uid) for uid in _uids(trials)}
        recorded = {uid: value for uid, value in scores.items() if value is not None}
        # A winner of some trials would be another one once the others are done. Of a group whose
        # cells are all left out there is none.
        if scores and len(recorded) == len(scores):
            winners[group] = _winner(trials, recorded, rules[group])
    return winners


def verify(winners: Mapping[str, Winner], cells: Iterable[tuple[Cell, str | None]]) -> None:
    """Refuse frozen winners that were chosen from other runs than the study's trials are now.

    Raises:
        BadInput: naming the group.
    """
    for group, trials in _groups(cells)[1].items():
        if group in winners and winners[group].runs != _digest(trials):
            raise BadInput(
                f"the winner of {group!r} was chosen from other trials than the study has now: "
                "give the changed study a name of its own"
            )


def read_winners(path: Path) -> dict[str, Winner]:
    """The frozen winners of a study by group; none before there is a file.

    Raises:
        BadInput: it is not what `write_winners` wrote.
    """
    if not path.is_file():
        return {}
    content = page_of(path.read_bytes())
    if content is None:
        raise BadInput(
            f"{path} is not what was written; move it away: the next launch chooses the winners "
            "again, from the records of the trials"
        )
    return {
        group: Winner(
            tuple(winner["overrides"]),
            # JSON has no infinity: a diverged trial's score is null there.
            {t: DIVERGED_SCORE if s is None else s for t, s in winner["scores"].items()},
            winner["runs"],
        )
        for group, winner in content.items()
    }


def write_winners(path: Path, winners: Mapping[str, Winner]) -> None:
    """Freeze winners beside those that are frozen already.

    Each has its `overrides`, the `scores` of all its trials (null: diverged), and a digest of the
    `runs` that were compared.

    Raises:
        BadInput: if a group has another winner, or other scores, in the file.
    """
    frozen = read_winners(path)
    for group, winner in winners.items():
        if frozen.get(group, winner) != winner:
            raise BadInput(
                f"{path}: {group!r} is frozen as {' '.join(frozen[group].overrides)!r} and would "
                f"now be {' '.join(winner.overrides)!r}, or with other scores: winners are never "
                "replaced; give the changed study a name of its own"
            )
    content = {
        group: {
            "overrides": list(winner.overrides),
            "scores": {t: None if s == DIVERGED_SCORE else s for t, s in winner.scores.items()},
            "runs": winner.runs,
        }
        for group, winner in {**frozen, **winners}.items()
    }
    if winners.keys() - frozen.keys():  # a launch that chooses nothing new writes nothing
        write_whole(path, line(content))


def _groups(cells: Iterable[tuple[Cell, str | None]]) -> tuple[dict[str, str], dict[str, Trials]]:
    """The rule and the trials of every group, in the file's order."""
    rules: dict[str, str] = {}
    groups: dict[str, Trials] = {}
    for cell, uid in cells:
        if cell.stage == "tune":
            rules[cell.group] = cell.rule
            runs = groups.setdefault(cell.group, {}).setdefault(cell.tuned, [])
            if uid is not None and not cell.excluded:
                runs.append(uid)
    return rules, groups


def _winner(trials: Trials, scores: Mapping[str, float], rule: str) -> Winner:
    """The best of a group's trials by the rule, given the scores of all their runs."""
    values = {}
    # A trial that lacks some of the group's runs (a skip rule left them out) was not tried on the
    # same tasks as the others.
    most_runs = max(len(runs) for runs in trials.values())
    for trial, runs in trials.items():
        if len(runs) == most_runs:
            # A run that two of the group's rows share counts once.
            values[trial] = RULES[rule]([scores[uid] for uid in dict.fromkeys(runs)])
    best = max(values, key=values.__getitem__)  # of equal ones the first
    by_text = {" ".join(trial): value for trial, value in values.items()}
    return Winner(best, by_text, _digest(trials))


def _uids(trials: Trials) -> set[str]:
    return {uid for runs in trials.values() for uid in runs}


def _digest(trials: Trials) -> str:
    """A hash of the runs that were compared: it changes with any of their options."""
    return short_digest(" ".join(sorted(_uids(trials))).encode())

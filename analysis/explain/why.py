"""Why a number is what it is: a cell's runs, what became of each, and the command to repeat it."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.explain.lookup import FoundRun, Target, find, read, without_execution
from analysis.read.frame import NO_SEED
from analysis.read.run_history import RunHistory, histories
from analysis.tables import rerun_commands
from kdlab.record import Record
from sweeps.journal import failures

AGAIN = "/tmp/again"  # the root of a repeated run, in the command that is printed
SELECT = "select"
BARS = "▁▂▃▄▅▆▇█"
TRACEBACK_LINES = 6  # the last ones, in print


def why(name: str, root: str) -> str:
    """The runs of a cell, or one run: results, trouble, logs and commands, as text.

    Args:
        name: as `analysis.explain.lookup.find` takes it.
        root: where runs are.

    Raises:
        BadInput: if there is no such cell or run.
    """
    target = find(name, root)
    history_of = histories(root, [run.uid for run in target.runs if run.uid])
    n = len(target.runs)
    lines = [f"{target.name}: {n} {'run' if n == 1 else 'runs'}, {target.states}"]
    lines += _teachers(target)
    for run in target.runs:
        lines += ["", *_of_run(run, target, history_of.get(run.uid or "", RunHistory()))]
    return "\n".join(lines)


def _teachers(target: Target) -> list[str]:
    """A line for each run that some of the runs learn from."""
    students: dict[str, list[FoundRun]] = {}
    for run in target.runs:
        for uid in run.teachers:
            students.setdefault(uid, []).append(run)
    lines = []
    for uid, runs in students.items():
        record = read(target.root, uid)
        # Where all runs have it, whose teacher it is goes without saying.
        is_of_some = len(runs) < len(target.runs)
        of = f" of {', '.join(dict.fromkeys(_title(run) for run in runs))}" if is_of_some else ""
        lines.append(f"  teacher{of} {uid}: {_scores(record) if record else 'missing'}")
    return lines


def _of_run(run: FoundRun, target: Target, history: RunHistory) -> list[str]:
    """The lines on a run: its state, what is recorded, its trouble and logs, and commands."""
    state = f"{run.state} ({run.trouble})" if run.trouble else run.state
    lines = [f"{_title(run)}: {state}{f'  {run.uid}' if run.uid else ''}"]
    if run.record:
        lines += _recorded(run.record)
    lines += _trouble(history, run)
    lines += [f"  log: {path}" for path in history.logs]
    lines += [f"  {line}" for line in _commands(run, target)]
    return lines


def _title(run: FoundRun) -> str:
    if run.seed == NO_SEED:
        return f"{run.task}, no student"
    teacher = "" if run.teacher_seed == NO_SEED else f", teacher seed {run.teacher_seed}"
    return f"{run.task}, seed {run.seed}{teacher}"


def _recorded(record: Record) -> list[str]:
    """The lines on a record: scores, steps, cost, curves, shares and agreement, as far as known."""
    result, cost = record.result, record.cost
    lines = [f"  {_scores(record)}"] if "scores" in result else []
    steps = f"{result['steps']} steps" if "steps" in result else "steps unknown"
    # Weights may be those of an earlier moment, the best on select; a diverged run has none.
    if result.get("scored_step", result.get("steps")) != result.get("steps"):
        steps += f", scored at {result['scored_step']}"
    if result.get("degenerate"):
        steps += f"; one prediction for every row of {', '.join(result['degenerate'])}"
    lines += [f"  {steps}; {_cost(cost)}"]
    lines += _curves(result)
    lines += _gradient_shares(result.get("shares", {}))
    for split, measures in result.get("agreement", {}).items():
        values = ", ".join(f"{name} {value:.4g}" for name, value in measures.items())
        lines += [f"  agreement with the teacher on {split}: {values}"]
    return lines


def _curves(result: Mapping[str, Any]) -> list[str]:
    """Losses and the score on select at each evaluation; † where it was a constant prediction's."""
    lines, constant = [], result.get("select_degenerate", [])
    for name, values in result.get("curves", {}).items():
        marks = ["†" if is_so and name == SELECT else "" for is_so in constant]
        numbers = " ".join(f"{x:.4g}{mark}" for x, mark in zip(values, marks, strict=True))
        lines.append(f"  {name:12} {sparkline(values)}  {numbers}")
    if any(constant):
        lines.append("  † one prediction for every row: counts 0 where weights are chosen")
    return lines


def _gradient_shares(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Each loss's share of the encoder's gradient, a fraction, at points of training."""
    if not shares:
        return []
    points = ", ".join(f"{100 * float(point):g}" for point in shares)
    names = dict.fromkeys(name for of_point in shares.values() for name in of_point)
    # Stages have losses of their own: a point may lack a term that another one has.
    texts = [f"{n} {' '.join(f'{s.get(n, 0):.2f}' for s in shares.values())}" for n in names]
    return [f"  shares of the gradient at {points} %: {', '.join(texts)}"]


def _scores(record: Record) -> str:
    """Scores in points, those to report first."""
    scores = record.result.get("scores")
    if not scores:
        return str(record.result["status"])
    order = sorted(scores, key=lambda split: split == SELECT)
    return ", ".join(
        f"{split} {metric} {100 * value:.2f}"
        for split in order
        for metric, value in scores[split].items()
    )


def _cost(cost: Mapping[str, object]) -> str:
    """What a run took and with what it was computed, as far as it is known."""
    forms = {
        **{"seconds": "{} s", "cohort": "cohort of {}", "threads": "{} threads", "device": "{}"},
        **{"host": "host {}", "commit": "code {}", "torch": "torch {}"},
    }
    texts = [form.format(cost[key]) for key, form in forms.items() if cost.get(key) is not None]
    return ", ".join(texts) or "nothing measured"


def sparkline(values: Sequence[float]) -> str:
    """Values as bars between the smallest and the largest of them."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    width = (high - low) or 1.0  # of values that are all equal, drawn as the lowest bar
    return "".join(BARS[int((len(BARS) - 1) * (value - low) / width + 0.5)] for value in values)


def _trouble(history: RunHistory, run: FoundRun) -> list[str]:
    """What went wrong, oldest first, the end of the last traceback, and whether it is running."""
    lines = []
    for event in [*history.forgiven, *history.trouble]:
        # Forgiven by `retry`, or of a kind that does not count against the run itself.
        passed = event not in history.trouble or event["class"] not in failures.ALONE_LIMITS
        where = f" on {event['node']}" if event["node"] else ""
        error = f": {event['error']}" if event["error"] else ""
        lines.append(f"  {event['class']}{where}{' (passed)' if passed else ''}{error}")
    if not run.record and history.trouble:
        traceback = str(history.trouble[-1].get("traceback", "")).rstrip().splitlines()
        lines += [f"    {line}" for line in traceback[-TRACEBACK_LINES:]]
    if not run.record and history.began:
        lines.append(f"  begun on {history.began['node'] or history.began['host']}, not ended")
    return lines


def _commands(run: FoundRun, target: Target) -> list[str]:
    """How to do a run that is missing, or to repeat one that is recorded."""
    if run.state == "excluded":
        return ["left out while planning: nothing to do"]
    if run.record:
        return _repeat(run, run.record, target)
    lines = []
    if run.state == "failed" and target.study:
        retry = rerun_commands.retry(target.study, target.root, "--uid", str(run.uid))
        lines.append(f"again: `{retry}`")
    if target.study:
        launch = rerun_commands.launch(target.study, target.root)
        lines.append(f"all that is missing: `{launch}`")
    if run.overrides:
        lines.append(f"this one: `{rerun_commands.single(run.overrides, target.root)}`")
    return lines


def repeating(overrides: Sequence[str], threads: int | None) -> str:
    """The command that does a recorded run again, under another root.

    Args:
        overrides: that the run has; those of where it was computed are left out.
        threads: that it was computed with, as its record says.
    """
    # Sums of floats depend on how they are split among threads: as many make it the same bits.
    own = [*without_execution(overrides), *([f"threads={threads}"] if threads else [])]
    return rerun_commands.single(own, AGAIN)


def _repeat(run: FoundRun, record: Record, target: Target) -> list[str]:
    """Lines with the command that repeats a recorded run, and the one that compares the two."""
    command = repeating(run.overrides, record.cost.get("threads"))
    diff = ["python", "-m", "analysis", "diff", str(run.uid), str(run.uid)]
    diff += ["--root", target.root, "--other", AGAIN]
    return [
        f"it is recorded, so repeat it elsewhere: `{command}`",
        f"and compare: `{shlex.join(diff)}`",
    ]

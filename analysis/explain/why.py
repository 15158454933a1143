"""Why a number is what it is: a cell's runs, what became of each, and the command to repeat it."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.explain.lookup import Run, Target, find, read
from analysis.read.frame import NO_SEED
from analysis.read.run_history import Happened, happened
from analysis.tables import rerun_commands
from kdlab.record import Record
from sweeps.journal import failures

AGAIN = "/tmp/again"
SELECT = "select"
BARS = "▁▂▃▄▅▆▇█"
LAST = 6  # lines of a traceback
RUNS = "runs"  # where runs are unless KDLAB_ROOT says otherwise


def why(name: str, root: str) -> str:
    """What there is to know of a cell or a run, as text.

    Args:
        name: as `analysis.explain.lookup.find` takes it.
        root: where runs are.

    Raises:
        BadInput: if there is no such cell or run.
    """
    target = find(name, root)
    events = happened(root, [run.uid for run in target.runs if run.uid])
    lines = [f"{target.name}: {_counted(target.runs)}", *_teachers(target)]
    for run in target.runs:
        lines += ["", *_of_run(run, target, events.get(run.uid or "", Happened()))]
    return "\n".join(lines)


def _counted(runs: Sequence[Run]) -> str:
    states = [run.state for run in runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}, {counts}"


def _teachers(target: Target) -> list[str]:
    """A line for each run that some of the runs learn from."""
    students: dict[str, list[Run]] = {}
    for run in target.runs:
        for uid in run.teachers:
            students.setdefault(uid, []).append(run)
    found = []
    for uid, taught in students.items():
        record = read(target.root, uid)
        some = len(taught) < len(target.runs)
        of = f" of {', '.join(dict.fromkeys(_title(run) for run in taught))}" if some else ""
        found.append(f"  teacher{of} {uid}: {_scores(record) if record else 'missing'}")
    return found


def _of_run(run: Run, target: Target, history: Happened) -> list[str]:
    """A run: what became of it, what is recorded, its logs, and how to do it."""
    what = f"{run.state} ({run.trouble})" if run.trouble else run.state
    lines = [f"{_title(run)}: {what}{f'  {run.uid}' if run.uid else ''}"]
    if run.record:
        lines += _recorded(run.record)
    lines += _troubles(history, run)
    lines += [f"  log: {path}" for path in history.logs]
    lines += [f"  {line}" for line in _commands(run, target)]
    return lines


def _title(run: Run) -> str:
    if run.seed == NO_SEED:
        return f"{run.task}, no student"
    teacher = "" if run.teacher_seed == NO_SEED else f", teacher seed {run.teacher_seed}"
    return f"{run.task}, seed {run.seed}{teacher}"


def _recorded(record: Record) -> list[str]:
    result, cost = record.result, record.cost
    lines = [f"  {_scores(record)}"] if "scores" in result else []
    steps = f"{result['steps']} steps" if "steps" in result else "steps unknown"
    if result.get("scored_step", result.get("steps")) != result.get("steps"):
        steps += f", scored at {result['scored_step']}"
    if result.get("degenerate"):
        steps += f"; one prediction for every row of {', '.join(result['degenerate'])}"
    lines += [f"  {steps}; {_cost(cost)}"]
    lines += _curves(result)
    lines += _shares(result.get("shares", {}))
    for split, found in result.get("agreement", {}).items():
        said = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
        lines += [f"  agreement with the teacher on {split}: {said}"]
    return lines


def _curves(result: Mapping[str, Any]) -> list[str]:
    """Losses and the score on select at each evaluation; † where it was a constant prediction's."""
    lines, constant = [], result.get("select_degenerate", [])
    for name, values in result.get("curves", {}).items():
        marks = ["†" if is_so and name == SELECT else "" for is_so in constant]
        said = " ".join(f"{x:.4g}{mark}" for x, mark in zip(values, marks, strict=True))
        lines.append(f"  {name:12} {sparkline(values)}  {said}")
    if any(constant):
        lines.append("  † one prediction for every row: counts 0 where weights are chosen")
    return lines


def _shares(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Each loss's share of the encoder's gradient, point by point of training."""
    if not shares:
        return []
    points = ", ".join(f"{100 * float(point):g}" for point in shares)
    names = dict.fromkeys(name for of_point in shares.values() for name in of_point)
    said = [f"{n} {' '.join(f'{s.get(n, 0):.2f}' for s in shares.values())}" for n in names]
    return [f"  shares of the gradient at {points} %: {', '.join(said)}"]


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
    known = {
        "seconds": "{} s",
        "cohort": "cohort of {}",
        "threads": "{} threads",
        "device": "{}",
        "host": "host {}",
        "commit": "code {}",
        "torch": "torch {}",
    }
    said = [text.format(cost[key]) for key, text in known.items() if cost.get(key) is not None]
    return ", ".join(said) or "nothing measured"


def sparkline(values: Sequence[float]) -> str:
    """Values as bars between the smallest and the largest of them."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    width = (high - low) or 1.0
    return "".join(BARS[int((len(BARS) - 1) * (value - low) / width + 0.5)] for value in values)


def _troubles(history: Happened, run: Run) -> list[str]:
    """What went wrong, oldest first, the end of the last traceback, and what has begun."""
    lines = []
    for event in [*history.forgiven, *history.trouble]:
        passed = event not in history.trouble or event["class"] not in failures.ALONE_LIMITS
        where = f" on {event['node']}" if event["node"] else ""
        said = f": {event['error']}" if event["error"] else ""
        lines.append(f"  {event['class']}{where}{' (passed)' if passed else ''}{said}")
    if not run.record and history.trouble:
        printed = str(history.trouble[-1].get("traceback", "")).rstrip().splitlines()[-LAST:]
        lines += [f"    {line}" for line in printed]
    if not run.record and history.began:
        lines.append(f"  begun on {history.began['node'] or history.began['host']}, not ended")
    return lines


def _commands(run: Run, target: Target) -> list[str]:
    """How to do a run that is missing, or to repeat one that is recorded."""
    if run.state == "excluded":
        return ["left out while planning: nothing to do"]
    if run.record:
        return _repeat(run, run.record, target)
    lines = []
    if run.state == "failed" and target.study:
        retry = ["python", "-m", "sweeps", "retry", target.study, "--root", target.root]
        lines.append(f"again: `{shlex.join([*retry, '--uid', str(run.uid)])}`")
    if target.study:
        lines.append(f"all that is missing: `{launch(target.study, target.root)}`")
    if run.overrides:
        lines.append(f"this one: `{rerun_commands.one(run.overrides, target.root)}`")
    return lines


def _repeat(run: Run, record: Record, target: Target) -> list[str]:
    threads = record.cost.get("threads")
    own = [*run.overrides, *([f"threads={threads}"] if threads else [])]
    diff = ["python", "-m", "analysis", "diff", str(run.uid), str(run.uid)]
    diff += ["--root", target.root, "--other", AGAIN]
    return [
        f"it is recorded, so repeat it elsewhere: `{rerun_commands.one(own, AGAIN)}`",
        f"and compare: `{shlex.join(diff)}`",
    ]


def launch(study: str, root: str) -> str:
    """What does all that is missing of a study."""
    where = "" if root == RUNS else f"KDLAB_ROOT={shlex.quote(root)} "
    named = shlex.join([study, *rerun_commands.asked(study, root)])
    return f"{where}python -m sweeps launch {named} --wait"

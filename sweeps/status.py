"""Where a study stands, for the terminal: states, rate, coverage, failures, and tasks' logs."""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kdlab.errors import BadInput
from kdlab.storage import ledger, life_signs, repeats
from kdlab.storage.life_signs import LifeSign
from sweeps.journal import events, failures, run_states
from sweeps.launchers import contract
from sweeps.study import folders, launched, reading

WATCH_SECONDS = 5.0  # between two screens of `status --watch`
LISTED = ("study", "runs", "done", "failed", "hours", "question")
MOST_AT_WORK = 8  # cohorts that get a line
RATE_WINDOW = 1800.0  # seconds over which the rate is taken
PLAN_COLUMNS = ["table", "row", "task", "uid", "parents", "ancestors", "seconds"]


@dataclass(frozen=True)
class Status:
    """A study at a moment.

    Attributes:
        study: its name.
        counts: how many runs are in each state, ancestors included.
        rate: runs an hour, over the last half hour in which any ended.
        hours: of work, used by recorded runs and estimated for all.
        tasks: how many tasks are in each state, by the scheduler's word for it.
        at_work: how far each cohort is that is being trained.
        coverage: a row for each table: its cells, those with a result, those complete, its runs
            done, and its runs.
        failed: by uid the event that failed a run itself.
        hosts: those that will be left out, and why.
        stop: why the study stopped itself; None if it did not.
        queue_error: why the queue is unknown; "" if it is not.
        skipped: invalid lines and files.
    """

    study: str
    counts: Mapping[str, int]
    rate: float
    hours: tuple[float, float]
    tasks: Mapping[str, int]
    at_work: list[LifeSign]
    coverage: pd.DataFrame
    failed: Mapping[str, events.Event]
    hosts: list[failures.Blame]
    stop: Mapping[str, Any] | None
    queue_error: str
    skipped: list[str]


def print_status(study: str, root: str, watch: bool, as_json: bool) -> int:
    """Print where a study stands; with `watch` show it again and again, until interrupted."""
    status = load(study, root)
    failures.report_skipped(status.skipped)
    if as_json:
        print(json.dumps(as_data(status)))
        return 0
    if watch:
        # By itself rich would draw the same screen four times a second.
        with Live(show(status), auto_refresh=False) as screen:
            while True:
                time.sleep(WATCH_SECONDS)
                screen.update(show(load(study, root)), refresh=True)
    Console().print(show(status))
    for line in repeats.notes(root):
        print(f"sweeps: {line}", file=sys.stderr)
    return 0


def as_data(status: Status) -> dict[str, Any]:
    """A status as JSON has it: the fields of `Status`, the coverage as one object a table."""
    tables = status.coverage.reset_index().to_dict("records")
    data = {field.name: getattr(status, field.name) for field in fields(status)}
    return data | {
        "counts": dict(status.counts),
        "tasks": dict(status.tasks),
        "at_work": [asdict(sign) for sign in status.at_work],
        "coverage": tables,
        "failed": dict(status.failed),
        "hosts": [asdict(blame) for blame in status.hosts],
        "stop": dict(status.stop) if status.stop else None,
    }


def print_list(root: str, as_json: bool) -> int:
    """Print the studies that can be launched by name: their questions, and what is done of each."""
    rows = [_listed(name, root) for name in known_studies(root)]
    if as_json:
        print(json.dumps(rows))
        return 0
    table = Table(*LISTED)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)
    return 0


def known_studies(root: str) -> list[str]:
    """The studies that can be launched by name, and those that were launched under a root."""
    return sorted(folders.names() | {*launched.studies(root)})


def _listed(name: str, root: str) -> dict[str, Any]:
    """A study's row in the list; what was not launched has a question alone."""
    try:
        plan = launched.read_plan(name, root, ["uid", "question"])
    except BadInput:  # not launched, or damaged: `status` says which
        return dict.fromkeys(LISTED) | {"study": name, "question": reading.question(name)}
    status = load(name, root)
    return {
        "study": name,
        "runs": sum(status.counts.values()),
        "done": status.counts[run_states.DONE] + status.counts[run_states.DIVERGED],
        "failed": status.counts[run_states.FAILED],
        "hours": round(status.hours[0], 2),
        "question": plan["question"].iloc[0],
    }


def load(study: str, root: str) -> Status:
    """Where a study stands; a scheduler is asked at most once a minute."""
    plan = read_plan(study, root)
    done, history = ledger.index(root), events.fold(root)
    # Records and events tell most of it: if the scheduler does not answer, a line says so.
    try:
        live, queue_error = contract.live(root, history, fresh=False), ""
    except (RuntimeError, BadInput) as error:
        live, queue_error = {}, f"the queue is unknown: {error}"
    family = launched.family(plan)
    states = run_states.states(family, done, history, live)
    intents = history.intents
    tasks = [word for task, word in live.items() if intents[task[0]]["study"] == study]
    used = sum(done[uid].seconds for uid in family if uid in done)
    # A run that several tables share is done once.
    estimates = plan.drop_duplicates("uid").set_index("uid")["seconds"]
    return Status(
        study=study,
        counts=Counter(states.values()),
        rate=_rate(history, study),
        hours=(used / 3600, float(estimates.sum()) / 3600),
        tasks=Counter(tasks),
        at_work=[sign for sign in life_signs.read(root) if family.keys() & set(sign.uids)],
        coverage=_coverage(plan, done),
        failed={u: e for u, e in run_states.why_failed(states, history).items() if e},
        hosts=failures.blamed(history),
        stop=failures.stopped(root, study),
        queue_error=queue_error,
        skipped=[*history.skipped, *failures.invalid_stop(root, study)],
    )


def read_plan(study: str, root: str) -> pd.DataFrame:
    """The planned runs of a study that was launched under a root: its plan's rows with a run.

    Raises:
        BadInput: it was not launched, or its plan is damaged.
    """
    plan = launched.read_plan(study, root, PLAN_COLUMNS)
    return plan[plan["uid"].notna()]


def _rate(history: events.History, study: str) -> float:
    """Runs an hour by the `end` events; 0 while fewer than two cohorts ended."""
    ended = [(e["time"], len(e["uids"])) for e in history.ends if e["study"] == study]
    if not ended:
        return 0.0
    last = max(when for when, _ in ended)
    recent = [(when, n) for when, n in ended if when > last - RATE_WINDOW]
    # Measured from the last end, not from now: a sweep that is over keeps the rate that it had.
    span = max(last - min(when for when, _ in recent), 1.0)
    return 3600 * sum(n for _, n in recent) / span if len(recent) > 1 else 0.0


def _coverage(plan: pd.DataFrame, done: Mapping[str, ledger.Entry]) -> pd.DataFrame:
    """One row a table: see `Status.coverage`."""
    runs = plan.assign(done=[uid in done for uid in plan["uid"].tolist()])
    cells = runs.groupby(["table", "row", "task"], sort=False)["done"].agg(["sum", "size"])
    by_table = cells.groupby("table", sort=False)
    return pd.DataFrame(
        {
            "cells": by_table.size(),
            "with a result": (cells["sum"] > 0).groupby(level="table", sort=False).sum(),
            "complete": (cells["sum"] == cells["size"]).groupby(level="table", sort=False).sum(),
            "done": by_table["sum"].sum(),
            "runs": by_table["size"].sum(),
        }
    )


def show(status: Status) -> Any:
    """A status as something that `rich` prints."""
    parts: list[Any] = [Text(headline(status), style="bold")]
    if status.stop:
        parts.append(Text(f"stopped: {status.stop['why']}; {status.stop['error']}", style="red"))
    if status.queue_error:
        parts.append(Text(status.queue_error, style="yellow"))
    if status.tasks:
        parts.append(Text("tasks: " + ", ".join(f"{n} {word}" for word, n in status.tasks.items())))
    parts += [Text(life_signs.line(sign)) for sign in status.at_work[:MOST_AT_WORK]]
    if (more := len(status.at_work) - MOST_AT_WORK) > 0:
        parts.append(Text(f"{more} more cohorts at work"))
    table = Table("table", *status.coverage.columns)
    for name, row in status.coverage.iterrows():
        table.add_row(str(name), *(str(value) for value in row))
    parts.append(table)
    if status.failed:
        parts.append(_failures(status))
    if status.hosts:
        parts.append(Text("\n".join(map(_blame_line, status.hosts)), style="red"))
    return Group(*parts)


def _blame_line(blame: failures.Blame) -> str:
    until = datetime.fromtimestamp(blame.until).strftime("%Y-%m-%d %H:%M")
    return f"{blame.host} is left out until {until}, or until `retry`: {blame.why}"


def headline(status: Status) -> str:
    """Counts, rate, time left and hours in two lines."""
    total = sum(status.counts.values())
    in_states = ((status.counts[state], state) for state in run_states.STATES)
    counts = ", ".join(f"{number} {state}" for number, state in in_states if number)
    ended = (run_states.DONE, run_states.DIVERGED, run_states.FAILED)
    remaining = total - sum(status.counts[state] for state in ended)
    pace = f"{status.rate:.0f} runs/h" if status.rate else "no rate yet"
    # While nothing runs, the rate is an old one, and says nothing of the time that is left.
    if status.rate and remaining and status.counts[run_states.RUNNING]:
        pace += f", {timedelta(seconds=round(3600 * remaining / status.rate))} left"
    used, planned = status.hours
    return (
        f"{status.study}: {total} runs: {counts}\n"
        f"{pace}; {used:.2f} hours used, {planned:.2f} estimated"
    )


def _failures(status: Status) -> Any:
    """A table of failures: those of equal class and fingerprint are one row."""
    groups: dict[tuple[str, str], list[str]] = {}
    for uid, event in status.failed.items():
        groups.setdefault((event["class"], event["fingerprint"]), []).append(uid)
    table = Table("class", "fingerprint", "runs", "one of them: uid, error, log")
    for (kind, fingerprint), uids in sorted(groups.items(), key=lambda item: -len(item[1])):
        event = status.failed[uids[0]]
        example = "\n".join([uids[0], event["error"], event.get("log", "")]).strip()
        # As text: an error may have brackets, which rich would take for its own.
        table.add_row(kind, fingerprint, str(len(uids)), Text(example, overflow="fold"))
    return table


def logs(uid: str, root: str) -> int:
    """Print what the tasks of a run printed, and what trouble it has.

    Args:
        uid: of the run; six digits do.
        root: where it was launched.

    Raises:
        BadInput: no task was given the run.
    """
    history = events.fold(root)
    known = {uid for event in history.intents.values() for task in event["uids"] for uid in task}
    uid = launched.whole_uid(uid, known)
    tasks = [
        (intent, index)
        for intent, event in history.intents.items()
        for index, uids in enumerate(event["uids"])
        if uid in uids
    ]
    if not tasks:
        raise BadInput(f"no task under {root} was given run {uid}")
    for event in history.trouble.get(uid, []):
        print(f"{event['class']} on {event['node']}: {event['error']}")
    # Incarnations of a task print to the same file: each file once.
    for path in {e["log"]: None for task in tasks for e in history.workers.get(task, [])}:
        print(f"==> {path}")
        if Path(path).is_file():
            print(Path(path).read_text(errors="replace"))
    return 0

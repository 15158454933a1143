"""A study's records, replayed into Weights & Biases: each once, whenever they were made."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kdlab.errors import BadInput
from kdlab.options.parsing import parse
from kdlab.record import Record
from kdlab.storage.durable import append_line, short_digest, whole_lines
from kdlab.storage.ledger import records
from kdlab.tracking.wandb_runs import Target, config, opened, summary
from sweeps.study import launched

PAUSE = 0.5  # seconds between runs online, below W&B's limit on new runs a minute


# How a run is shown in W&B: its `name`, its `job` (student, teacher or parent), and as `tags` the
# tables of the study that it is in.
Labels = dict[str, Any]


def push(study: str, root: str, **target: Any) -> int:
    """Push a study's records, as `replay` does, and say how many."""
    pushed, skipped = replay(study, root, **target)
    print(f"{pushed} pushed, {skipped} were there already")
    return 0


def replay(
    study: str, root: str, *, project: str, entity: str | None, mode: str
) -> tuple[int, int]:
    """Push every record of a study, its teachers' too, that this target does not have yet.

    What was pushed is remembered in `<root>/studies/<study>/wandb.jsonl`, line by line, so that
    the same command goes on where it was stopped. A run whose result changed is pushed again.

    Args:
        study: a name under `<root>/studies`; the group that its runs are shown in.
        root: where records are.
        project: of W&B.
        entity: user or team; None: the account's own.
        mode: online, or offline: runs are left in `<root>/wandb`, for `wandb sync`.

    Returns:
        How many runs were pushed, and how many had been pushed before.

    Raises:
        BadInput: an unknown study or mode; W&B is not installed, not reached, or
            not logged in to.
    """
    target = parse(Target, {"root": root, "project": project, "entity": entity, "mode": mode})
    labels = _labels(study, root)
    journal = Path(root) / "studies" / study / "wandb.jsonl"
    of_study = [record for uid, record in records(root).items() if uid in labels]
    pushed = list(whole_lines(journal)) if journal.exists() else []
    waiting = [record for record in of_study if _line(record, target) not in pushed]
    for record in tqdm(waiting, unit="run", desc=f"wandb {mode}", dynamic_ncols=True):
        _push(record, labels[record.uid], study, target)
        # Only now: whoever is killed in between pushes the run again, under the same id.
        append_line(journal, _line(record, target))
        if mode == "online":
            time.sleep(PAUSE)
    return len(waiting), len(of_study) - len(waiting)


def _labels(study: str, root: str) -> dict[str, Labels]:
    """The labels of every run of the study and of every ancestor, by uid."""
    plan = launched.read_plan(study, root)
    children = plan[plan["ancestors"].notna()].drop_duplicates(["teachers", "ancestors", "task"])
    teachers = {uid for text in children["teachers"] for uid in json.loads(text)}
    ancestors = {
        uid: {"name": f"{kind}, {task}, {uid[:8]}", "job": kind, "tags": []}
        for text, task in zip(children["ancestors"], children["task"], strict=True)
        for uid in json.loads(text)
        for kind in ["teacher" if uid in teachers else "parent"]
    }
    # A run that is a row of the study too is shown as the row.
    return ancestors | {
        str(uid): {
            "name": f"{rows['row'].iloc[0]}, {rows['task'].iloc[0]}, seed {rows['seed'].iloc[0]}",
            "job": "student",
            "tags": list(rows["table"].unique()),
        }
        for uid, rows in plan[plan["uid"].notna()].groupby("uid", sort=False)
    }


def _line(record: Record, target: Target) -> dict[str, Any]:
    """The line of the journal for a record that the target has: by its result, not its time."""
    result = json.dumps(record.result, sort_keys=True).encode()
    # Without the root: a study whose folder was moved or copied has been pushed all the same.
    where = {key: value for key, value in asdict(target).items() if key != "root"}
    return {"uid": record.uid, "result": short_digest(result), **where}


def _push(record: Record, labels: Labels, study: str, target: Target) -> None:
    try:
        with opened(
            target,
            uid=record.uid,
            config=config(record.choices, record.overrides),
            group=study,
            **labels,
        ) as run:
            for step, row in _history(record.result):
                run.log(row, step=step, commit=True)
            run.summary.update(summary(record))
    except TimeoutError as error:
        raise BadInput(f"wandb: {error}; the same command goes on from here") from None


def _history(result: Mapping[str, Any]) -> list[tuple[int, dict[str, float]]]:
    """The step of each evaluation with its values; nothing for a run that diverged."""
    from kdlab.training.loop import evaluation_points

    curves = dict(result.get("curves", {}))
    if curves:
        curves["select_degenerate"] = [float(flag) for flag in result["select_degenerate"]]
    rows = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
    points = evaluation_points(result["steps"], len(rows)) if rows else []
    return list(zip(points, rows, strict=True))

"""A study's records, replayed into Weights & Biases: each once, whenever they were made."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kdlab.errors import BadInput
from kdlab.options.parsing import parse
from kdlab.record import Record, append_line, records, short_digest, whole_lines
from kdlab.tracking.wandb_runs import Target, config, opened, summary
from sweeps.study import launched

PAUSE = 0.5  # seconds between runs online, below W&B's limit on new runs a minute


@dataclass(frozen=True)
class Shown:
    """What W&B calls a run, and the tables of the study that it is in."""

    name: str
    job: str
    tables: tuple[str, ...]


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
        BadInput: an unknown study or mode, or W&B is not there or does not let us in.
    """
    target = parse(Target, {"root": root, "project": project, "entity": entity, "mode": mode})
    shown = _shown(study, root)
    journal = Path(root) / "studies" / study / "wandb.jsonl"
    found = {uid: record for uid, record in records(root).items() if uid in shown}
    before = _lines(journal)
    waiting = [record for record in found.values() if _line(record, target) not in before]
    for record in tqdm(waiting, unit="run", desc=f"wandb {mode}", dynamic_ncols=True):
        _push(record, shown[record.uid], study, target)
        append_line(journal, _line(record, target))
        if mode == "online":
            time.sleep(PAUSE)
    return len(waiting), len(found) - len(waiting)


def _shown(study: str, root: str) -> dict[str, Shown]:
    """Every run of the study and every ancestor, by uid."""
    plan = launched.read_plan(study, root)
    children = plan[plan["ancestors"].notna()].drop_duplicates(["teachers", "ancestors", "task"])
    teachers = {uid for text in children["teachers"] for uid in json.loads(text)}
    ancestors = {
        uid: Shown(f"{kind}, {task}, {uid[:8]}", kind, ())
        for text, task in zip(children["ancestors"], children["task"], strict=True)
        for uid in json.loads(text)
        for kind in ["teacher" if uid in teachers else "parent"]
    }
    # One that is a row of the study too is shown as the row.
    return ancestors | {
        str(uid): Shown(
            f"{rows['row'].iloc[0]}, {rows['task'].iloc[0]}, seed {rows['seed'].iloc[0]}",
            "student",
            tuple(rows["table"].unique()),
        )
        for uid, rows in plan[plan["uid"].notna()].groupby("uid", sort=False)
    }


def _lines(journal: Path) -> list[dict[str, Any]]:
    return list(whole_lines(journal)) if journal.exists() else []


def _line(record: Record, target: Target) -> dict[str, Any]:
    """What the journal says of a record that the target has."""
    result = json.dumps(record.result, sort_keys=True).encode()
    where = {key: value for key, value in asdict(target).items() if key != "root"}
    return {"uid": record.uid, "result": short_digest(result), **where}


def _push(record: Record, shown: Shown, study: str, target: Target) -> None:
    try:
        with opened(
            target,
            uid=record.uid,
            name=shown.name,
            config=config(record.choices, record.overrides),
            group=study,
            job=shown.job,
            tags=list(shown.tables),
        ) as run:
            for step, row in _history(record.result):
                run.log(row, step=step, commit=True)
            run.summary.update(summary(record))
    except TimeoutError as error:
        raise BadInput(f"wandb: {error}; the same command goes on from here") from None


def _history(result: Mapping[str, Any]) -> list[tuple[int, dict[str, float]]]:
    """Step and curves of each evaluation; nothing for a run that diverged."""
    from kdlab.training.loop import evaluation_points

    curves = dict(result.get("curves", {}))
    if curves:
        curves["select_degenerate"] = [float(is_so) for is_so in result["select_degenerate"]]
    rows = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
    points = evaluation_points(result["steps"], len(rows)) if rows else []
    return list(zip(points, rows, strict=True))

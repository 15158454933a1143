"""Students' outputs on GLUE's test sets as the zip that its server takes.

Which students is said, never searched for on a test set: those of one row of a study, and of each
task the seed with the best score on select, or any uids.
"""

import argparse
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pandas as pd

from analysis import default_root
from analysis.glue.zip_format import HEADER, HIGHEST, LOWEST, SHEETS, Sheet, check
from analysis.read.frame import NO_SEED, reader, runs
from analysis.read.record_rows import SEP
from analysis.statistics.cells import PERCENT
from analysis.tables import rerun_commands as missing
from kdlab.errors import BadInput
from kdlab.record import Record, kept, read_examples, read_outputs, write_whole

EPOCH = (1980, 1, 1, 0, 0, 0)  # of a zip's files: the same predictions are the same bytes
TASKS = tuple(dict.fromkeys(sheet.task for sheet in SHEETS))


@dataclass(frozen=True)
class Choice:
    """A student that stands for a task.

    Attributes:
        seed: its own; None of a teacher.
        score: on select, in points: the mean of the task's metrics, 0 for a constant prediction.
        is_constant: whether its prediction on select is.
        done: runs of the row that it was chosen from, of so many `planned`.
        trials: of the settings that all of these share; 0 where they were not tuned.
        is_held_out: whether select is held out of train; else it is the dev set.
    """

    task: str
    uid: str
    row: str
    seed: int | None
    score: float
    is_constant: bool
    metrics: tuple[str, ...]
    done: int
    planned: int
    trials: int
    is_held_out: bool


def best_on_select(
    frame: pd.DataFrame, row: str | None = None, table: str | None = None
) -> list[Choice]:
    """Of each GLUE task the run of a row that is best on select; of equals the lowest seed.

    Args:
        frame: as `analysis.load` gives it.
        row: the row's label, which may be left out where there is one row of students.
        table: where tables have different rows of that label.

    Raises:
        BadInput: there is no such row, or it is not clear which.
    """
    part = frame[(frame["stage"] != "tune") & frame["task"].isin(TASKS)]
    part = part[part["uid"].notna() & (part["table"].eq(table) if table else True)]
    known = list(dict.fromkeys(part["row"][part["seed"] != NO_SEED]))
    if row is None and len(known) != 1:
        raise BadInput(f"--row: which of {', '.join(known) or 'no'} rows with a task of GLUE?")
    part = part[part["row"] == (known[0] if row is None else row)]
    if part.empty:
        raise BadInput(f"--row {row}: no such row with a task of GLUE; there: {', '.join(known)}")
    found = [_best(str(task), rows) for task, rows in part.groupby("task", sort=False)]
    return sorted((each for each in found if each), key=lambda each: TASKS.index(each.task))


def _best(task: str, rows: pd.DataFrame) -> Choice | None:
    different = rows.groupby("table")["uid"].agg(frozenset)
    if different.nunique() > 1:
        raise BadInput(f"--table: {task} has other runs in each of {', '.join(different.index)}")
    rows = rows.drop_duplicates("uid")
    done = rows[rows["state"] == "done"]
    if done.empty:
        return None
    metrics = tuple(json.loads(done["metrics"].iloc[0]))
    score = done[[f"select{SEP}{name}" for name in metrics]].mean(axis=1)
    constant = done["degenerate"].fillna("").str.split().map(lambda splits: "select" in splits)
    ordered = done.assign(score=score.where(~constant, 0.0), constant=constant).sort_values(
        ["score", "seed", "teacher_seed"], ascending=[False, True, True], kind="stable"
    )
    best = ordered.iloc[0]
    return Choice(
        task=task,
        uid=str(best["uid"]),
        row=str(best["row"]),
        seed=None if best["seed"] == NO_SEED else int(best["seed"]),
        score=PERCENT * float(best["score"]),
        is_constant=bool(best["constant"]),
        metrics=metrics,
        done=len(done),
        planned=len(rows),
        trials=int(best["trials"] or 0),
        is_held_out=best["select_on"] == "held_out",
    )


def told(choices: Sequence[Choice]) -> list[str]:
    """What was chosen by which rule, on which split and of how many, a line each."""
    lines = ["chosen for each task: the seed with the best mean of its metrics on select"]
    for each in choices:
        seed = "a teacher" if each.seed is None else f"seed {each.seed}"
        split = "select (held out of train)" if each.is_held_out else "select, WHICH IS THE DEV SET"
        missing = f" ({each.planned} planned)" if each.done < each.planned else ""
        tuned = f", settings tuned in {each.trials} trials" if each.trials else ""
        tuned += ", EVERY PREDICTION THE SAME" if each.is_constant else ""
        lines.append(
            f"{each.task}: {each.row}, {seed}, run {each.uid}: {each.score:.1f} "
            f"{'/'.join(each.metrics)} on {split}, the best of {each.done} runs{missing}{tuned}"
        )
    return lines


def submission(
    frame: pd.DataFrame,
    chosen: Mapping[str, str] | Sequence[Choice],
    path: str | Path,
    *,
    partial: bool = False,
) -> list[str]:
    """Write the zip of the chosen runs' test outputs, checked; return the names of its files.

    Args:
        frame: as `analysis.load` gives it.
        chosen: by task the uid of a run, or what `best_on_select` gives.
        path: of the zip.
        partial: write what there is; else a submission has all eleven files.

    Raises:
        BadInput: tasks or test outputs are missing, or the outputs are not of GLUE's test sets.
    """
    uids = chosen if isinstance(chosen, Mapping) else {choice.task: choice.uid for choice in chosen}
    if unknown := sorted(uids.keys() - set(TASKS)):
        raise BadInput(f"submission: {unknown[0]}: no task of GLUE; those are {', '.join(TASKS)}")
    root, read = frame.attrs["root"], reader(frame)
    found = {task: read(uid) for task, uid in uids.items()}
    written, lacking = {}, {}
    for sheet in SHEETS:
        if sheet.task in found and sheet.split in kept(root, found[sheet.task]):
            written[sheet.file] = _lines(sheet, found[sheet.task], root)
        else:
            lacking[sheet.file] = sheet.task
    if lacking and not (partial and written):
        raise BadInput(_lacking(frame, found, lacking))
    content = _zip(written)
    names = check(content, partial=partial)
    write_whole(Path(path), content)
    return names


def _lacking(frame: pd.DataFrame, found: Mapping[str, Record], lacking: Mapping[str, str]) -> str:
    """What a submission lacks, and how it is made."""
    root, study = frame.attrs["root"], frame.attrs["study"]
    without = [name for name, task in lacking.items() if task not in found]
    said = [f"no run for {', '.join(without)}"] if without else []
    if len(without) < len(lacking):
        names = [name for name in lacking if name not in without]
        teachers = set(frame["uid"][frame["seed"] == NO_SEED])
        tasks = dict.fromkeys(task for task in lacking.values() if task in found)
        commands = dict.fromkeys(
            missing.one(found[task].overrides, root)
            if found[task].uid in teachers
            else missing.command(study, root, ())
            for task in tasks
        )
        first, *others = commands
        more = f" and so for {len(others)} more" if others else ""
        said.append(f"no test outputs for {', '.join(names)}: `{first} predict_test=true`{more}")
    return f"not a whole submission: {'; '.join(said)}; --partial writes what there is"


def _lines(sheet: Sheet, found: Record, root: str) -> str:
    """A file: a line for each row in the official order."""
    ids, _ = read_examples(root, found, sheet.split)
    outputs = read_outputs(root, found, sheet.split)
    if not np.isfinite(outputs).all():
        raise BadInput(f"{sheet.file}: run {found.uid} has outputs that are no numbers")
    if outputs.shape[1] != (len(sheet.words) or 1):
        what = f"{outputs.shape[1]} outputs a row"
        raise BadInput(f"{sheet.file}: run {found.uid} has {what}: it is not of {sheet.task}")
    outputs = outputs[np.argsort(ids, kind="stable")]
    if sheet.words:
        said = [sheet.words[label] for label in outputs.argmax(1)]
    else:
        said = [f"{score:.3f}" for score in np.clip(outputs[:, 0], LOWEST, HIGHEST)]
    lines = [f"{index}\t{text}" for index, text in zip(np.sort(ids), said, strict=True)]
    return "\n".join([HEADER, *lines, ""])


def _zip(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            entry = ZipInfo(name, EPOCH)
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, text)
    return buffer.getvalue()


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `python -m analysis submission`."""
    command.add_argument("study", nargs="?")
    command.add_argument("--root", default=default_root())
    command.add_argument("--row", help="whose runs; may be left out where there is one")
    command.add_argument("--table", help="where rows of several tables have that label")
    command.add_argument("--out", metavar="FILE.zip", help="unless ROOT/studies/STUDY/glue.zip")
    command.add_argument("--partial", action="store_true", help="files may be missing")
    command.add_argument("--check", metavar="FILE.zip", help="only check a zip, whoever wrote it")


def run(arguments: argparse.Namespace) -> None:
    """`python -m analysis submission`: choose, say so, write and check; or check a zip."""
    if (arguments.study is None) == (arguments.check is None):
        raise BadInput("submission: either a STUDY, or --check FILE.zip")
    if arguments.check:
        names = check(arguments.check, partial=arguments.partial)
        print(f"{arguments.check}: as GLUE takes it: {', '.join(names)}")
        return
    frame = runs(arguments.study, arguments.root)
    choices = best_on_select(frame, arguments.row, arguments.table)
    print("\n".join(told(choices)))
    path = arguments.out or Path(arguments.root) / "studies" / arguments.study / "glue.zip"
    names = submission(frame, choices, path, partial=arguments.partial)
    lacking = [sheet.file for sheet in SHEETS if sheet.file not in names]
    print(f"written to {path} and checked: {', '.join(names)}")
    if lacking:
        print(f"GLUE scores no submission that lacks {', '.join(lacking)}")

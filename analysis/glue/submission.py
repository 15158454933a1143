"""Students' outputs on GLUE's test sets as the zip that its server takes.

Which students is chosen on select, never on a test set: of one row of a study, for each task the
seed with the best score on select; or any uids that the caller names.
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

from analysis.glue.zip_format import HEADER, HIGHEST, LOWEST, SHEETS, Sheet, check
from analysis.read.frame import NO_SEED, PERCENT, reader, runs
from analysis.statistics.trials import counted, is_constant
from analysis.tables import rerun_commands
from kdlab.errors import BadInput
from kdlab.record import Record
from kdlab.storage.durable import write_whole
from kdlab.storage.example_outputs import kept, read_examples, read_outputs
from sweeps.journal.run_states import study_folder

IS_DEV = ", WHICH IS THE DEV SET"  # of select where it is not held out of train
EPOCH = (1980, 1, 1, 0, 0, 0)  # date of a zip's files: the same predictions are the same bytes
TASKS = tuple(dict.fromkeys(sheet.task for sheet in SHEETS))


@dataclass(frozen=True)
class Choice:
    """A student that stands for a task.

    Attributes:
        seed: its own; None of a teacher.
        uid: its run, and `row` the label of its arm.
        score: on select, in points: the mean of its `metrics`, those that the task selects by, or 0
            for a constant prediction.
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
    rows = list(dict.fromkeys(part["row"][part["seed"] != NO_SEED]))
    if row is None and len(rows) != 1:
        raise BadInput(f"--row: which of {', '.join(rows) or 'no'} rows with a task of GLUE?")
    part = part[part["row"] == (rows[0] if row is None else row)]
    if part.empty:
        raise BadInput(f"--row {row}: no such row with a task of GLUE; there: {', '.join(rows)}")
    choices = [_best(str(task), runs) for task, runs in part.groupby("task", sort=False)]
    return sorted(filter(None, choices), key=lambda choice: TASKS.index(choice.task))


def _best(task: str, runs: pd.DataFrame) -> Choice | None:
    """The choice for one task; None if no run is done."""
    by_table = runs.groupby("table")["uid"].agg(frozenset)
    if by_table.nunique() > 1:
        raise BadInput(f"--table: {task} has other runs in each of {', '.join(by_table.index)}")
    runs = runs.drop_duplicates("uid")
    done = runs[runs["state"] == "done"]
    if done.empty:
        return None
    # The rule by which trials and weights are chosen, too.
    best = min(
        done.to_dict("records"), key=lambda run: (-counted(run), run["seed"], run["teacher_seed"])
    )
    return Choice(
        task=task,
        uid=str(best["uid"]),
        row=str(best["row"]),
        seed=None if best["seed"] == NO_SEED else int(best["seed"]),
        score=PERCENT * counted(best),
        is_constant=is_constant(best),
        metrics=tuple(json.loads(best["select_by"])),
        done=len(done),
        planned=len(runs),
        trials=int(best["trials"] or 0),
        is_held_out=best["select_on"] == "held_out",
    )


def described(choices: Sequence[Choice]) -> list[str]:
    """A line on each choice: by which rule it was made, on which split, and of how many runs."""
    lines = ["chosen for each task: the seed with the best mean of its metrics on select"]
    for choice in choices:
        seed = "a teacher" if choice.seed is None else f"seed {choice.seed}"
        split = "select" + (" (held out of train)" if choice.is_held_out else IS_DEV)
        missing = f" ({choice.planned} planned)" if choice.done < choice.planned else ""
        tuned = f", settings tuned in {choice.trials} trials" if choice.trials else ""
        tuned += ", EVERY PREDICTION THE SAME" if choice.is_constant else ""
        lines.append(
            f"{choice.task}: {choice.row}, {seed}, run {choice.uid}: {choice.score:.1f} "
            f"{'/'.join(choice.metrics)} on {split}, the best of {choice.done} runs{missing}{tuned}"
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
    records = {task: read(uid) for task, uid in uids.items()}
    written, lacking = {}, {}
    # A task of GLUE fills one file, MNLI three: it is also scored on the diagnostic set AX.
    for sheet in SHEETS:
        if sheet.task in records and sheet.split in kept(root, records[sheet.task]):
            written[sheet.file] = _lines(sheet, records[sheet.task], root)
        else:
            lacking[sheet.file] = sheet.task
    if lacking and not (partial and written):
        raise BadInput(_lacking(frame, records, lacking))
    # Checked before it is written: what is at the path is always a zip that the server takes.
    content = _zip(written)
    names = check(content, partial=partial)
    write_whole(Path(path), content)
    return names


def _lacking(frame: pd.DataFrame, records: Mapping[str, Record], lacking: Mapping[str, str]) -> str:
    """The error of a submission that lacks files, with the commands that make them."""
    root, study = frame.attrs["root"], frame.attrs["study"]
    without = [name for name, task in lacking.items() if task not in records]
    reasons = [f"no run for {', '.join(without)}"] if without else []
    if len(without) < len(lacking):
        names = [name for name in lacking if name not in without]
        # A teacher is no run of the study's plan: it is repeated alone, students by a launch.
        teachers = set(frame["uid"][frame["seed"] == NO_SEED])
        tasks = dict.fromkeys(task for task in lacking.values() if task in records)
        commands = dict.fromkeys(
            rerun_commands.single(records[task].overrides, root)
            if records[task].uid in teachers
            else rerun_commands.command(study, root, ())
            for task in tasks
        )
        first, *others = commands
        more = f" and so for {len(others)} more" if others else ""
        reasons.append(f"no test outputs for {', '.join(names)}: `{first} predict_test=true`{more}")
    return f"not a whole submission: {'; '.join(reasons)}; --partial writes what there is"


def _lines(sheet: Sheet, record: Record, root: str) -> str:
    """A file: a line for each row in the official order."""
    ids, _ = read_examples(root, record, sheet.split)
    outputs = read_outputs(root, record, sheet.split)
    if not np.isfinite(outputs).all():
        raise BadInput(f"{sheet.file}: run {record.uid} has outputs that are no numbers")
    if outputs.shape[1] != (len(sheet.words) or 1):
        what = f"{outputs.shape[1]} outputs a row"
        raise BadInput(f"{sheet.file}: run {record.uid} has {what}: it is not of {sheet.task}")
    # Rows may have been scored in another order, by length; ids are the official index.
    outputs = outputs[np.argsort(ids, kind="stable")]
    if sheet.words:
        predictions = [sheet.words[label] for label in outputs.argmax(1)]
    else:
        # A regression is not bound to STS-B's range; the server refuses what is beyond it.
        predictions = [f"{score:.3f}" for score in np.clip(outputs[:, 0], LOWEST, HIGHEST)]
    lines = [f"{index}\t{text}" for index, text in zip(np.sort(ids), predictions, strict=True)]
    return "\n".join([HEADER, *lines, ""])


def _zip(files: Mapping[str, str]) -> bytes:
    """A zip of texts by their names."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            entry = ZipInfo(name, EPOCH)
            # Of an entry made by hand zipfile sets neither: it would be stored, for nobody to read.
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, text)
    return buffer.getvalue()


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `python -m analysis submission`."""
    command.add_argument("study", nargs="?")
    command.add_argument("--row", help="whose runs; may be left out where there is one")
    command.add_argument("--table", help="where rows of several tables have that label")
    command.add_argument("--out", metavar="FILE.zip", help="unless ROOT/studies/STUDY/glue.zip")
    command.add_argument("--partial", action="store_true", help="files may be missing")
    command.add_argument("--check", metavar="FILE.zip", help="only check a zip, whoever wrote it")


def run(arguments: argparse.Namespace) -> None:
    """write, or check, a submission to GLUE

    It chooses a run for each task, says which, writes the zip and checks it; or it checks a zip.
    """
    if (arguments.study is None) == (arguments.check is None):
        raise BadInput("submission: either a STUDY, or --check FILE.zip")
    if arguments.check:
        names = check(arguments.check, partial=arguments.partial)
        print(f"{arguments.check}: as GLUE takes it: {', '.join(names)}")
        return
    frame = runs(arguments.study, arguments.root)
    choices = best_on_select(frame, arguments.row, arguments.table)
    print("\n".join(described(choices)))
    path = arguments.out or study_folder(arguments.root, arguments.study) / "glue.zip"
    names = submission(frame, choices, path, partial=arguments.partial)
    lacking = [sheet.file for sheet in SHEETS if sheet.file not in names]
    print(f"written to {path} and checked: {', '.join(names)}")
    if lacking:
        print(f"GLUE scores no submission that lacks {', '.join(lacking)}")

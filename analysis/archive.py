"""A study's plan, records, outputs and failures as a few small files, and back under a root.

An archive is a folder to publish beside the tables that it gives again, byte for byte:

    study.yaml         the study as it was launched
    plan.parquet       every cell and its run
    winners.json       the settings that won, of a study that was tuned
    runs.parquet       one row a record: `uid`, `status`, `record` (JSON, as `kdlab.record` says),
                       and for each split a column of the outputs' bytes
    examples.parquet   one row a split of a task: its digest, and its rows' ids and labels
    failures.json      by class what ended runs that have no record

Left out is what concerns the machine: overrides of launcher, root and tracker, names of hosts, what
errors say. A path that decides what a run is, such as `teacher.checkpoint=FOLDER`, stays.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kdlab.errors import BadInput
from kdlab.record import Record
from kdlab.storage import example_outputs, ledger
from kdlab.storage.durable import Damaged, short_digest, write_whole
from sweeps.journal import events
from sweeps.journal.run_states import study_folder
from sweeps.study import launched

RUNS, EXAMPLES, FAILURES = "runs.parquet", "examples.parquet", "failures.json"
FILES = (launched.STUDY_FILE, launched.PLAN_FILE, RUNS, EXAMPLES, FAILURES)
OUTPUTS = "outputs_"  # before a split's name in a column of RUNS
TOLD = ("class", "fingerprint", "uids", "level")  # of a failure; its error may name hosts and paths


def archive(study: str, root: str | Path, folder: Path) -> int:
    """Write a study's archive; return its number of records.

    Args:
        study: its name.
        root: where it was launched.
        folder: of the archive; files of an earlier archive are replaced.

    Raises:
        BadInput: the study was not launched there, or nothing of it is recorded.
        Damaged: a record or its outputs are not what was written.
    """
    plan = launched.read_plan(study, root)
    family = launched.family(plan[plan["uid"].notna()])
    entries = ledger.entries(root)
    # In the order of the ledgers, in which tables name metrics.
    located = [entry for uid in family for entry in entries.get(uid, ())]
    records = ledger.read_all(root, sorted(located, key=lambda entry: (entry.file, entry.start)))
    if not records:
        raise BadInput(f"{study}: nothing is recorded under {root}")
    folder.mkdir(parents=True, exist_ok=True)
    _copy_study(study_folder(root, study), folder)
    _write_parquet(folder / RUNS, [_run_row(root, record) for record in records])
    _write_parquet(folder / EXAMPLES, list(_example_rows(root, records)))
    failures = _failures(root, set(family) - set(entries))
    write_whole(folder / FAILURES, (json.dumps(failures, indent=1) + "\n").encode())
    return len(records)


def restore(folder: Path, root: str | Path) -> str:
    """Write an archive's study under a root, as if it had been launched there; return its name.

    All is checked before anything is written: records by their keys, outputs and examples by their
    digests. A run that is recorded under the root already keeps that record.

    Raises:
        BadInput: the folder is no whole archive, or the study is under the root already.
        Damaged: outputs or examples are not those that records name.
    """
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise BadInput(f"{folder}: no archive of a study: {missing[0]} is missing")
    study = folder.resolve().name
    target = study_folder(root, study)
    if target.exists():
        raise BadInput(f"{target} is there already; restore into another root")
    examples = [_examples(row, folder) for row in _rows(folder / EXAMPLES)]
    recorded = ledger.index(root)
    runs = [_run(row, folder) for row in _rows(folder / RUNS) if row["uid"] not in recorded]
    for ids, labels in examples:
        example_outputs.write_examples(root, ids, labels)
    for record, outputs, exact in runs:
        if outputs:
            address = example_outputs.write_outputs(root, outputs, exact)
            record.artifacts["outputs"] = address
        ledger.append(root, record)
    for failure in json.loads((folder / FAILURES).read_text()):
        events.append(root, "trouble", **failure)
    target.mkdir(parents=True)
    for name in (launched.PLAN_FILE, launched.STUDY_FILE, launched.WINNERS_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    return study


def _copy_study(source: Path, folder: Path) -> None:
    """Copy a study's winners, and publish its plan and its YAML."""
    if (winners := source / launched.WINNERS_FILE).is_file():
        shutil.copyfile(winners, folder / winners.name)
    launched.publish(source, folder)


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    content = pd.DataFrame(rows).to_parquet(compression="zstd", compression_level=19)
    assert content is not None
    write_whole(path, content)


def _run_row(root: str | Path, record: Record) -> dict[str, Any]:
    splits = example_outputs.kept(root, record)
    outputs = {
        OUTPUTS + split: example_outputs.read_outputs(root, record, split).tobytes()
        for split in splits
    }
    public = asdict(record)
    public["overrides"] = launched.public(record.overrides)
    public["cost"].pop("host", None)
    if "outputs" in public["artifacts"]:
        public["artifacts"]["outputs"].pop("file")  # named after host and process
    content = json.dumps(public, separators=(",", ":"))
    return {"uid": record.uid, "status": record.result["status"], "record": content, **outputs}


def _example_rows(root: str | Path, records: list[Record]) -> Iterator[dict[str, Any]]:
    """The ids and labels of every split of the records, each once."""
    seen = set()
    for record in records:
        named = record.result.get("examples", {}) | record.artifacts.get("examples", {})
        for split, digest in named.items():
            if digest not in seen:
                seen.add(digest)
                ids, labels = example_outputs.read_examples(root, record, split)
                yield {"digest": digest, "ids": ids, "labels": labels}


def _failures(root: str | Path, uids: set[str]) -> list[dict[str, Any]]:
    """The trouble that stands against runs, each event once."""
    trouble = events.fold(root).trouble
    told = {events.event_id(event): event for uid in sorted(uids) for event in trouble.get(uid, ())}
    return [{key: event[key] for key in TOLD} for event in told.values()]


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = pd.read_parquet(path).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _examples(row: dict[str, Any], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The ids and labels of a split.

    Raises:
        Damaged: they are not those that the digest names.
    """
    ids, labels = np.array(row["ids"]), np.array(row["labels"])
    if example_outputs.examples_digest(ids, labels) != row["digest"]:
        raise Damaged(f"{folder / EXAMPLES}: {row['digest']} is damaged")
    return ids, labels


def _run(row: dict[str, Any], folder: Path) -> tuple[Record, dict[str, np.ndarray], list[str]]:
    """A record, its outputs by split, and the splits whose outputs are exact.

    Raises:
        Damaged: outputs are not those that the record names.
    """
    record = Record(**json.loads(row["record"]))
    outputs, exact = {}, []
    for split, (_, rows, columns, kind, digest) in record.artifacts.get("outputs", {}).items():
        content = row.get(OUTPUTS + split)
        if not isinstance(content, bytes):  # lost before
            continue
        if short_digest(content) != digest:
            raise Damaged(f"{folder / RUNS}: outputs of run {record.uid} on {split} are damaged")
        outputs[split] = np.frombuffer(content, dtype=kind).reshape(rows, columns)
        exact += [split] * (kind == example_outputs.EXACT)
    return record, outputs, exact

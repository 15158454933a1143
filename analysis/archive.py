"""A study's plan, records, outputs and failures as a few small files, and back under a root.

An archive is a folder to publish beside the tables that it gives again, byte for byte:

    study.yaml         the study as it was launched, without what concerns a user's own machine
    plan.parquet       every cell and its run
    winners.json       the settings that won, of a study that was tuned
    runs.parquet       one row a record: `uid`, `status`, `record` (JSON, as `kdlab.record` says),
                       and for each split a column of the outputs' bytes
    examples.parquet   one row a split of a task: its digest, and its rows' ids and labels
    failures.json      what ended runs that have no record; paths and hosts are left out
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
from kdlab.storage.durable import Damaged, write_whole
from sweeps.journal import events
from sweeps.journal.run_states import study_folder
from sweeps.study import launched

RUNS, EXAMPLES, FAILURES = "runs.parquet", "examples.parquet", "failures.json"
WINNERS = "winners.json"
OUTPUTS = "outputs_"  # before a split's name in a column of RUNS
TOLD = ("class", "error", "fingerprint", "uids", "level")  # of a failure; no host and no log


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

    What is read is checked: records by their keys, outputs and examples by their digests.

    Raises:
        BadInput: the folder is no whole archive, or the study is under the root already.
        Damaged: outputs or examples are not those that records name.
    """
    missing = [n for n in (launched.PLAN_FILE, RUNS, EXAMPLES) if not (folder / n).is_file()]
    if missing:
        raise BadInput(f"{folder}: no archive of a study: {missing[0]} is missing")
    study = folder.resolve().name
    target = study_folder(root, study)
    if target.exists():
        raise BadInput(f"{target} is there already; restore into another root")
    for row in pd.read_parquet(folder / EXAMPLES).to_dict("records"):
        ids, labels = np.array(row["ids"]), np.array(row["labels"])
        if example_outputs.write_examples(root, ids, labels) != row["digest"]:
            raise Damaged(f"{folder / EXAMPLES}: {row['digest']} is damaged")
    for row in pd.read_parquet(folder / RUNS).to_dict("records"):
        _restore_run(root, {str(key): value for key, value in row.items()})
    for failure in json.loads((folder / FAILURES).read_text()):
        events.append(root, "trouble", **failure)
    target.mkdir(parents=True)
    for name in (launched.PLAN_FILE, launched.STUDY_FILE, WINNERS):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    return study


def _copy_study(source: Path, folder: Path) -> None:
    """Copy a study's plan and winners, and write its YAML without overrides of the launcher."""
    for name in (launched.PLAN_FILE, WINNERS):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
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
    content = json.dumps(asdict(record), separators=(",", ":"))
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


def _restore_run(root: str | Path, row: dict[str, Any]) -> None:
    """Append a run's outputs and its record, which then says where they are."""
    record = Record(**json.loads(row["record"]))
    named = dict(record.artifacts.get("outputs", {}))
    named.pop("file", None)
    outputs = {
        split: np.frombuffer(row[OUTPUTS + split], dtype=kind).reshape(rows, columns)
        for split, (_, rows, columns, kind, _) in named.items()
        if isinstance(row.get(OUTPUTS + split), bytes)  # not those that were lost before
    }
    if outputs:
        exact = [split for split in outputs if named[split][3] == example_outputs.EXACT]
        address = example_outputs.write_outputs(root, outputs, exact)
        for split in outputs:
            if address[split][-1] != named[split][-1]:
                raise Damaged(f"outputs of run {record.uid} on {split} are damaged")
        record.artifacts["outputs"] = address
    ledger.append(root, record)

"""How long planning, submitting, asking and collecting take at 1,000, 10,000 and 100,000 runs.

    python tests/benchmarks/many_runs.py [--runs 1000 10000 100000] [--folder /tmp/bench]

Runs are those of sweeps/studies/plan_100k.yaml, seeds left out from the end. sbatch, srun, squeue
and scontrol are stubs that answer at once: what is timed is kdlab. Records are written as workers
would have left them, without training.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kdlab import record
from kdlab.config import compose
from kdlab.storage import durable, ledger
from kdlab.tracking import provenance
from sweeps.launchers import choice
from sweeps.plan import plan
from sweeps.plan.survey import survey
from sweeps.study import cells, reading
from sweeps.study.outline import outline
from sweeps.study.schema import Study
from sweeps.submit import launch

WORKERS = 64
CURVE = [0.123456789] * 5
STUBS = {
    "srun": "exit 0",
    "squeue": "exit 0",
    "sbatch": 'echo "Submitted batch job $$"',
    "scontrol": 'echo "MaxArraySize = 1001"; echo "MaxJobCount = 10000"',
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--folder", default=None, help="where to write; a temporary one")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, Path(given.folder))))
        return
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("| runs | plan | memory | hydra would need | submit | status | again | collect |")
    print("|---|---|---|---|---|---|---|---|")
    for runs in given.runs:
        room = tempfile.mkdtemp(dir=given.folder)
        # A process each: peak memory is a process's.
        command = [sys.executable, __file__, "--one", str(runs), "--folder", room]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        shutil.rmtree(room)
        print("| {runs:,} | {plan:.1f} s | {gigabytes:.2f} GB | {hydra:,.0f} s | {submit:.1f} s | "
              "{status:.1f} s | {again:.1f} s | {collect:.1f} s |"
              .format(**json.loads(out.splitlines()[-1])), flush=True)  # fmt: skip


def measure(runs: int, room: Path) -> dict[str, float]:
    """Seconds of every step, and the peak memory, at so many runs."""
    stub(room / "bin")
    root = str(room / "runs")
    extra = ("launcher=slurm", f"root={root}")
    part = first(reading.load("plan_100k"), runs)
    planned, planning = timed(lambda: plan.plan(part, extra))
    unique = plan.unique(planned)
    found: dict[str, float] = {"runs": len(unique), "plan": planning}
    execution = launch.prepared(compose.execution(*planned[0].cell.overrides), "plan_100k")
    chosen = choice.launcher(execution)
    work, surveyed = timed(lambda: survey(unique, root, chosen))
    found["plan"] += surveyed
    found["gigabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    _, one = timed(lambda: [compose.compose(*run.overrides) for run in unique[:20]])
    found["hydra"] = one / 20 * len(unique)
    plan.write(planned, work.seconds, "plan_100k", part, root)
    _, found["submit"] = timed(lambda: launch.launch(work, "plan_100k", execution, set()))
    pretend(root, work.due)
    command = [sys.executable, "-m", "sweeps", "status", "plan_100k", "--root", root]
    for name in ("status", "again"):
        _, found[name] = timed(lambda: subprocess.run(command, check=True, capture_output=True))
    _, found["collect"] = timed(lambda: ledger.records(root))
    return found


def first(whole: Study, runs: int) -> Study:
    """The study with as few of its seeds and of its block's epochs as make so many runs."""
    (block,) = whole.blocks
    for epochs in range(1, 6):
        for seeds in range(1, len(whole.seeds or []) + 1):
            grid = block.grid | {"train.epochs": block.grid["train.epochs"][:epochs]}
            part = replace(
                whole, seeds=(whole.seeds or [])[:seeds], blocks=[replace(block, grid=grid)]
            )
            # A few will turn out to be the same run.
            if sum(1 for cell in cells.expand(outline(part)) if not cell.excluded) >= 1.03 * runs:
                return part
    return whole


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def stub(room: Path) -> None:
    room.mkdir(parents=True)
    for name, text in STUBS.items():
        (room / name).write_text(f"#!/bin/sh\n{text}\n")
        (room / name).chmod(0o755)
    os.environ["PATH"] = f"{room}:{os.environ['PATH']}"


def pretend(root: str, runs: Sequence[Any]) -> None:
    """Records and events of finished runs, in as many files as a sweep with 64 workers leaves."""
    score = {"accuracy": 0.75}
    result = {
        "status": "done",
        "steps": 1000,
        "scores": {"select": score, "report": score},
        "select_degenerate": [False] * len(CURVE),
        "curves": {name: CURVE for name in ("hard", "logits_kl", "select")},
        "shares": {point: {"hard": 0.5, "logits_kl": 0.5} for point in ("0.1", "0.5", "0.9")},
        "weights": "0" * 32,
        "outputs": {"select": "0" * 32, "report": "0" * 32},
    }
    for number in range(WORKERS):
        worker = f"bench-{number}"
        lines = []
        for run in runs[number::WORKERS]:
            page = record.Record(run.uid, dict(run.choices), list(run.overrides), result, COST, {})
            lines.append(b"\n" + durable.line(asdict(page)))
        folder = Path(root) / "records"
        durable.write_whole(folder / f"{worker}.jsonl", b"".join(lines))
        durable.write_whole(
            Path(root) / "events" / f"{worker}.jsonl", cohorts(runs[number::WORKERS])
        )
    ledger.index(root)  # which writes the indices that workers leave


COST = {"seconds": 60.0, "host": "node1", "device": "none", "torch": "2.9.0", "threads": 2}


def cohorts(runs: Sequence[Any]) -> bytes:
    """A start and an end for every eight runs."""
    said = {"study": "plan_100k", "intent": "x", "index": 0, "node": "n", "level": 1, "host": "n"}
    found = []
    for at in range(0, len(runs), 8):
        uids = [run.uid for run in runs[at : at + 8]]
        for kind in ("start", "end"):
            page = {"event": kind, "time": 1e9 + at, **said, "uids": uids, "seconds": 60.0}
            found.append(b"\n" + durable.line(page))
    return b"".join(found)


def _processor() -> str:

    return provenance.processor()


if __name__ == "__main__":
    main()

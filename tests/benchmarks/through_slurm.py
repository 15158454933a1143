"""2,000 tiny real runs through a real SLURM on this machine, a sample compared with serial runs.

    python tests/benchmarks/through_slurm.py [--runs 2000] [--sample 50] [--parallel 3]

Needs Debian's SLURM packages, as tests/slurm does. Prints what tests/benchmarks/results.md keeps.
"""

import argparse
import os
import platform
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from kdlab.tracking import provenance

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from slurm.cluster import Cluster
from slurm.sweeping import Sweep, write_study

from kdlab import distill
from kdlab.config.compose import execution
from kdlab.storage import ledger
from sweeps.journal import events
from sweeps.plan import plan
from sweeps.study import reading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--sample", type=int, default=50)
    parser.add_argument("--parallel", type=int, default=3, help="tasks at a time")
    given = parser.parse_args()
    room = Path(tempfile.mkdtemp())
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-", dir="/dev/shm")))
    written = write_study(room / "home.yaml", given.runs)
    extra = (f"launcher.parallel={given.parallel}", "launcher.minutes=1", "checkpoint_seconds=60")
    sweep = Sweep(cluster, written, room / "runs", extra)
    cluster.start()
    try:
        began = time.monotonic()
        sweep.launch()
        submitted = time.monotonic() - began
        sweep.launch("--wait")
        seconds = time.monotonic() - began
        print(sweep.status())
    finally:
        cluster.stop()
    equal = compare(sweep, given.sample)
    found = ledger.records(sweep.root).values()
    busy = sum(r.cost["seconds"] + r.cost["teacher_seconds"] / r.cost["cohort"] for r in found)
    tasks = sum(len(event["uids"]) for event in events.fold(sweep.root).intents.values())
    print(f"{provenance.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("| runs | results | tasks | at a time | submitted after | all home after | runs/h | "
          "training alone | equal to a serial run |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {given.runs:,} | {len(found):,} | {tasks} | {given.parallel} | {submitted:.0f} s | "
        f"{seconds:.0f} s | {3600 * given.runs / seconds:,.0f} | {busy:.0f} s | "
        f"{equal} of {given.sample} |"
    )


def compare(sweep: Sweep, sample: int) -> int:
    """How many of a random sample equal, bit for bit, a run trained alone in this process."""
    runs = plan.unique(plan.plan(reading.load(str(sweep.study))))
    where = replace(execution(), root=str(sweep.root.parent / "serial"), threads=1)
    ours = ledger.records(sweep.root)
    chosen = random.Random(0).sample(runs, sample)
    return sum(distill(run, where).result == ours[run.uid].result for run in tqdm(chosen))


if __name__ == "__main__":
    main()

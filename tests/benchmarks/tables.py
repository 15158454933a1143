"""How long `python -m analysis tables` takes: `python tests/benchmarks/tables.py [--runs 20000]`.

A study of eight tasks, each with as many arms, of five seeds, as there is room for; every run has
outputs on the report split. `--code FOLDER` times another checkout of the project on the same root.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from records import cell, page

from kdlab.storage import durable, example_outputs
from kdlab.tracking import provenance

TASKS = (
    ("mnli", 3),
    ("qqp", 2),
    ("qnli", 2),
    ("sst2", 2),
    ("cola", 2),
    ("stsb", 1),
    ("mrpc", 2),
    ("rte", 2),
)
METRIC = {"cola": "matthews", "stsb": "pearson", "mrpc": "f1", "qqp": "f1"}
ROWS = 1000  # of the report split
SEEDS = 5  # of an arm, unless --seeds says else
STUDY = "bench"
TIMED = """
import resource, sys, time
sys.path.insert(0, {code!r})
import analysis.__main__ as command
sys.argv = ["analysis", "tables", {study!r}, "--root", {root!r}]
began = time.perf_counter()
command.main()
told = resource.getrusage(resource.RUSAGE_SELF)
print(time.perf_counter() - began, told.ru_utime + told.ru_stime, told.ru_maxrss * 1024 / 1e9)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--code", action="append", default=[])
    parser.add_argument("--root")
    given = parser.parse_args()
    print(f"{provenance.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as room:
        root = Path(given.root or room)
        make(root, given.runs, given.seeds, random.Random(0))
        for code in given.code or [str(Path(__file__).parents[2])]:
            text = TIMED.format(code=code, study=STUDY, root=str(root))
            (root / "studies" / STUDY / "frame.sealed").unlink(missing_ok=True)
            out = subprocess.run(
                [sys.executable, "-c", text], check=True, stdout=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": code},
            ).stdout  # fmt: skip
            seconds, used, memory = map(float, out.split("\n")[-2].split())
            told = f"{seconds:.1f} s ({used:.1f} s of processor), {memory:.2f} GB"
            print(f"{code}: {given.runs:,} runs, {told}")


def make(root: Path, runs: int, seeds: int, noise: random.Random) -> None:
    """Write a plan, its records, and their outputs."""
    arms = runs // (len(TASKS) * seeds)
    numbers = np.random.Generator(np.random.PCG64(0))
    cells, pages = [], []
    for task, classes in TASKS:
        labels = numbers.integers(max(classes, 2), size=ROWS).astype(float)
        digest = example_outputs.write_examples(root, np.arange(ROWS), labels)
        for arm, seed in product(range(arms), range(seeds)):
            entry = planned(len(cells), task, arm, seed)
            outputs = numbers.normal(size=(ROWS, classes))
            outputs[np.arange(ROWS), (labels % classes).astype(int)] += 0.5
            made: dict[str, Any] = page(entry, noise)
            name = METRIC.get(task, "accuracy")
            scores = {split: {name: noise.random()} for split in ("select", "report")}
            made["result"] |= {"scores": scores, "examples": {"report": digest}}
            made["artifacts"] = {
                "outputs": example_outputs.write_outputs(root, {"report": outputs})
            }
            cells.append(entry)
            pages.append(made)
    folder = root / "studies" / STUDY
    durable.write_whole(folder / "plan.parquet", pd.DataFrame(cells).to_parquet(index=False))
    lines = b"".join(b"\n" + durable.line(each) for each in pages)
    durable.write_whole(root / "records" / "node-0.jsonl", lines)


def planned(number: int, task: str, arm: int, seed: int) -> dict[str, object]:
    """One planned run; arm 0 is without knowledge, and all are compared with it."""
    found = cell(number, "f" * 32)
    row = f"arm {arm}" if arm else "none"
    own = ["knowledge=none"] if not arm else ["knowledge=logits_kl", f"train.lr={arm}e-6"]
    overrides = [f"task={task}", *own, f"seed={seed}"]
    return found | {
        **{"task": task, "row": row, "case": row, "control": "none", "seed": seed, "layout": None},
        **{
            "overrides": json.dumps(overrides),
            "metrics": json.dumps([METRIC.get(task, "accuracy")]),
        },
        **{"reports": '["report"]', "keys": json.dumps({"train.lr": arm * 1e-6})},
        **{"teachers": "[]", "parents": "[]", "ancestors": "{}"},
    }


if __name__ == "__main__":
    main()

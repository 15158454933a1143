"""How long a study's frame takes: `python tests/benchmarks/records.py [--runs 100000]`.

Records as runs leave them (scores of three splits, curves, gradient shares, digests, provenance),
from 64 workers, with a plan beside them. `plain` is what a notebook does without this package:
json.loads on every line and pandas.json_normalize. Each is timed in a fresh process, imports left
out.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from kdlab.storage import durable
from kdlab.tracking import provenance

WORKERS = 64
STUDY = "bench"
KNOWLEDGE = ("none", "logits_kl", "hidden_mse", "cls_pkd", "attention_kl")
MATCHING = ("first", "last", "skip", "reverse")
LOADED = {
    "cold": f"analysis.load('{STUDY}', root=ROOT)",
    "warm": f"analysis.load('{STUDY}', root=ROOT)",
    "plain": (
        "pd.json_normalize([json.loads(line) for path in sorted(Path(ROOT, 'records')"
        ".glob('*.jsonl')) for line in path.open() if line.strip()])"
    ),
}
TIMED = """
import json, resource, sys, time
from pathlib import Path
import pandas as pd, pyarrow.parquet, analysis.read.frame
ROOT = {root!r}
began = time.perf_counter()
{what}
seconds = time.perf_counter() - began
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    given = parser.parse_args()
    print(f"{provenance.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("| runs | records | cold | warm | plain | plain / cold | plain / warm | memory, cold |")
    print("|---|---|---|---|---|---|---|---|")
    for runs in given.runs:
        with tempfile.TemporaryDirectory() as root:
            size = make(Path(root), runs)
            seconds, memory = {}, {}
            for name, what in LOADED.items():
                seconds[name], memory[name] = timed(root, what)
        print(
            f"| {runs:,} | {size / 1e6:.0f} MB | "
            + " | ".join(f"{seconds[name]:.2f} s" for name in LOADED)
            + f" | {seconds['plain'] / seconds['cold']:.1f} "
            f"| {seconds['plain'] / seconds['warm']:.0f} | {memory['cold']:.2f} GB |",
            flush=True,
        )


def timed(root: str, what: str) -> tuple[float, float]:
    """Seconds and peak memory (GB) in a process of its own."""
    code = TIMED.format(root=root, what=what)
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    seconds, memory = map(float, out.split())
    return seconds, memory


def make(root: Path, runs: int) -> int:
    """Write a plan and its records; return the records' bytes."""
    noise = random.Random(0)
    teacher = "f" * 32
    cells = [cell(number, teacher) for number in range(runs)]
    durable.write_whole(
        root / "studies" / STUDY / "plan.parquet", pd.DataFrame(cells).to_parquet(index=False)
    )
    size = 0
    for worker in range(WORKERS):
        pages = [page(entry, noise) for entry in cells[worker::WORKERS]]
        lines = b"".join(b"\n" + durable.line(p) for p in pages)
        durable.write_whole(root / "records" / f"node-{worker}.jsonl", lines)
        size += len(lines)
    return size


def cell(number: int, teacher: str) -> dict[str, object]:
    """One planned run."""
    seed, arm = divmod(number, len(KNOWLEDGE) * len(MATCHING))
    knowledge, matching = KNOWLEDGE[arm % 5], MATCHING[arm // 5]
    choices = {"task": "mnli", "teacher": "bert_base", "knowledge": knowledge, "init": "random"}
    choices |= {"matching": matching, "size": "small", "shape": "standard", "data": "labelled"}
    overrides = [f"{group}={option}" for group, option in choices.items()] + [f"seed={seed}"]
    student = {"family": "bert", "layers": 4, "hidden": 512, "heads": 8, "intermediate": 2048}
    return {
        **{"study": STUDY, "question": "What helps?", "table": "main", "stage": "run"},
        **{"row": f"{knowledge}, {matching}", "control": f"none, {matching}", "trial": ""},
        **{"trials": 0, "unequal": "", "seed": seed, "teacher_seed": None, "excluded": ""},
        **{"overrides": json.dumps(overrides), "uid": f"{number:032x}"},
        **{"teachers": json.dumps([teacher]), "parents": json.dumps([teacher])},
        **{"ancestors": json.dumps({teacher: []}), "task": "mnli", "select_on": "select"},
        **{"choices": json.dumps(choices), "student": json.dumps(student), "seconds": 60.0},
        "keys": json.dumps({"train.lr": 10.0 ** -(arm % 3), "data.rows": None, "init.k": arm}),
        **{"metrics": '["accuracy"]', "reports": '["report", "report_mismatched"]'},
    }


def page(entry: dict[str, object], noise: random.Random) -> dict[str, object]:
    """A record as a run leaves it, about 2 kB."""
    splits = ("select", "report", "report_mismatched")
    terms = ("hard", "logits_kl", "hidden_mse")
    result = {
        **{"status": "done", "steps": 1000, "scored_step": 800, "degenerate": []},
        "scores": {split: {"accuracy": noise.random()} for split in splits},
        "select_degenerate": [False] * 5,
        "curves": {name: [noise.random() for _ in range(5)] for name in (*terms, "select")},
        "shares": {p: {name: noise.random() for name in terms} for p in ("0.1", "0.5", "0.9")},
        "agreement": {split: {"top1": noise.random(), "kl": noise.random()} for split in splits},
        "weights": f"{noise.getrandbits(128):032x}",
        "outputs": {split: f"{noise.getrandbits(128):032x}" for split in splits},
        "examples": dict.fromkeys(splits, "0" * 32),
    }
    cost = {
        "parameters": {"embeddings": 15_890_000, "transformer": 12_610_000, "total": 28_760_000},
        **{"flops": 3_355_443_200, "seconds": noise.random() * 99, "teacher_seconds": 7.5},
        **{"cohort": 8, "peak_memory": 1_900_000_000, "commit": "0123456789ab", "cores": 16},
        **{"python": "3.11.7", "torch": "2.9.0", "transformers": "5.3.0", "numpy": "2.3.1"},
        **{"host": "node1", "device": "none", "threads": 2},
    }
    return {
        **{"uid": entry["uid"], "choices": json.loads(str(entry["choices"]))},
        **{"overrides": json.loads(str(entry["overrides"])), "result": result, "cost": cost},
        **{"artifacts": {"outputs": {"file": "a.f16", "report": [0, 9815, 3]}}, "schema": 1},
    }


if __name__ == "__main__":
    main()

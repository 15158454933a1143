"""kdlab beside what people use today: one distillation, the same for all, timed in turn.

    python tests/benchmarks/peers.py --data GLUE [--kinds logits cls] [--repeats 3]
    python tests/benchmarks/peers.py --synthetic      # minutes, without any data: does it run?

All systems have the same teacher, the same student at step 0, rows, batch size, updates and
schedule, and are scored on the same dev rows at the end. Each is a process of its own; systems take
turns; what is printed are ratios to TextBrewer as its README runs it, of one and the same round.
It needs `pip install textbrewer tensorboard accelerate` beside kdlab.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import peer_systems
import torch

import kdlab
from kdlab.config.compose import compose
from kdlab.models import origins
from kdlab.models.costs import inference_flops
from kdlab.run import Run
from kdlab.tracking import provenance

RATES = (2e-4, 1e-4, 5e-5, 4e-4, 3e-5, 8e-5, 3e-4, 6e-4)  # of a cohort; the first is everybody's
# By kind of knowledge: the student's size and what it learns from, as overrides.
KINDS = {
    "logits": ("size=l2_h128_a2", "init=random", "knowledge=logits_kl"),
    "cls": ("size=l3_h384_a12", "knowledge=[logits_kl,cls_pkd]"),
    "tokens": ("size=l3_h384_a12", "knowledge=[logits_kl,hidden_mse]"),
    "attention": ("size=l3_h384_a12", "knowledge=[logits_kl,attention_mse]"),
    "relations": ("size=l3_h384_a12", "knowledge=[logits_kl,token_gram]"),
}
# By system: what runs it, and what it is given. Each does as many students as `students` says.
SYSTEMS: dict[str, dict[str, Any]] = {
    "TextBrewer, README": {"run": peer_systems.textbrewer, "padding": "max_length"},
    "TextBrewer, rows padded to their batch": {"run": peer_systems.textbrewer, "cached": True},
    "TextBrewer, and bf16": {"run": peer_systems.textbrewer, "bf16": True, "cached": True},
    "Trainer with a KD loss": {"run": peer_systems.trainer},
    "kdlab, one run": {"students": 1},
    "kdlab, one run, its teacher asked before": {"students": 1, "asked": True},
    "kdlab, one run, bf16": {"students": 1, "bf16": True},
    "kdlab, cohort of 8": {"students": 8},
    "kdlab, cohort of 8, bf16": {"students": 8, "bf16": True},
    "kdlab, cohort of 32": {"students": 32},
    "kdlab, cohort of 32, bf16": {"students": 32, "bf16": True},
    "kdlab, cohort of 8, without CUDA graphs": {"students": 8, "cuda_graphs": False},
}


def main() -> None:
    """Measure all systems in turn, or with `--one` a single one."""
    given = _arguments()
    if given.one:
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(one(given)))
        return
    if given.show:
        print(table([json.loads(Path(path).read_text()) for path in given.show]))
        return
    machine = provenance.provenance(torch.device(given.device))
    packages = {
        name: version(name) for name in ("torch", "transformers", "textbrewer", "accelerate")
    }
    with tempfile.TemporaryDirectory() as folder:
        given.root = given.root or folder
        results = [
            measured
            for kind in given.kinds
            for measured in rounds(kind, given.systems, given.repeats, given)
        ]
    told = {"machine": machine | packages, "rows": given.rows, "results": results}
    told["floor"] = {kind: floor(run_of(kind, 0, given), given) for kind in given.kinds}
    if given.out:
        Path(given.out).parent.mkdir(parents=True, exist_ok=True)
        Path(given.out).write_text(json.dumps(told, indent=1) + "\n")
    print(table([told]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", default="minilm_l6", help="of conf/teacher, 384 wide")
    parser.add_argument("--data", help="GLUE's Parquet files, such as GLUE/SST-2/train.parquet")
    parser.add_argument(
        "--synthetic", action="store_true", help="a tiny teacher and generated rows"
    )
    parser.add_argument("--rows", type=int, default=2000, help="of SST-2's train split")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--repeats", type=int, default=3, help="rounds of all systems")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--root", help="keep the teacher here, for another time")
    parser.add_argument("--out", help="a JSON file for the results")
    parser.add_argument("--show", nargs="+", metavar="FILE", help="print the table of such files")
    parser.add_argument("--one", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.synthetic and not given.data and not given.show:
        parser.error("--data, or --synthetic")
    return given


def run_of(kind: str, number: int, given: argparse.Namespace, *more: str) -> Run:
    """The run that all systems do: that of the first learning rate, or of another."""
    if given.synthetic:
        task = ("task=synthetic", f"task.train_rows={8 * given.rows}", "teacher.size=l6_h384_a12")
    else:
        task = ("task=sst2", f"task.path={given.data}", f"teacher={given.teacher}")
    is_copied = "init=random" not in KINDS[kind] and not given.synthetic
    init = ("init=teacher_skip", "init.weights=finetuned") if is_copied else ()
    return compose(
        *(*task, *init, *KINDS[kind], f"data.rows={given.rows}", f"teacher.rows={4 * given.rows}"),
        *("matching=skip", "train.epochs=1", "teacher.epochs=2", "train.batch_size=32", "seed=1"),
        *(
            "task.max_length=128",
            "protocol.evaluations=1",
            "protocol.select_max=64",
            f"train.lr={RATES[number % 8]}",
            *more,
        ),
    )


def rounds(
    kind: str, systems: Sequence[str], repeats: int, given: argparse.Namespace
) -> list[dict[str, Any]]:
    """Every system in turn, `repeats` times."""
    run = run_of(kind, 0, given)
    assert run.teacher
    where = {"threads": given.threads, "device": given.device}
    kdlab.distill(run.teacher, root=given.root, save=True, **where)
    measured = []
    for number in range(repeats):
        # All are started at once and wait for their turn, so that no start is anybody's time.
        for system, process in [(each, _started(each, kind, given)) for each in systems]:
            told, _ = process.communicate("go\n")
            if process.returncode:
                raise RuntimeError(f"{system} ended with {process.returncode}")
            result = {"kind": kind, "system": system, "round": number}
            measured.append(result | json.loads(told.splitlines()[-1]))
            print(measured[-1], file=sys.stderr, flush=True)
    return measured


def _started(system: str, kind: str, given: argparse.Namespace) -> subprocess.Popen[str]:
    """A process that has loaded its packages and waits for a line before it does anything."""
    # The arguments of this call, and which system of which kind.
    command = [sys.executable, __file__, *sys.argv[1:], "--root", given.root]
    command += ["--kinds", kind, "--one", system]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout
    process.stdout.readline()
    return process


def one(given: argparse.Namespace) -> dict[str, float]:
    """Seconds a run of one system takes: of its training, and of all from rows to score."""
    (kind,), how = given.kinds, dict(SYSTEMS[given.one])
    torch.set_num_threads(given.threads)
    if "students" in how:
        return _kdlab(kind, how, given)
    system = how.pop("run")
    with tempfile.TemporaryDirectory() as folder:
        return dict(system(run_of(kind, 0, given), given.root, given.device, folder, **how))


def _kdlab(kind: str, how: dict[str, Any], given: argparse.Namespace) -> dict[str, float]:
    precision = ("train.precision=bf16",) if how.get("bf16") else ()
    # Students beyond the eight rates have other weight decays: the work is the same.
    runs = [
        run_of(kind, n, given, *precision, f"train.weight_decay={0.01 * (1 + n // 8)}")
        for n in range(how["students"])
    ]
    where = {"threads": given.threads, "device": given.device}
    where["cuda_graphs"] = how.get("cuda_graphs", True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        shutil.copytree(given.root, root)  # with the teacher, without the run
        if how.get("asked"):  # by an earlier run of the study
            earlier = run_of(kind, len(RATES) - 1, given)
            kdlab.distill(earlier, root=str(root), **where)
        began = time.perf_counter()
        records = kdlab.distill(runs, root=str(root), **where)
        whole = time.perf_counter() - began
    costs = [record.cost for record in records]
    training = sum(cost["seconds"] for cost in costs) + costs[0]["teacher_seconds"]
    return {
        "training": training / len(runs),
        "whole": whole / len(runs),
        "score": records[0].result["scores"]["report"]["accuracy"],
        "updates": records[0].result["steps"],
    }


def floor(run: Run, given: argparse.Namespace) -> dict[str, float]:
    """Seconds that the matrix products of one run alone would take, at this machine's best rate."""
    from kdlab.data.task_data import task_data

    teacher = origins.teacher_architecture(run)
    assert teacher
    training = task_data(run, False).training
    work = sum(
        3 * inference_flops(run.student, int(n)) + inference_flops(teacher, int(n))
        for n in training.lengths
    )
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    return {name: work / _rate(given.device, kind) for name, kind in kinds.items()}


def _rate(device: str, dtype: torch.dtype, size: int = 2048) -> float:
    """Operations a second of a large matrix product, the best of five."""
    one = torch.randn(size, size, device=device).to(dtype)
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        float((one @ one)[0, 0])  # reading an element waits for the device
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds[1:])


def table(files: Sequence[dict[str, Any]]) -> str:
    """A Markdown table for each kind: seconds, and how many times as fast as the first system was
    in the same round.

    Args:
        files: what `--out` wrote, each of one call.
    """
    results = [result | {"call": n} for n, file in enumerate(files) for result in file["results"]]
    lines = []
    for kind in dict.fromkeys(result["kind"] for result in results):
        of_kind = [result for result in results if result["kind"] == kind]
        first = {_round(r): r["training"] for r in of_kind if r["system"] == next(iter(SYSTEMS))}
        floors = files[of_kind[0]["call"]]["floor"][kind]
        text = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in floors.items())
        lines += [f"\n{kind}: {files[0]['rows']} rows; matrix products alone: {text}\n"]
        lines += ["| system | training, s a run | all, s a run | times as fast | score |"]
        lines += ["|---|---|---|---|---|"]
        for system in (name for name in SYSTEMS if any(r["system"] == name for r in of_kind)):
            own = [result for result in of_kind if result["system"] == system]
            ratios = [first[_round(result)] / result["training"] for result in own]
            spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
            seconds = [statistics.median(r[key] for r in own) for key in ("training", "whole")]
            scores = " ".join(dict.fromkeys(f"{100 * result['score']:.1f}" for result in own))
            lines.append(
                f"| {system} | {seconds[0]:.2f} | {seconds[1]:.2f} | {spread} | {scores} |"
            )
    return "\n".join(lines)


def _round(result: dict[str, Any]) -> tuple[int, int]:
    return result["call"], result["round"]


if __name__ == "__main__":
    main()

"""What holds on a GPU: equal repeats, no needless waiting, memory of each cohort, honest times.

    python tests/benchmarks/on_gpu.py                # on the GPU that is there
    python tests/benchmarks/on_gpu.py --device cpu   # the same steps where there is none

It needs what kdlab needs to train (torch, transformers, safetensors, numpy, pandas, filelock,
pydantic, hydra-core) and nothing of sweeps or analysis: neither wandb nor submitit. Its data are
generated. It prints a line or more for each question, and ends with 1 if an answer is no.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

import kdlab
from kdlab.config.compose import compose
from kdlab.errors import BadInput
from kdlab.storage import repeats
from kdlab.tracking import provenance
from kdlab.training import loop, stopping, student_state

RUN = ("task.train_rows=4000", "train.epochs=1", "teacher.epochs=1", "task.words=24", "seed=1")
SMALL = ("teacher.size=l2_h32_a2", "size=l2_h32_a2")
SIZE, LARGE = ("teacher.size=l6_h384_a6", "size=l3_h384_a6"), ("size=l6_h768_a12",)
# A relation, an attention and a matching that weighs: each has sums of another kind.
ARMS = (
    ("knowledge=logits_kl",),
    ("knowledge=[logits_kl,hidden_mse]", "matching=last"),
    ("knowledge=attention_kl", "matching=last"),
    ("knowledge=value_relation", "matching=last"),
    ("knowledge=rkd_distance",),
)


def main() -> None:
    """Ask every question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="minutes on a CPU")
    parser.add_argument("--only", nargs="+", help="of the questions below, by name")
    given = parser.parse_args()
    small = ("task.train_rows=200", "task.report_rows=60", "task.words=8", *SMALL)
    base = (*RUN, *(small if given.small else SIZE))
    runs = [compose(*base, *arm) for arm in ARMS]
    print(f"{provenance.provenance(torch.device(given.device))}")
    with tempfile.TemporaryDirectory() as room:

        def distill(name: str, what: Any, **where: Any) -> Any:
            where |= {"device": given.device, "threads": 1}
            return kdlab.distill(what, root=f"{room}/{name}", **where)

        questions = {
            "repeated": lambda: repeated(distill, runs),
            "recorded": lambda: recorded(distill),
            "resumed": lambda: resumed(distill, runs, 3 if given.small else 30),
            "memory": lambda: memory(distill, base, given.small),
            "times": lambda: times(distill, base),
            "waits": lambda: waits(distill, runs, given.device),
            "work": lambda: work(distill, given.small),
        }
        answers = [questions[name]() for name in given.only or questions]
    sys.exit(0 if all(answers) else 1)


Distill = Callable[..., Any]


def repeated(distill: Distill, runs: list[Any]) -> bool:
    """Whether a cohort repeated, and each of its runs alone, gives the same bits."""
    first, again = distill("a", runs), distill("b", runs)
    alone = [distill("c", run) for run in runs]
    for one, *others in zip(first, again, alone, strict=True):
        kinds = [repeats.kind(one, other) for other in others]
        said = one.choices.get("knowledge")
        print(f"repeat of {said}: in its cohort {kinds[0]}, alone {kinds[1]}", flush=True)
    pairs = [*zip(first, again, strict=True), *zip(first, alone, strict=True)]
    return repeats.APART not in {repeats.kind(*pair) for pair in pairs}


def recorded(distill: Distill) -> bool:
    """Whether runs of every knowledge, and more, are the same with CUDA graphs as without."""
    by_uid = {}
    for options in everything():
        with suppress(BadInput):  # some need more classes or a list of pairs
            run = compose(*options)
            by_uid[run.uid] = run
    runs = list(by_uid.values())
    plain, replayed = (
        distill(f"graphs {graphs}", runs, cuda_graphs=graphs) for graphs in (False, True)
    )
    apart = 0
    for one, other in zip(plain, replayed, strict=True):
        if (kind := repeats.kind(one, other)) != repeats.EQUAL:
            curves = one.result["curves"], other.result["curves"]
            far = max(
                abs(a - b) / max(1e-3, abs(a))
                for name in curves[0]
                for a, b in zip(*(curve[name] for curve in curves), strict=True)
            )
            what = one.choices.get("knowledge"), one.choices.get("matching")
            print(f"with CUDA graphs {what}: {kind}, curves within {far:.1e}", flush=True)
            apart += kind == repeats.APART
    print(f"{len(runs)} runs with CUDA graphs and without: {apart} apart", flush=True)
    return not apart


def resumed(distill: Distill, runs: list[Any], after: int) -> bool:
    """Whether a cohort that is stopped after some updates ends as one that is not."""
    whole, plain, steps = distill("a", runs), loop._batch, iter(range(after))

    def stopping_batch(*arguments: Any) -> Any:
        if next(steps, None) is None:
            stopping.stop.set()
        return plain(*arguments)

    distill("r", runs[0].teacher, save=True)
    loop._batch = stopping_batch
    try:
        with suppress(stopping.Stopped):
            distill("r", runs)
    finally:
        loop._batch = plain
    was_stopped = stopping.stop.is_set()
    stopping.stop.clear()
    kinds = {repeats.kind(*pair) for pair in zip(whole, distill("r", runs), strict=True)}
    print(
        f"stopped after {after} updates: {was_stopped}; resumed and unbroken: {kinds}", flush=True
    )
    return was_stopped and repeats.APART not in kinds


def everything() -> list[tuple[str, ...]]:
    """Overrides of small runs, one for each option of knowledge and matching, and a few more."""
    base = ("task.train_rows=300", "task.report_rows=60", "train.epochs=3", "teacher.epochs=1")
    base = (*base, "protocol.evaluations=1", "seed=1", "teacher.size=l6_h64_a4", "size=l3_h64_a4")
    conf = Path(kdlab.__file__).parents[1] / "conf"
    names = {
        group: sorted(path.stem for path in (conf / group).glob("*.yaml"))
        for group in ("knowledge", "matching")
    }
    if find_spec("ot") is None:  # which a bare machine has not
        names["matching"].remove("emd")
    return [
        *((*base, f"knowledge={name}", "matching=last") for name in names["knowledge"]),
        *((*base, "knowledge=hidden_mse", f"matching={name}") for name in names["matching"]),
        (*base, "knowledge=[logits_kl,hidden_mse]", "matching=last", "train.clip_scope=tensor"),
        (*base, "knowledge=logits_kl", "train.freeze_encoder=true"),
        (*base, "knowledge=logits_kl", "train.bias_correction=false"),
    ]


def memory(distill: Distill, base: tuple[str, ...], small: bool) -> bool:
    """Whether a small cohort's peak is its own, after a large one in the same process."""
    large = ("size=l6_h256_a4", "task.train_rows=200") if small else LARGE
    peaks = [
        distill(name, compose(*base, *extra, "knowledge=none")).cost["peak_memory"]
        for name, extra in (("m1", ()), ("m2", large), ("m3", ()))
    ]
    print("peak memory before, in and after a large cohort:", *(f"{p / 1e6:.0f} MB" for p in peaks))
    return peaks[2] < peaks[1]


def times(distill: Distill, base: tuple[str, ...]) -> bool:
    """Whether equal students of a cohort take equal times, wherever they stand in it."""
    arms = [compose(*base, "knowledge=logits_kl", f"train.lr={lr}e-4") for lr in (1, 2, 3, 4)]
    began = time.monotonic()
    costs_of = [record.cost for record in distill("t", arms)]
    whole = time.monotonic() - began
    seconds = [cost["seconds"] for cost in costs_of]
    taught = costs_of[0]["teacher_seconds"]
    print(f"seconds of four equal students {seconds}, teacher {taught}, in all {whole:.1f}")
    return max(seconds) < 1.5 * min(seconds)


def work(distill: Distill, small: bool) -> bool:
    """How many of their models' own operations cohorts do a second, as a plan counts them."""
    from sweeps.plan import estimate

    rows, words = (100, 8) if small else (4000, 45)  # as long as rows of MNLI are
    task = (f"task.train_rows={rows}", f"task.words={words}", "task.max_length=96", "seed=1")
    task = (*task, "train.epochs=1", "teacher.epochs=1", "protocol.evaluations=1")
    sizes = {"l2_h128_a2": "fp32", "l6_h768_a12": "bf16"}
    for size, precision in ({"l2_h64_a2": "fp32"} if small else sizes).items():
        arm = ("knowledge=logits_kl", f"size={size}", f"train.precision={precision}")
        arm = (*task, *arm, "teacher.size=l2_h128_a2", f"teacher.rows={rows // 2}")
        runs = [compose(*arm, f"train.lr={number}e-5") for number in range(1, 9)]
        records = distill("work", runs)
        seconds = sum(record.cost["seconds"] for record in records)
        done = sum(estimate.training_flops(run, len(runs)) for run in runs)
        steps = sum(record.result["steps"] for record in records)
        peak = records[0].cost["peak_memory"] / 1e6
        print(
            f"8 of {size}, {precision}: {steps / seconds:.0f} updates/s, "
            f"{done / seconds / 1e9:.0f} GFLOP/s, {peak:.0f} MB",
            flush=True,
        )
    return True


def waits(distill: Distill, runs: list[Any], device: str) -> bool:
    """Whether a step makes the CPU wait for the GPU: it may where evaluations read what it did."""
    if device != "cuda":
        print("waits: only a GPU can be waited for")
        return True
    steps = [(loop, "_batch"), (loop, "update_together"), (student_state, "update")]
    with warnings.catch_warnings(record=True) as caught, ExitStack() as stack:
        warnings.simplefilter("always")
        for owner, name in steps:
            stack.enter_context(_in_mode(owner, name, "warn"))
        stack.enter_context(_in_mode(student_state, "_read", "default"))
        distill("w", runs)
    waited = Counter(
        f"{Path(each.filename).name}:{each.lineno}"
        for each in caught
        if "called a synchronizing CUDA operation" in str(each.message)
    )
    for line, number in waited.most_common():
        print(f"  {number} waits at {line}")
    print(f"{waited.total()} waits in the steps of {len(runs)} runs")
    return not waited


@contextmanager
def _in_mode(owner: Any, name: str, mode: str) -> Iterator[None]:
    """Let every call of a function run in one of CUDA's modes for waits: warn, or default."""
    plain = getattr(owner, name)

    def watched(*arguments: Any) -> Any:
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode(mode)
        try:
            return plain(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode(before)

    setattr(owner, name, watched)
    try:
        yield
    finally:
        setattr(owner, name, plain)


if __name__ == "__main__":
    main()

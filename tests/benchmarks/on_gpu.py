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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

import kdlab
from kdlab.config.compose import compose
from kdlab.storage import repeats
from kdlab.tracking import provenance
from kdlab.training import loop, student_state, teacher_outputs

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
    given = parser.parse_args()
    small = ("task.train_rows=200", "task.report_rows=60", "task.words=8", *SMALL)
    base = (*RUN, *(small if given.small else SIZE))
    runs = [compose(*base, *arm) for arm in ARMS]
    print(f"{provenance.provenance(torch.device(given.device))}")
    with tempfile.TemporaryDirectory() as room:

        def distill(name: str, what: Any, **where: Any) -> Any:
            where |= {"device": given.device, "threads": 1}
            return kdlab.distill(what, root=f"{room}/{name}", **where)

        answers = [
            repeated(distill, runs),
            memory(distill, base, given.small),
            times(distill, base),
            waits(distill, runs, given.device),
        ]
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


def waits(distill: Distill, runs: list[Any], device: str) -> bool:
    """Whether a step makes the CPU wait for the GPU: it may where evaluations read what it did."""
    if device != "cuda":
        print("waits: only a GPU can be waited for")
        return True
    steps = [
        (loop, "examples"), (loop, "_teacher_trace"), (student_state, "update"),
        (teacher_outputs.RowOutputs, "at"),
    ]  # fmt: skip
    with warnings.catch_warnings(record=True) as caught, ExitStack() as stack:
        warnings.simplefilter("always")
        for owner, name in steps:
            stack.enter_context(_in_mode(owner, name, "warn"))
        stack.enter_context(_in_mode(student_state, "_read", "default"))
        distill("w", runs)
    waited = Counter(
        f"{Path(each.filename).name}:{each.lineno}"
        for each in caught
        if "synchroniz" in str(each.message)
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

"""The studies of the papers' tables, narrowed to the generated task, with records made by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from zlib import crc32

from made import leave_run

from kdlab.models.costs import inference_flops
from kdlab.run import Run, parents
from kdlab.storage import ledger
from sweeps import commands
from sweeps.journal import run_states
from sweeps.plan import plan
from sweeps.study import launched

TINY = ("task=synthetic", "teacher=scratch", "size=l2_h64_a4")
COPIED = (*TINY, "init=teacher_first", "init.weights=finetuned")
NARROWED: Mapping[str, Sequence[str]] = {
    "a1_knowledge": (*TINY, "init=random"),
    "a2_matching": (*TINY, "init=random", "knowledge=hidden_mse,value_relation"),
    "width_depth": (),
    "a4_initialization": (*COPIED[:3], "init=teacher_first,teacher_skip", COPIED[-1]),
    "a5_model_size": ("task=synthetic", "teacher=scratch", "size=l1_h64_a4,l2_h64_a4"),
    "a6_stages": TINY,
    "a7_systems": COPIED,
    "b_pkd": COPIED,
    "c1_data": (*COPIED, "data.rows=1000,3000"),
    "axes": (),
}
NEEDS_MORE = ("general", "DistilBERT", "MiniLM", "TinyBERT", "BERT-EMD", "Large")  # than is here
TABLES = ("A3 5 M",)  # of the study's; its others are alike
CASES = 3  # of a table: each knowledge and matching takes its time to compose
SEEDS = [1, 2]
TAUGHT = 1800  # right answers of a teacher, of 2,000


def make(name: str, root: str, seeds: Sequence[int] = SEEDS) -> None:
    """Plan a study of `sweeps/studies`, narrowed, and leave a record for each of its runs."""
    asked = commands.requested(name, tuple(NARROWED[name]), root)
    blocks = [
        replace(block, tune=None, confirm=None, seeds=list(seeds), cases=_possible(block.cases))
        for block in asked.study.blocks
        if not block.table.startswith("A3") or block.table in TABLES
    ]
    narrow = replace(asked.study, blocks=blocks)
    planned = plan.plan(narrow, asked.extra)
    plan.write(planned, {}, name, narrow, root)
    launched.save(narrow, asked.extra, run_states.study_folder(root, name))
    left = set(ledger.index(root))
    for run in plan.unique(planned):
        for each in (run, *parents(run)):
            if each.uid not in left:
                left.add(each.uid)
                leave_run(root, each, _right(each) if each is run else TAUGHT, **_cost(each))


def _possible(cases: Mapping[str, list[str]]) -> dict[str, list[str]]:
    rows = [row for row in cases if not any(part in row for part in NEEDS_MORE)]
    return {row: cases[row] for row in rows[:CASES]}


def _right(run: Run) -> int:
    """Something between 1,200 and 1,600 of 2,000 that an arm's seeds share but for a little."""
    arm = " ".join(text for text in run.overrides if not text.startswith("seed="))
    return 1200 + crc32(arm.encode()) % 400 + 3 * (run.seed % 4)


def _cost(run: Run) -> dict[str, object]:
    own = run.student
    transformer = own.layers * (12 * own.hidden**2 + 13 * own.hidden)
    counted = {"embeddings": 30_000, "transformer": transformer, "total": transformer + 40_000}
    return {"parameters": counted, "flops": inference_flops(own), "latency": 0.5 * own.layers}

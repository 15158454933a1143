"""Peak memory of cohorts, predicted by the plan and measured.

    python tests/benchmarks/memory.py --out tests/benchmarks/results/memory_cpu.json
    python tests/benchmarks/memory.py --device cuda --out FILE     # on a GPU
    python tests/benchmarks/memory.py --show FILE                  # the tables of speed.md

Each cohort trains for eight updates in processes of its own: on a CPU one whose allocations of
tensors PyTorch's profiler counts, and one whose peak the kernel tells; on a GPU one that asks
PyTorch's allocator. None of these knows of the prediction. Teachers have random weights, rows
random words and the greatest length, and nothing is downloaded.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

import kdlab
from kdlab.config.compose import compose
from kdlab.data import tokens
from kdlab.data.splits import Rows
from kdlab.run import Run
from kdlab.tracking import provenance
from sweeps.plan import memory

UPDATES = 8  # on a GPU the second is recorded, if nothing is read then
SCORED = 64  # rows of select and of report: a batch of those that are scored
MEGA, GIGA = 1e6, 1e9
CARDS = (24, 80, 140)  # GB


@dataclass(frozen=True)
class Cohort:
    """A cohort that is measured.

    Attributes:
        student: its size.
        teacher: layers, width and heads.
        knowledge: overrides of what is taught.
        runs: of the cohort.
        rows, tokens: of a batch.
        words: of the vocabulary.
        more: further overrides.
    """

    student: str
    teacher: tuple[int, int, int]
    knowledge: tuple[str, ...]
    runs: int
    rows: int
    tokens: int
    words: int = 700
    more: tuple[str, ...] = ()


LOGITS, PKD = ("knowledge=logits_kl",), ("knowledge=[logits_kl,cls_pkd]", "matching=skip")
TINYBERT = ("knowledge=[hidden_mse,attention_mse]", "matching=skip")
BF16 = ("train.precision=bf16",)
COHORTS = {
    "2x128, logits": Cohort("l2_h128_a2", (4, 128, 2), LOGITS, 8, 32, 64),
    "2x128, logits, few of 20,000 words": Cohort(
        "l2_h128_a2", (4, 128, 2), LOGITS, 8, 32, 32, words=20_000
    ),
    "4x256, no teacher, best weights kept": Cohort(
        *("l4_h256_a4", (4, 256, 4), ("knowledge=none",), 4, 32, 48),
        more=("protocol.checkpoint=best_select",),
    ),
    "3x128, attention": Cohort(
        "l3_h128_a4", (4, 128, 4), ("knowledge=attention_kl", "matching=last"), 2, 16, 128
    ),
    "3x128, token states, bf16": Cohort(
        *("l3_h128_a4", (4, 128, 4), ("knowledge=hidden_mse", "matching=skip"), 2, 16, 128),
        more=BF16,
    ),
    "2x128, relations of values": Cohort(
        *("l2_h128_a2", (4, 128, 2)),
        ("knowledge=value_relation", "matching=last1", "knowledge.value_relation.relation_heads=8"),
        *(8, 32, 64),
    ),
    "3x384, logits and PKD": Cohort("l3_h384_a12", (6, 384, 12), PKD, 4, 8, 128),
    "4x312 (TinyBERT), token states and attention": Cohort(
        "tinybert4", (6, 768, 12), TINYBERT, 2, 8, 128
    ),
    "3x768, logits": Cohort("l3_h768_a12", (4, 768, 12), LOGITS, 2, 8, 64),
    "6x768, logits and PKD, bf16": Cohort("l6_h768_a12", (8, 768, 12), PKD, 1, 4, 64, more=BF16),
}


def main() -> None:
    """Measure, or show what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=COHORTS, help="one cohort, to look at")
    parser.add_argument("--show", type=Path, help="print the tables of a file of results")
    parser.add_argument("--measure", choices=("tensors", "process"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.show:
        print("\n".join(tables(json.loads(given.show.read_text()))))
    elif given.measure:
        print(json.dumps(measured(COHORTS[given.only], given.measure, given.device)))
    else:
        machine = dict(provenance.provenance(torch.device(given.device)))
        page: dict[str, Any] = {"machine": machine, "cohorts": {}}
        del machine["host"]
        for name in [given.only] if given.only else COHORTS:
            page["cohorts"][name] = in_processes(name, given.device)
            print(name, page["cohorts"][name], flush=True)
            if given.out:
                given.out.write_text(json.dumps(page, indent=1) + "\n")


def in_processes(name: str, device: str) -> dict[str, float]:
    """What is predicted of a cohort, and what is measured of it, each in a process of its own."""
    found: dict[str, float] = {}
    for how in ("tensors", "process") if device == "cpu" else ("tensors",):
        command = [sys.executable, __file__, "--only", name, "--measure", how, "--device", device]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found |= json.loads(printed.splitlines()[-1])
    return found


def measured(cohort: Cohort, how: str, device: str) -> dict[str, float]:
    """The bytes at the peak of a cohort by one measure, and the prediction."""
    on_gpu = device == "cuda"
    with tempfile.TemporaryDirectory() as room:
        write_rows(Path(room, "rows"), cohort)
        write_teacher(Path(room, "teacher"), cohort)
        runs = composed(cohort, room)
        where: dict[str, Any] = {"root": f"{room}/runs", "threads": 1, "device": device}
        where["checkpoint_seconds"] = 0.0  # after each step: as a longer training would have one
        if how == "tensors" and not on_gpu:
            with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
                kdlab.distill(runs, **where)
            found = {"measured_tensors": allocated(profiled)}
        else:
            record = kdlab.distill(runs, **where)[0]
            name = "measured_tensors" if on_gpu else "measured_process"
            found = {name: float(record.cost["peak_memory"])}
            if on_gpu:  # with what CUDA graphs keep for their next replay
                found["measured_reserved"] = float(torch.cuda.max_memory_reserved())
        predicted = memory.phases(runs, on_gpu)
        return {"predicted_tensors": predicted.tensors, "predicted_in_all": predicted.peak, **found}


def allocated(profiled: Any) -> float:
    """The most bytes of tensors that were there at once while a profiler watched."""
    events = profiled.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return float(np.cumsum([size for _, size in changes]).max())


def composed(cohort: Cohort, room: str) -> list[Run]:
    """The cohort's runs, which differ in their learning rate."""
    base = (
        *("task=table", f"task.path={room}/rows", "task.text=[text]", "task.classes=2"),
        *(f"task.max_length={cohort.tokens}", f"protocol.select_max={SCORED}"),
        *("protocol.select=0.99", "protocol.evaluations=1", "train.epochs=1"),
        *(f"train.batch_size={cohort.rows}", f"size={cohort.student}", "init=random"),
        *("teacher=checkpoint", f"teacher.checkpoint={room}/teacher", "teacher.insist=true"),
        *cohort.knowledge,
        *cohort.more,
    )
    return [compose(*base, f"train.lr={number}e-5") for number in range(1, cohort.runs + 1)]


def write_rows(folder: Path, cohort: Cohort) -> None:
    """Rows of random words: some batches to train on, one to score of each split."""
    draws = np.random.default_rng(0)
    folder.mkdir()
    for split, rows in (("train", UPDATES * cohort.rows + SCORED), ("validation", SCORED)):
        words = draws.integers(cohort.words, size=(rows, cohort.tokens - 2))  # [CLS] and [SEP]
        texts = [" ".join(f"w{word}" for word in row) for row in words]
        frame = pd.DataFrame({"text": texts, "label": np.arange(rows) % 2, "idx": np.arange(rows)})
        frame.to_parquet(folder / f"{split}.parquet")


def write_teacher(folder: Path, cohort: Cohort) -> None:
    """A BERT with random weights, and a tokenizer that has every word of the rows."""
    from transformers import BertConfig, BertForSequenceClassification

    text = " ".join(f"w{word}" for word in range(cohort.words))
    tokenizer = tokens.word_level(Rows(np.zeros(1), [(text,)], np.zeros(1)))
    tokenizer.save_pretrained(folder)
    layers, hidden, heads = cohort.teacher
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
    )
    BertForSequenceClassification(config).save_pretrained(folder)


def tables(page: dict[str, Any]) -> list[str]:
    """Markdown: predictions beside what was measured, and how many runs fit a card."""
    machine = page["machine"]
    lines = [
        f"{machine['device']}, torch {machine['torch']}, transformers {machine['transformers']}",
        "",
        "| cohort | runs x batch | tensors, MB: predicted | measured | ratio "
        "| process, MB: predicted | measured | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in page["cohorts"].items():
        cohort, tensors = COHORTS[name], found["predicted_tensors"]
        row = [name, f"{cohort.runs} x {cohort.rows} x {cohort.tokens}"]
        row += beside(tensors, found["measured_tensors"])
        if process := found.get("measured_process"):
            row += beside(memory.PROCESS + memory.HEAP * found["predicted_in_all"], process)
        lines.append(f"| {' | '.join(row)} |")
    return [*lines, "", *cards()]


def beside(predicted: float, found: float) -> list[str]:
    return [f"{predicted / MEGA:,.0f}", f"{found / MEGA:,.0f}", f"{predicted / found:.2f}"]


PAPERS = {
    "6x768, logits": ("size=l6_h768_a12", *LOGITS),
    "6x768, logits and PKD": ("size=l6_h768_a12", *PKD),
    "3x768, logits": ("size=l3_h768_a12", *LOGITS),
    "4x312 (TinyBERT), token states and attention": ("size=tinybert4", *TINYBERT),
}


def cards() -> list[str]:
    """How many runs of the papers' shapes fit a cohort on a card, by prediction."""
    base = ("task=mnli", "task.path=nyu-mll/glue", "teacher=bert_base", "init=random")
    sizes = " | ".join(f"{gb} GB" for gb in CARDS)
    lines = [
        f"| student and knowledge | one run, GB | {sizes} |",
        "|---|---|" + "---|" * len(CARDS),
    ]
    for name, shape in PAPERS.items():
        for precision in ("fp32", "bf16"):
            run = compose(*base, *shape, f"train.precision={precision}")
            alone = memory.peak([run], on_gpu=True)
            each = memory.peak([run] * 2, on_gpu=True) - alone
            fit = [int(1 + (memory.SHARE * gb * GIGA - alone) // each) for gb in CARDS]
            row = [f"{name}, {precision}", f"{alone / GIGA:.1f}", *map(str, fit)]
            lines.append(f"| {' | '.join(row)} |")
    return lines


if __name__ == "__main__":
    main()

"""No key that decides a run is dead: what the other groups say, and what no YAML shows."""

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import eight_classes
import pandas as pd
import pytest
import test_options
from omegaconf import OmegaConf

import kdlab
from kdlab import models, schema
from kdlab.config import CONF, option, options

TAUGHT = ("knowledge=logits_kl",)
LAYERED = ("knowledge=hidden_mse",)
TRAINED = ("curves", "weights")  # of a run's result: losses at every step, and what it ends with


@dataclass(frozen=True)
class Trial:
    """Overrides, others in addition, and the parts of a run's result that must then differ."""

    one: tuple[str, ...]
    other: tuple[str, ...]
    sees: tuple[str, ...] = TRAINED


def key(text: str, *one: str, sees: tuple[str, ...] = TRAINED, also: tuple[str, ...] = ()):
    """The trial of one override beside others."""
    return Trial((*TAUGHT, *one), (text, *also), sees)


# The synthetic task of two classes and a text, small; the table is that of `eight_classes`.
SYNTHETIC = (
    "task=synthetic", "task.train_rows=200", "task.report_rows=40", "task.max_length=16",
)  # fmt: skip
CORPUS = (
    "task=corpus", "task.path={room}/corpus", "task.words=8", "task.report_rows=32",
    "task.max_length=12",
)  # fmt: skip
TRANSFER = ("data.rows=100", "data.transfer=unlabelled")
GIVEN = ("teacher.checkpoint={room}/a", "teacher.tokenizer={room}/a", "teacher.size=l2_h16_a2")
FINISHED = (*GIVEN, "teacher.finetuned=true")
INIT = ("size=l2_h16_a2", "tokenizer={room}/a", "teacher.tokenizer={room}/a")
SCORES, SELECT = ("scores",), ("examples",)

# By place in the page: a key, and its trial. `{room}` is a folder with tables and checkpoints.
TRIALS: dict[str, dict[str, Trial]] = {
    "page": {
        "seed": key("seed=1"),
        "family": key("family=roberta"),
        "tokenizer": key("tokenizer={room}/a", also=("teacher.tokenizer={room}/a",)),
    },
    "hard": {
        "weight": key("hard.weight=0.5"),
        "schedules": key("+schedule@hard.schedules.weight=growth"),
    },
    "train": {
        "epochs": key("train.epochs=2"),
        "batch_size": key("train.batch_size=16"),
        "lr": key("train.lr=1e-3"),
        "schedule": key("train.schedule=constant_with_warmup"),
        "warmup": key("train.warmup=0.5"),
        "weight_decay": key("train.weight_decay=0.5"),
        "clip": key("train.clip=0.001"),
        "batching": key("train.batching=random"),
        "precision": key("train.precision=bf16"),
        "freeze_encoder": key("train.freeze_encoder=true"),
        "stop": key("train.stop=0.4"),
    },
    "data": {
        "rows": key("data.rows=100"),
        "transfer": key("data.transfer=unlabelled", "data.rows=100"),
        "extra_rows": key("data.extra_rows=30", *TRANSFER),
        "extra_split": key("data.extra_split=test", *TRANSFER),
        "fold": key("data.fold=[0,4]"),
    },
    "protocol": {
        "select_on": key("protocol.select_on=report", sees=(*TRAINED, *SELECT)),
        "select": key("protocol.select=0.4", sees=(*TRAINED, *SELECT)),
        "select_max": key("protocol.select_max=8", sees=(*TRAINED, *SELECT)),
        "checkpoint": key("protocol.checkpoint=best_select", "train.lr=3e-2", sees=("weights",)),
        "evaluations": key("protocol.evaluations=2", sees=("curves",)),
    },
    "size": {
        "layers": key("size.layers=2"),
        "hidden": key("size.hidden=24"),
        "heads": key("size.heads=2"),
        "intermediate": key("size.intermediate=50"),
    },
    "teacher": {
        "family": key("teacher.family=roberta", "family=bert"),
        "tokenizer": key("teacher.tokenizer={room}/a", also=("tokenizer={room}/a",)),
        "checkpoint": key("teacher.checkpoint={room}/b", *FINISHED),
        "finetuned": key("teacher.finetuned=true", *GIVEN),
        "size": key("teacher.size=l2_h16_a2"),
        "seed": key("teacher.seed=1"),
        "lr": key("teacher.lr=1e-3"),
        "epochs": key("teacher.epochs=2"),
        "rows": key("teacher.rows=100"),
        "overrides": key("teacher.overrides=['init=random','train.weight_decay=0.5']"),
        "stop": key("teacher.stop=0.5"),
        "folds": key("teacher.folds=2"),
        "assistants": key("teacher.assistants=[l1_h16_a2]"),
        "assistant_overrides": key(
            "teacher.assistant_overrides=['knowledge=logits_mse']", "teacher.assistants=[l1_h16_a2]"
        ),
    },
    "table": {
        "path": key("task.path={room}/tables/x"),
        "subset": key("task.subset=y", "task.path={room}/tables", "++task.subset=x"),
        "folder": key("task.folder=y", "task.path={room}/tables", "++task.folder=x"),
        "text": key("task.text=[sentence,reversed]"),
        "label": key("task.label=other"),
        "metrics": key("task.metrics=[accuracy,matthews]", sees=SCORES),
        "select_by": key(
            "task.select_by=[matthews]", "task.metrics=[accuracy,matthews]", "train.lr=3e-2",
            sees=("curves",),
        ),
        "train": key("task.train=test"),
        "report": key("task.report={report: test}", sees=SCORES),
        "test": key("task.test=train", *TRANSFER, "data.extra_split=test"),
        "holdout": key("task.holdout=kdlab.data.splits.sentences", sees=(*TRAINED, *SELECT)),
        "max_length": key("task.max_length=8"),
        "classes": key("task.classes=9"),
    },
    "synthetic": {
        "train_rows": key("task.train_rows=180", *SYNTHETIC),
        "report_rows": key("task.report_rows=50", *SYNTHETIC, sees=SCORES),
        "words": key("task.words=9", *SYNTHETIC),
        "length": key("task.length=6", *SYNTHETIC),
        "sharpness": key("task.sharpness=1", *SYNTHETIC),
        "max_length": key("task.max_length=8", *SYNTHETIC),
    },
    "corpus": {
        "path": key("task.path={room}/other.txt", *CORPUS),
        "column": key("task.column=other", *CORPUS),
        "document": key("task.document=doc", *CORPUS),
        "words": key("task.words=6", *CORPUS),
        "report_rows": key("task.report_rows=48", *CORPUS),
        "masked": key("task.masked=0.4", *CORPUS),
        "metrics": key("task.metrics=[mlm_likelihood]", *CORPUS, sees=SCORES),
        "select_by": key("task.select_by=[mlm_accuracy]", *CORPUS, sees=("curves",)),
        "train": key("task.train=validation", *CORPUS, "protocol.select=0.5"),
        "report": key("task.report={report: train}", *CORPUS, "protocol.select=0.5", sees=SCORES),
        "holdout": key(
            "task.holdout=kdlab.data.splits.hold_out", *CORPUS, sees=(*TRAINED, *SELECT)
        ),
        "max_length": key("task.max_length=8", *CORPUS),
    },
    "knowledge": {
        "view": key("knowledge.cls_pkd.view=kdlab.views.mean_tokens", "knowledge=cls_pkd"),
        "projection": key("++knowledge.hidden_mse.projection=always", *LAYERED, "size=l3_h32_a4"),
        "projection_shared": key("+knowledge.hidden_mse.projection_shared=true", *LAYERED),
        "projection_lr": key("+knowledge.hidden_mse.projection_lr=0.1", *LAYERED),
        "matching": key("+matching@knowledge.hidden_mse.matching=last", *LAYERED),
        "schedules": key("+schedule@knowledge.logits_kl.schedules.temperature=stairs"),
        "weight": key("knowledge.logits_kl.weight=3"),
    },
    "matching": {
        "mass": key("matching.mass=pairs", *LAYERED),
        "mix": key("+matching.mix=features", *LAYERED, "matching=uniform_last"),
        "weigh": key(
            "+matching.weigh={_target_: kdlab.matching.transport.EarthMover, temperature: 1.0}",
            *LAYERED, "matching=uniform_last",
        ),
    },
    "init": {
        "weights": key("init.weights=finetuned", *GIVEN, *INIT, "init=teacher_first"),
        "checkpoint": key("init.checkpoint={room}/b", "init=pretrained", *INIT,
                          "++init.checkpoint={room}/a"),
        "run": key("init.run=['knowledge=logits_mse']", "init=run", "++init.run=['knowledge=none']"),
        "head": key("init.head=keep", "init=run", "++init.run=['knowledge=none']"),
    },
    "shape": {
        f"{name}.{knob}": key(
            f"shape.{knob}={value}", f"shape={name}", "size.layers=4", "size.hidden=32",
            "size.intermediate=128", "++shape.head_width=4", "++shape.tolerance=0.03",
        )
        for name in options("shape") if name != "standard"
        for knob, value in (("factor", 1.3), ("head_width", 8), ("tolerance", 0.5))
    },
}  # fmt: skip

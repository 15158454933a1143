"""Keys that test_options does not try: another value and what it must change, or a reason."""

from dataclasses import dataclass

from kdlab.config.option_files import options

TRAINED = ("curves", "weights")  # of a run's result: losses at every step, and what it ends with
SCORES, CURVES, EXAMPLES = ("scores",), ("curves",), ("examples",)
SELECTED = (*TRAINED, *EXAMPLES)


@dataclass(frozen=True)
class Trial:
    """Overrides, one more, and the parts of a run's result that must then differ."""

    own: tuple[str, ...]
    more: str
    sees: tuple[str, ...]


def tried(more: str, *own: str, sees: tuple[str, ...] = TRAINED) -> Trial:
    """The trial of one override beside a run's own, which learns outputs unless it says else."""
    return Trial(("knowledge=logits_kl", *own), more, sees)


TEACHER = ("teacher.size=l4_h24_a4", "teacher.epochs=1")
SYNTHETIC = ("task=synthetic", "task.train_rows=200", "task.report_rows=40", "task.words=12")
CORPUS = (
    "task=corpus", "task.path={room}/corpus", "task.words=8", "task.report_rows=48",
    "task.max_length=12", "protocol.select=0.4",
)  # fmt: skip
TRANSFER = ("data.rows=100", "data.transfer=unlabelled")
GIVEN = (
    "teacher.checkpoint={room}/a", "teacher.tokenizer={room}/a", "teacher.size=l2_h16_a2",
    "teacher.overrides=['init=pretrained']",
)  # fmt: skip
LEGACY = "protocol.select_on=report"  # rows of report are not taken out of fit
MORE = "+task.report.report_again=validation"
LAYERED = "knowledge=hidden_mse"
STAGE = ("init=run", "init.run=['knowledge=none']")
BOTH = "task.metrics=[accuracy,matthews]"
SPEARMAN = "task.select_by=[spearman]"
NUMBER = ("task.classes=1", "task.metrics=[pearson,spearman]", SPEARMAN, "knowledge=logits_mse")
STRETCHES = "task.holdout=kdlab.data.corpus.hold_out"
SHAPED = ("size=l3_h40_a10", "shape.head_width=4")

# By place in the page: a key, and its trial. `{room}` is a folder with tables and checkpoints.
TRIALS: dict[str, dict[str, Trial]] = {
    "page": {
        "seed": tried("seed=1"),
        "family": tried("family=roberta"),
        "tokenizer": tried("tokenizer={room}/few_words", "knowledge=none"),
    },
    "hard": {
        "weight": tried("hard.weight=0.5"),
        "schedules": tried("+schedule@hard.schedules.weight=growth"),
    },
    "train": {
        "epochs": tried("train.epochs=2"),
        "batch_size": tried("train.batch_size=16"),
        "lr": tried("train.lr=1e-3"),
        "schedule": tried("train.schedule=constant_with_warmup"),
        "warmup": tried("train.warmup=0.5"),
        "weight_decay": tried("train.weight_decay=0.5"),
        "betas": tried("train.betas=[0.9,0.98]"),
        "eps": tried("train.eps=1e-2"),
        "bias_correction": tried("train.bias_correction=false"),
        "clip": tried("train.clip=0.001"),
        "clip_scope": tried("train.clip_scope=tensor", "train.clip=0.001"),
        "batching": tried("train.batching=random"),
        "precision": tried("train.precision=bf16"),
        "freeze_encoder": tried("train.freeze_encoder=true"),
        "stop": tried("train.stop=0.4"),
    },
    "data": {
        "rows": tried("data.rows=100"),
        "transfer": tried("data.transfer=unlabelled", "data.rows=100"),
        "extra_rows": tried("data.extra_rows=30", *TRANSFER),
        "extra_split": tried("data.extra_split=test", *TRANSFER),
        "fold": tried("data.fold=[0,4]"),
    },
    "protocol": {
        "select_on": tried("protocol.select_on=report", sees=SELECTED),
        "select": tried("protocol.select=0.4", sees=SELECTED),
        "select_max": tried("protocol.select_max=8", sees=SELECTED),
        "checkpoint": tried("protocol.checkpoint=best_select", "train.lr=3e-2", sees=("weights",)),
        "evaluations": tried("protocol.evaluations=2", sees=CURVES),
    },
    "size": {
        "layers": tried("size.layers=2"),
        "hidden": tried("size.hidden=24"),
        "heads": tried("size.heads=2"),
        "intermediate": tried("size.intermediate=50"),
    },
    "shape": {
        f"{name}.{knob}": tried(f"shape.{knob}={value}", f"shape={name}", *SHAPED)
        for name in options("shape")
        if name != "standard"
        for knob, value in (("factor", 1.0), ("head_width", 2))
    },
    "teacher": {
        "family": tried("teacher.family=roberta", "family=bert"),
        "tokenizer": tried("teacher.tokenizer={room}/few_words"),
        "checkpoint": tried("teacher.checkpoint={room}/b", *GIVEN, "teacher.finetuned=true",
                            "teacher.insist=true"),
        "finetuned": tried("teacher.finetuned=true", *GIVEN, "teacher.insist=true"),
        "size": tried("teacher.size=l2_h16_a2"),
        "seed": tried("teacher.seed=1"),
        "lr": tried("teacher.lr=1e-3"),
        "epochs": tried("teacher.epochs=2"),
        "rows": tried("teacher.rows=100"),
        "overrides": tried("teacher.overrides=['init=random','train.weight_decay=0.5']"),
        "stop": tried("teacher.stop=0.5"),
        "folds": tried("teacher.folds=2"),
        "assistants": tried("teacher.assistants=[l1_h16_a2]"),
        "assistant_overrides": tried(
            "teacher.assistant_overrides=['knowledge=logits_mse']", "teacher.assistants=[l1_h16_a2]"
        ),
    },
    "table": {
        "path": tried("task.path={room}/tables/x"),
        "subset": tried("task.subset=y", "task.path={room}/tables", "task.subset=x"),
        "folder": tried("task.folder=y", "task.path={room}/tables", "task.folder=x"),
        "text": tried("task.text=[sentence,reversed]"),
        "label": tried("task.label=other"),
        "metrics": tried(BOTH, sees=SCORES),
        "select_by": tried("task.select_by=[pearson]", *NUMBER, sees=CURVES),
        "train": tried("task.train=test"),
        "report": tried("task.report={{report: test}}", sees=EXAMPLES),
        "test": tried("task.test=train", *TRANSFER, "data.extra_split=test"),
        "holdout": tried(STRETCHES, sees=SELECTED),
        "max_length": tried("task.max_length=8"),
        "classes": tried("task.classes=9"),
        "labels": tried("task.labels=[1,0,2,3,4,5,6,7]"),
    },
    "synthetic": {
        "train_rows": tried("task.train_rows=180", *SYNTHETIC),
        "report_rows": tried("task.report_rows=50", *SYNTHETIC, sees=SCORES),
        "words": tried("task.words=9", *SYNTHETIC),
        "length": tried("task.length=6", *SYNTHETIC),
        "sharpness": tried("task.sharpness=1", *SYNTHETIC),
        "text": tried("task.text=[sentence,sentence]", *SYNTHETIC),
        "metrics": tried(BOTH, *SYNTHETIC, sees=SCORES),
        "select_by": tried("task.select_by=[pearson]", *SYNTHETIC, *NUMBER, sees=CURVES),
        "train": tried("task.train=validation", *SYNTHETIC, LEGACY),
        "report": tried(MORE, *SYNTHETIC, sees=EXAMPLES),
        "holdout": tried(STRETCHES, *SYNTHETIC, sees=SELECTED),
        "max_length": tried("task.max_length=8", *SYNTHETIC),
        "classes": tried("task.classes=3", *SYNTHETIC),
    },
    "corpus": {
        "path": tried("task.path={room}/other.txt", *CORPUS),
        "column": tried("task.column=other", *CORPUS),
        "document": tried("task.document=doc", *CORPUS),
        "words": tried("task.words=6", *CORPUS),
        "report_rows": tried("task.report_rows=80", *CORPUS),
        "masked": tried("task.masked=0.4", *CORPUS),
        "metrics": tried("task.metrics=[mlm_likelihood]", *CORPUS, sees=SCORES),
        "select_by": tried("task.select_by=[mlm_accuracy]", *CORPUS, sees=CURVES),
        "train": tried("task.train=validation", *CORPUS, LEGACY),
        "report": tried(MORE, *CORPUS, sees=EXAMPLES),
        "holdout": tried("task.holdout=kdlab.data.splits.hold_out", *CORPUS, sees=SELECTED),
        "max_length": tried("task.max_length=8", *CORPUS),
    },
    "knowledge": {
        "view": tried(
            "knowledge.cls_pkd.view=kdlab.objective.views.mean_tokens", "knowledge=cls_pkd"
        ),
        "weight": tried("knowledge.logits_kl.weight=3"),
        "projection": tried("knowledge.hidden_mse.projection=always", LAYERED, "size=l3_h24_a4"),
        "projection_shared": tried("+knowledge.hidden_mse.projection_shared=true", LAYERED),
        "projection_lr": tried("+knowledge.hidden_mse.projection_lr=0.1", LAYERED),
        "matching": tried("+matching@knowledge.hidden_mse.matching=last", LAYERED),
        "schedules": tried("+schedule@knowledge.logits_kl.schedules.temperature=stairs"),
    },
    "matching": {
        "mass": tried("matching.mass=pairs", LAYERED),
        "mix": tried("+matching.mix=features", LAYERED, "matching=uniform_last"),
    },
    "init": {
        "weights": tried("init.weights=finetuned", *GIVEN, "size=l2_h16_a2", "init=teacher_first"),
        "checkpoint": tried("init.checkpoint={room}/b", *GIVEN, "size=l2_h16_a2",
                            "init=pretrained", "init.checkpoint={room}/a"),
        "run": tried("init.run=['knowledge=logits_mse']", *STAGE),
        "head": tried("init.head=keep", *STAGE),
    },
}  # fmt: skip

HUB = "names a data set of the hub, which tests do not reach; test_table sees what is refused"
NAME = "what an option is called: nobody can change it"
PREDICT = "what is kept beside a result: test_predictions"
# Keys without a trial, and why.
EXCEPTIONS: dict[str, dict[str, str]] = {
    "page": dict.fromkeys(
        ("task", "data", "teacher", "size", "shape", "init", "knowledge", "matching", "train",
         "protocol", "hard"),
        "a group, whose keys are tried",
    ),
    "teacher": {
        "name": NAME,
        "insist": "lets a run begin, and changes no result: test_labels",
    },
    "table": {
        "name": NAME,
        "predict": PREDICT,
        "masked": "of a text, not of classes: corpus tries it",
        "revision": HUB,
    },
    "synthetic": {
        "name": NAME,
        "predict": PREDICT,
        "masked": "of a text, not of classes: corpus tries it",
        "label": "its table has one",
        "test": "it has two splits, and rows of report are shown to nobody",
        "labels": "table tries it",
    },
    "corpus": {
        "name": NAME,
        "predict": PREDICT,
        "labels": "of classes, which tokens have not",
        "text": "its rows have one",
        "label": "tokens are the labels: test_masked_lm sees that it changes nothing",
        "classes": "of labels: refused beside masked",
        "test": "rows without a label: refused, for a text has none",
        "revision": HUB,
        "subset": HUB,
    },
    "knowledge": {"name": NAME, "min_classes": "what test_conf sees refused"},
    "matching": {"name": NAME, "weigh": "an option's own function: nobody can change it"},
    "init": {"name": NAME},
    "shape": {f"{name}.tolerance": "what a test below sees refused" for name in options("shape")}
    | {"name": NAME},
}  # fmt: skip

"""A run: plain, frozen data, everything that decides a result, and the hash that names it."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from kdlab import checkpoints
from kdlab.architecture import Architecture
from kdlab.build import Call, function
from kdlab.remembered import by_content, of_files
from kdlab.schema import Data, Protocol, Task, Train

EVERYWHERE = "kdlab.views.token_logits"  # the view that asks for a language model's every output
IDENTITY = 2  # raised when the same page would come to mean something else


@dataclass(frozen=True)
class Term:
    """One piece of knowledge.

    `pairs` are 1-based (student layer, teacher layer), None where the view has no layers; each
    pair's loss counts `weight * pair_weight`, times what the module `weigh` gives the pair.

    Attributes:
        projection: none; to the teacher's width auto, where widths differ, or always; to classes.
        shared: one projection for all layers.
        projection_lr: of the projections and of `weigh`; None: the run's.
        mix: weights are on losses, or on the teacher's features.
        schedules: of the weight and of numeric knobs, by name.
    """

    key: str
    name: str
    loss: Call
    view: str
    weight: float
    projection: str
    pairs: tuple[tuple[int, int], ...] | None
    pair_weight: float
    shared: bool
    projection_lr: float | None
    mix: str
    weigh: Call | None
    schedules: Mapping[str, Call]


@dataclass(frozen=True)
class Init:
    """Where the student starts: `call` picks from the weights of a checkpoint or of a parent.

    `run` is the earlier run of a stage; with `head="keep"` its classifier is copied too.
    """

    name: str
    call: Call
    weights: str
    checkpoint: str | None
    run: "Run | None" = None
    head: str = "fresh"


@dataclass(frozen=True)
class Run:
    """One run. `teacher` is a parent run, `teacher_checkpoint` a finished model; None: unused.

    Of cross-fitted teachers `teacher` is that of fold 0, `other_teachers` are those of the others.
    `insist` lets a doubtful checkpoint teach; it changes no result, and is no part of the uid.
    """

    seed: int
    hard_weight: float
    hard_schedules: Mapping[str, Call]
    task: Task
    source: Call
    data: Data
    train: Train
    protocol: Protocol
    tokenizer: str | None
    student: Architecture
    init: Init
    terms: tuple[Term, ...]
    teacher: "Run | None"
    teacher_checkpoint: str | None
    choices: Mapping[str, str]
    overrides: tuple[str, ...]
    other_teachers: "tuple[Run, ...]" = ()
    insist: bool = False
    uid: str = ""


def batch_key(run: Run) -> str:
    """What runs must share to be trained side by side over the same batches, hashed."""
    train = _flat(run.train)
    keys = ("epochs", "batch_size", "batching", "precision", "stop")
    shared = {
        "seed": run.seed,
        "task": _task(run),
        "data": _data(run),
        "train": {key: train[key] for key in keys},
        "protocol": _protocol(run),
        "tokenizer": _tokenizer(run),
    }
    if is_everywhere(run):  # the teacher's pass is another one
        shared["everywhere"] = True
    return digest(shared)


def is_everywhere(run: Run) -> bool:
    """Whether some term compares a language model's outputs at every token."""
    return any(term.view == EVERYWHERE for term in run.terms)


def teachers(run: Run) -> list[Run]:
    """The runs that a run learns from: one, or one for each fold of its rows in order."""
    return [run.teacher, *run.other_teachers] if run.teacher else []


def parents(run: Run) -> list[Run]:
    """The runs that a run learns from or starts from, each once."""
    found = [*teachers(run), *([run.init.run] if run.init.run else [])]
    return list({parent.uid: parent for parent in found}.values())


def teacher_key(run: Run) -> str | None:
    """What names the run's teacher: a uid, of folds several; a checkpoint's identity; or None."""
    if run.teacher:
        return "+".join(teacher.uid for teacher in teachers(run))
    return checkpoints.identity(run.teacher_checkpoint) if run.teacher_checkpoint else None


def effective(run: Run) -> dict[str, Any]:
    """What a run does, as plain data: unused nodes left out, contents by digest."""
    return {
        "identity": IDENTITY,
        "seed": run.seed,
        "hard": {"weight": run.hard_weight} | _schedules(run.hard_schedules),
        "task": _task(run),
        "data": _data(run),
        "train": _train(run.train),
        "protocol": _protocol(run),
        "tokenizer": _tokenizer(run),
        "student": _flat(run.student),
        "init": _init(run.init),
        "terms": {term.key: _term(term) for term in run.terms},
        "teacher": teacher_key(run),
    }


def digest(page: Mapping[str, Any]) -> str:
    """A 128-bit hash of plain data, the same for 2 and 2.0."""
    # The JSON of the whole, put together from parts that thousands of runs share.
    text = ",".join(_json({key: page[key]})[1:-1] for key in sorted(page))
    return hashlib.blake2b(f"{{{text}}}".encode(), digest_size=16).hexdigest()


@by_content
def _json(value: Any) -> str:
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _flat(page: Any) -> dict[str, Any]:
    return dict(vars(page))  # asdict copies deeply, which plain values do not need


def _task(run: Run) -> dict[str, Any]:
    splits = [run.task.train, *run.task.report.values()]
    if run.data.extra_split == "test" and run.data.transfer == "unlabelled" and run.task.test:
        splits.append(run.task.test)
        unused = {"name", "predict"}
    else:
        unused = {"name", "predict", "test"}
    if run.protocol.select_on == "report":
        unused.add("holdout")
    unused |= {"masked"} if run.task.masked is None else {"classes", "label", "labels"}
    page = {key: value for key, value in _task_page(run.task).items() if key not in unused}
    if "holdout" in page:
        page["holdout"] = stored_name(page["holdout"])
    source = stored_name(run.source.target)
    return page | {"source": source, "rows": _rows(run.source, splits)}


@by_content
def _task_page(task: Task) -> dict[str, Any]:
    return asdict(task)


@of_files
def _rows(source: Call, splits: list[str]) -> Any:
    return source.bind()().identity(splits)


def _protocol(run: Run) -> dict[str, Any]:
    page = _flat(run.protocol)
    unused = ("select", "select_max") if run.protocol.select_on == "report" else ()
    return {key: value for key, value in page.items() if key not in unused}


def _train(train: Train) -> dict[str, Any]:
    neutral = {"stop": 1, "freeze_encoder": False}
    page = {key: v for key, v in _flat(train).items() if key not in neutral or v != neutral[key]}
    if train.clip is None:
        del page["clip_scope"]
    return page


def _data(run: Run) -> dict[str, Any]:
    page = _flat(run.data)
    if run.data.transfer == "same":
        page = {key: page[key] for key in ("rows", "transfer", "fold")}
    if run.data.fold is None:
        del page["fold"]
    return page


def _tokenizer(run: Run) -> str:
    return checkpoints.identity(run.tokenizer) if run.tokenizer else "words"


def _init(init: Init) -> dict[str, Any]:
    page = {"name": init.name, "weights": init.weights, **_whole(init.call)}
    if init.checkpoint:
        page["checkpoint"] = checkpoints.identity(init.checkpoint)
    if init.run:
        page |= {"run": init.run.uid, "head": init.head}
    return page


def _term(term: Term) -> dict[str, Any]:
    page = {"name": term.name, "weight": term.weight, "view": stored_name(term.view)}
    page |= _whole(term.loss)
    if term.pairs is not None:
        page |= {"matching": _matching(term), "projection": term.projection}
    elif term.projection != "none":
        page["projection"] = term.projection
    # Later keys are left out at their neutral values: earlier uids stay what they are.
    if term.projection != "none":
        page |= {"projection_shared": True} if term.shared and term.pairs is not None else {}
        page |= {} if term.projection_lr is None else {"projection_lr": term.projection_lr}
    return page | _schedules(term.schedules)


def _matching(term: Term) -> dict[str, Any]:
    page: dict[str, Any] = {"pairs": sorted(term.pairs or ()), "pair_weight": term.pair_weight}
    page |= {"mix": term.mix} if term.mix != "losses" else {}
    return page | ({"weigh": _whole(term.weigh)} if term.weigh else {})


def _schedules(schedules: Mapping[str, Call]) -> dict[str, Any]:
    named = {key: _whole(call) for key, call in schedules.items()}
    return {"schedules": named} if named else {}


def _whole(call: Call) -> dict[str, Any]:
    """A function by its name, under a key which is no knob's, and its knobs."""
    return {"_target_": stored_name(call.target), **call.knobs}


def stored_name(target: str) -> str:
    """What a function is called in what is kept: `kdlab.losses.response.kl` is `response.kl`.

    A function of kdlab's own has the name of its file and its own, so that a file may move to
    another folder without a change of any uid; anyone else's has its whole path. No two functions
    share such a name, as no two files of kdlab do.
    """
    package, *path = target.split(".")
    return ".".join(path[-2:]) if package == "kdlab" else target


@cache
def layers_of(view: str) -> str | None:
    """What a view takes beside a trace: a `layer`, all matched `layers` at once, or neither."""
    found = {"layer", "layers"} & inspect.signature(function(view)).parameters.keys()
    return next(iter(found), None)

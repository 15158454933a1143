"""What a run effectively does, as plain data, and the hash that names it: its uid."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kdlab.models import checkpoints
from kdlab.options.callables import Call
from kdlab.options.memo import by_content, of_files
from kdlab.options.schema import Task, Train
from kdlab.run import Init, Matching, Run, Term, is_everywhere, teachers

IDENTITY = 2  # raised when the same page would come to mean something else


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
    if term.matching:
        page["matching"] = _matching(term.matching)
    # What was added to terms later is left out at its neutral value, so that earlier uids stay.
    if term.matching or term.projection_rule != "none":
        page["projection"] = term.projection_rule
    if term.projection and term.projection.shared and term.matching:
        page["projection_shared"] = True
    if term.projection and term.projection.lr is not None:
        page["projection_lr"] = term.projection.lr
    return page | _schedules(term.schedules)


def _matching(matching: Matching) -> dict[str, Any]:
    page: dict[str, Any] = {"pairs": matching.pairs, "pair_weight": matching.pair_weight}
    page |= {"mix": matching.mix} if matching.mix != "losses" else {}
    return page | ({"weigh": _whole(matching.weigh)} if matching.weigh else {})


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

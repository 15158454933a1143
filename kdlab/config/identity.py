"""What a run effectively does, as plain data, and the hash that names it: its uid.

Two runs that do the same have one uid, however they were described: options that nothing uses are
left out, and data and checkpoints go by their content, not by where they lie. A change of what is
hashed here gives every run another uid and orphans all finished ones, so a key that is added later
is left out at its neutral value, and tests/kdlab/config/test_identity.py holds uids to be kept.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kdlab.models import checkpoints, origins
from kdlab.options.callables import Call
from kdlab.options.memo import by_content, of_files
from kdlab.options.schema import Train
from kdlab.run import Checkpoint, Init, Matching, Run, Term, compares_all_tokens

IDENTITY = 2  # raised when the same plain data would come to mean something else


def batch_key(run: Run) -> str:
    """What runs must share to be trained side by side over the same batches, hashed."""
    keys = ("epochs", "batch_size", "batching", "precision", "stop")
    shared = {
        "seed": run.seed,
        "task": _task(run),
        "data": _data(run),
        "train": {key: getattr(run.train, key) for key in keys},
        "protocol": _protocol(run),
        "tokenizer": _tokenizer(run),
    }
    if compares_all_tokens(run):  # the teacher then keeps outputs of all tokens, not of masked ones
        shared["everywhere"] = True
    return digest(shared)


def teacher_key(run: Run) -> str | None:
    """What names the run's teacher: its uid, or those of all folds joined by `+`; the identity of a
    finished checkpoint; None without a teacher.
    """
    return "+".join(map(origins.identity, run.teachers)) or None


def effective(run: Run) -> dict[str, Any]:
    """What a run does, as plain data: unused nodes left out, files by the digest of their content.

    This is what is hashed. The order of keys and the type of numbers do not count.
    """
    return {
        "identity": IDENTITY,
        "seed": run.seed,
        "hard": {"weight": run.hard_weight} | _schedules(run.hard_schedules),
        "task": _task(run),
        "data": _data(run),
        "train": _train(run.train),
        "protocol": _protocol(run),
        "tokenizer": _tokenizer(run),
        "student": dict(vars(run.student)),
        "init": _init(run.init),
        "terms": {term.key: _term(term) for term in run.terms},
        "teacher": teacher_key(run),
    }


def digest(plain: Mapping[str, Any]) -> str:
    """A 128-bit hash of plain data, as 32 hexadecimal digits; the same for 2 and 2.0.

    Raises:
        ValueError: a number is infinite or none.
    """
    # The JSON of the whole, put together from that of its parts, which thousands of runs share.
    text = ",".join(_json({key: plain[key]})[1:-1] for key in sorted(plain))
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


def _task(run: Run) -> dict[str, Any]:
    splits = [run.task.train, *run.task.report.values()]
    # The test split counts where a student trains on its texts, and not where it is only predicted.
    if run.data.extra_split == "test" and run.data.transfer == "unlabelled" and run.task.test:
        splits.append(run.task.test)
        unused = {"name", "predict"}
    else:
        unused = {"name", "predict", "test"}
    if run.protocol.select_on == "report":
        unused.add("holdout")
    unused |= {"classes", "label", "labels"} if run.task.is_language_model else {"masked"}
    plain = {key: value for key, value in vars(run.task).items() if key not in unused}
    if "holdout" in plain:
        plain["holdout"] = stored_name(plain["holdout"])
    source = stored_name(run.source.target)
    return plain | {"source": source, "rows": _rows(run.source, splits)}


@of_files
def _rows(source: Call, splits: list[str]) -> Any:
    return source.bind()().identity(splits)


def _protocol(run: Run) -> dict[str, Any]:
    unused = ("select", "select_max") if run.protocol.select_on == "report" else ()
    return {key: value for key, value in vars(run.protocol).items() if key not in unused}


def _train(train: Train) -> dict[str, Any]:
    neutral = {"stop": 1, "freeze_encoder": False}
    plain = {key: v for key, v in vars(train).items() if key not in neutral or v != neutral[key]}
    if train.clip is None:
        del plain["clip_scope"]
    return plain


def _data(run: Run) -> dict[str, Any]:
    plain = dict(vars(run.data))
    if run.data.transfer == "same":
        plain = {key: plain[key] for key in ("rows", "transfer", "fold")}
    if run.data.fold is None:
        del plain["fold"]
    return plain


def _tokenizer(run: Run) -> str:
    # Without one, the words of the task's own rows are the tokens.
    return checkpoints.identity(run.tokenizer) if run.tokenizer else "words"


def _init(init: Init) -> dict[str, Any]:
    plain = {"name": init.name, "weights": init.weights, **_call(init.call)}
    # Of `finetuned` weights the teacher says it, which is hashed beside.
    if isinstance(init.origin, Checkpoint) and init.weights != "finetuned":
        plain["checkpoint"] = origins.identity(init.origin)
    if init.stage:
        plain |= {"run": init.stage.uid, "head": init.head}
    return plain


def _term(term: Term) -> dict[str, Any]:
    plain = {"name": term.name, "weight": term.weight, "view": stored_name(term.view)}
    plain |= _call(term.loss)
    if term.matching:
        plain["matching"] = _matching(term.matching)
    # What was added to terms later is left out at its neutral value, so that earlier uids stay.
    if term.matching or term.projection_rule != "none":
        plain["projection"] = term.projection_rule
    if term.projection and term.projection.shared and term.matching:
        plain["projection_shared"] = True
    if term.projection and term.projection.lr is not None:
        plain["projection_lr"] = term.projection.lr
    return plain | _schedules(term.schedules)


def _matching(matching: Matching) -> dict[str, Any]:
    plain: dict[str, Any] = {"pairs": matching.pairs, "pair_weight": matching.pair_weight}
    plain |= {"mix": matching.mix} if matching.mix != "losses" else {}
    return plain | ({"weigh": _call(matching.weigh)} if matching.weigh else {})


def _schedules(schedules: Mapping[str, Call]) -> dict[str, Any]:
    plain = {key: _call(call) for key, call in schedules.items()}
    return {"schedules": plain} if plain else {}


def _call(call: Call) -> dict[str, Any]:
    """A function's name, under a key that no knob can have, and its knobs."""
    return {"_target_": stored_name(call.target), **call.knobs}


def stored_name(target: str) -> str:
    """What a function is called in what is kept: `kdlab.losses.response.kl` is `response.kl`.

    A function of kdlab's own has the name of its file and its own, so that a file may move to
    another folder without a change of any uid; anyone else's has its whole path. No two functions
    share such a name, as no two files of kdlab do.
    """
    package, *path = target.split(".")
    return ".".join(path[-2:]) if package == "kdlab" else target

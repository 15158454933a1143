"""A run's parents as overrides: its teacher, the teacher's own teachers, the run it starts from.

A parent is a run like any other: its overrides are composed, checked and hashed, and it leaves a
record. What it shares with its child is said here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from kdlab import streams
from kdlab.architecture import Architecture
from kdlab.config.overrides import contradiction, is_operational
from kdlab.config.overrides import key as key_of
from kdlab.errors import BadInput, NotApplicable
from kdlab.models import checkpoints
from kdlab.options.schema import Page, Teacher
from kdlab.run import Run

Compose = Callable[..., Run]
Fold = tuple[int, int] | None
SPLITS = ("select_on", "select", "select_max")


def teachers(page: Page, overrides: tuple[str, ...], parent: Compose) -> tuple[Run, ...]:
    """The runs that teach: one, or one for each fold; none where a finished checkpoint does."""
    teacher = page.teacher
    if teacher.finetuned and (teacher.stop != 1 or teacher.folds):
        key = "folds" if teacher.folds else "stop"
        raise BadInput(f"teacher.{key}: teacher={teacher.name} is finished, not trained here")
    if _finished_teaches(teacher):
        return ()
    if teacher.size is None and not teacher.finetuned:
        raise BadInput("teacher=none: knowledge and finetuned inits need a teacher")
    is_masked = page.task.get("masked") is not None
    if teacher.folds and is_masked:
        what = "a text is its own labels; there is nothing to cross-fit"
        raise NotApplicable(f"teacher.folds: {what}")
    if teacher.folds and page.init.get("weights") == "finetuned":
        what = "init.weights=finetuned needs one teacher, not one a fold"
        raise NotApplicable(f"teacher.folds: {what}")
    _check_own("teacher.overrides", teacher.overrides, ())
    _check_own("teacher.assistant_overrides", teacher.assistant_overrides, ("teacher", "size"))
    folds: list[Fold] = [page.data.fold]
    if teacher.folds:
        if page.data.fold:
            raise BadInput("teacher.folds: the student leaves out data.fold already")
        folds = [(fold, teacher.folds) for fold in range(teacher.folds)]
    # On a corpus a pretrained teacher learns a head and stays what it is, unless told not to.
    kept = is_masked and teacher.checkpoint and not teacher.assistants
    frozen = ["train.freeze_encoder=true"] if kept else []
    try:
        found = tuple(
            parent(*frozen, *parent_overrides(teacher, overrides, fold)) for fold in folds
        )
    except BadInput as error:
        kind = type(error) if teacher.assistants else BadInput  # a chain may not fit a student
        raise kind(f"teacher={teacher.name}: {error}") from None
    if any(run.data.fold != fold for run, fold in zip(found, folds, strict=True)):
        raise BadInput("teacher.assistant_overrides: data.fold: it is what the student leaves out")
    return found


def _check_own(key: str, own: list[str], taken: tuple[str, ...]) -> None:
    _check_list(key, own)
    for text in own:
        if _is_inherited(text):
            raise BadInput(f"{key}: {text}: task and splits are the student's")
        if _top(text) in taken:
            raise BadInput(f"{key}: {text}: the chain says it (teacher, teacher.assistants)")


def _check_list(key: str, own: list[str]) -> None:
    """Refuse what would be ignored: where a parent is computed, or the first of two values."""
    if both := contradiction(own):
        raise BadInput(f"{key}: {both}")
    for text in own:
        if is_operational(text):
            raise BadInput(f"{key}: {text}: where and how runs are computed is said of the student")


def _finished_teaches(teacher: Teacher) -> bool:
    return teacher.finetuned and not teacher.assistants


def finished(page: Page) -> str | None:
    """The finished checkpoint that serves as teacher, if one does."""
    return page.teacher.checkpoint if _finished_teaches(page.teacher) else None


def teacher_architecture(teacher: Run | None, finished: str | None) -> Architecture | None:
    """The dimensions of a teacher, None where there is none."""
    if teacher:
        return teacher.student
    return checkpoints.architecture(finished) if finished else None


def parent_overrides(teacher: Teacher, overrides: tuple[str, ...], fold: Fold) -> list[str]:
    """The teacher's run, as overrides: the student's task and splits, the teacher's own rest.

    With `assistants` it is the run of the last of them, whose teacher is the one before: teacher
    assistants (Mirzadeh et al. 2019, arXiv 1902.03393) or, at equal sizes, born-again generations
    (Furlanello et al. 2018, arXiv 1805.04770). An assistant has the teacher's rows, rate and
    epochs, and a seed drawn from the teacher's and its place, so that generations of one size
    start apart.

    Args:
        teacher: of the student's page.
        overrides: the student's.
        fold: what the student, or the student's rows of one fold, must not meet.
    """
    inherited = [text for text in overrides if _is_inherited(text)]
    own: dict[str, Any] = {
        "teacher": "none",
        "knowledge": "none",
        "family": teacher.family,
        "tokenizer": teacher.tokenizer,
        "size": teacher.size,
        "seed": teacher.seed,
        "data.rows": teacher.rows,
        "train.lr": teacher.lr,
        "train.epochs": teacher.epochs,
    }
    if fold:
        own["data.fold"] = list(fold)
    if teacher.assistants:
        *earlier, own["size"] = teacher.assistants
        own["seed"] = streams.key(teacher.seed, f"assistant/{len(earlier) + 1}") % 2**31
        chain = _group(teacher, {"assistants": earlier, "folds": None})
        for key in [key for key in own if key in ("teacher", "knowledge") or own[key] is None]:
            del own[key]  # None: of a finished teacher, which has no rate or epochs
        return [*inherited, *chain, *_said(own), *teacher.assistant_overrides]
    if teacher.stop != 1:
        own["train.stop"] = teacher.stop
    if teacher.checkpoint:
        own["++init.checkpoint"] = teacher.checkpoint
    return [*inherited, *teacher.overrides, *_said(own)]


def stage(page: Page, student: Architecture, overrides: tuple[str, ...], parent: Compose) -> Run:
    """The run that `init=run` starts from.

    It has the student's seed, architecture and teacher, and on the same task its rows and splits;
    whatever `init.run` says comes on top. Stages: Jiao et al. 2020, arXiv 1909.10351 (intermediate
    layers, then outputs).

    Raises:
        BadInput: it cannot be run, or it has seen what the student must not see.
    """
    own: list[str] = page.init["run"]
    _check_list("init.run", own)
    named = {text.partition("=")[0] for text in own}
    said: dict[str, Any] = {
        "seed": page.seed,
        "family": student.family,
        "tokenizer": page.tokenizer,
        "size": f"l{student.layers}_h{student.hidden}_a{student.heads}",
        "size.intermediate": student.intermediate,
        "shape": "standard",
    }
    inherited: list[str] = []
    if "task" not in named:
        inherited = [text for text in overrides if _is_inherited(text)]
        said |= {"data.rows": page.data.rows}
        said |= {"data.fold": list(page.data.fold)} if page.data.fold else {}
    chain = [] if "teacher" in named else _group(page.teacher, {})
    try:
        return parent(*inherited, *chain, *_said(said), *own)
    except BadInput as error:
        raise type(error)(f"init.run: {error}") from None


def check_stage(run: Run) -> None:
    """Refuse a run to start from that knows rows or words which the student must not."""
    before = run.init.run
    if before is None:
        return
    is_same = (before.source, before.task.train) == (run.source, run.task.train)
    if is_same and any(getattr(before.protocol, k) != getattr(run.protocol, k) for k in SPLITS):
        raise BadInput("init.run: it trains on other splits of the same task: it may see select")
    if is_same and run.data.fold and before.data.fold != run.data.fold:
        raise BadInput("init.run: it trains on the fold that data.fold leaves out")
    if before.tokenizer != run.tokenizer or (run.tokenizer is None and not is_same):
        raise BadInput("init.run: it reads other tokens than the student: name one tokenizer")
    if run.init.head == "keep" and before.task.name != run.task.name:
        raise BadInput(
            f"init.head=keep: the run's classifier is for task {before.task.name}, "
            f"not {run.task.name}"
        )


def _group(teacher: Teacher, changed: dict[str, Any]) -> list[str]:
    """A page's teacher group as overrides, so that a parent has the same teacher."""
    values = {f.name: getattr(teacher, f.name) for f in fields(teacher) if f.name != "name"}
    keys = {f"teacher.{key}": value for key, value in (values | changed).items()}
    return [f"teacher={teacher.name}", *_said(keys)]


def _said(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_value(key, value)}" for key, value in values.items()]


def _value(key: str, value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(_value(key, item) for item in value)}]"
    if isinstance(value, str):
        return value if key in BARE else quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


BARE = ("family", "size", "shape", "teacher", "knowledge")  # options and names of Hydra's own


def quoted(text: str) -> str:
    """In Hydra's single quotes, where only backslashes before a quote are doubled."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


@lru_cache(4096)
def _is_inherited(override: str) -> bool:
    own = ("protocol.checkpoint", "protocol.evaluations")
    return _top(override) in ("task", "protocol") and key_of(override) not in own


def _top(override: str) -> str:
    return key_of(override).partition(".")[0]

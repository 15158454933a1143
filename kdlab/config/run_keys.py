"""A run's keys: what it effectively does, flat, under the names that a command line uses.

`{"train": {"lr": 0.001}}` is `{"train.lr": 0.001}`. Tables compare runs by these.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kdlab.config.identity import effective, teacher_key
from kdlab.options.memo import by_content
from kdlab.run import Run

Keys = dict[str, Any]
PARENTS = ("teacher.", "init.run.")  # prefixes of what a parent does
# What follows from the options themselves or from the layers that are matched.
IMPLIED = {"name", "_target_", "view", "pairs", "pair_weight", "weigh", "run"}


def applied(run: Run) -> dict[str, str]:
    """The options that a run uses, by group; `none` for one that is chosen and changes nothing.

    Such is a matching where no term compares layers, or a teacher that no term and no init uses.
    """
    unused = set()
    if not any(term.matching for term in run.terms):
        unused.add("matching")
    if teacher_key(run) is None and run.init.weights != "pretrained":
        unused.add("teacher")
    return {group: "none" if group in unused else name for group, name in run.choices.items()}


def keys(run: Run) -> Keys:
    """Every key that decides what a run does but its seed, its task and its architecture.

    Of its teacher (that of fold 0) and of an earlier stage too, under `teacher.` and `init.run.`;
    lists as JSON.
    """
    plain = effective(run)
    groups = {key: plain[key] for key in ("hard", "data", "train", "protocol", "init")}
    flat = {"task.max_length": run.task.max_length, "tokenizer": plain["tokenizer"]}
    for group, node in (groups | {"knowledge": plain["terms"]}).items():
        flat |= _flat(f"{group}.", node)
    for prefix, parent in zip(PARENTS, (run.teacher, run.init.stage), strict=True):
        if parent:
            flat |= {f"{prefix}{key}": value for key, value in _of_parent(parent).items()}
    return flat


def varying(runs: Iterable[tuple[str, Keys]]) -> set[str]:
    """Keys that have several values among the runs of one group that have them.

    A parent's key that only some parents have is one too: no option of the run itself tells of it.

    Args:
        runs: the group of each, and its keys.
    """
    first: dict[tuple[str, str], Any] = {}  # of each group the first value of each key,
    first_keys: dict[tuple[str, str], set[str]] = {}  # and the keys of the first of its parents
    differing: set[str] = set()
    for group, flat in runs:
        for key, value in flat.items():
            if first.setdefault((group, key), value) != value:
                differing.add(key)
        for prefix in PARENTS:
            if of_parent := {key for key in flat if key.startswith(prefix)}:
                differing |= of_parent ^ first_keys.setdefault((group, prefix), of_parent)
    return differing


_parents: dict[str, Keys] = {}


def _of_parent(parent: Run) -> Keys:
    """A parent's keys and its size, kept by its uid: thousands of runs share one."""
    if parent.uid not in _parents:
        student = parent.student
        size = {"size": f"l{student.layers}_h{student.hidden}"}
        _parents[parent.uid] = size | keys(parent)
    return _parents[parent.uid]


@by_content
def _flat(prefix: str, node: Mapping[str, Any]) -> Keys:
    flat: Keys = {}
    for key, value in node.items():
        if key in IMPLIED:
            continue
        if isinstance(value, Mapping):
            flat |= _flat(f"{prefix}{key}.", value)
        else:
            is_list = isinstance(value, list | tuple)
            flat[f"{prefix}{key}"] = json.dumps(value) if is_list else value
    return flat

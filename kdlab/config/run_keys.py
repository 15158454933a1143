"""A run's keys: what it effectively does, flat, under the names that a command line uses."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from kdlab.config.identity import effective, teacher_key
from kdlab.options.memo import by_content
from kdlab.run import Run

Keys = dict[str, Any]
# What follows from the options themselves or from the layers that are matched.
PARENTS = ("teacher.", "init.run.")  # prefixes of what a parent does
IMPLIED = {"name", "_target_", "view", "pairs", "pair_weight", "weigh", "run"}


def applied(run: Run) -> dict[str, str]:
    """The options that a run uses: a matching without layers, or a teacher unheard, is `none`."""
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
    page = effective(run)
    found = {
        **_flat("hard", page["hard"]),
        **_flat("data", page["data"]),
        **_flat("train", page["train"]),
        **_flat("protocol", page["protocol"]),
        **_flat("init", page["init"]),
        **_flat("knowledge", page["terms"]),
        "task.max_length": run.task.max_length,
        "tokenizer": page["tokenizer"],
    }
    for prefix, parent in (("teacher", run.teacher), ("init.run", run.init.run)):
        if parent:
            found |= {f"{prefix}.{key}": value for key, value in _of_parent(parent).items()}
    return found


def varying(pages: Iterable[tuple[str, Keys]]) -> set[str]:
    """Keys that have several values among the pages of one group that have them.

    A parent's key that only some parents have is one too: no option of the run itself says so.

    Args:
        pages: the group of each, and the page.
    """
    first: dict[tuple[str, str], Any] = {}
    counts: Counter[tuple[str, str]] = Counter()
    found = set()
    for group, page in pages:
        counts.update((group, prefix) for prefix in PARENTS if _has(page, prefix))
        for key, value in page.items():
            if first.setdefault((group, key), value) != value:
                found.add(key)
            if key.startswith(PARENTS):
                counts[group, key] += 1
    for group, key in first:
        whose = next((prefix for prefix in PARENTS if key.startswith(prefix)), None)
        if whose and counts[group, key] < counts[group, whose]:
            found.add(key)
    return found


def _has(page: Keys, prefix: str) -> bool:
    return f"{prefix}hard.weight" in page  # every run has it


_parents: dict[str, Keys] = {}


def _of_parent(parent: Run) -> Keys:
    """Kept by uid: thousands of runs share one."""
    if parent.uid not in _parents:
        student = parent.student
        size = {"size": f"l{student.layers}_h{student.hidden}"}
        _parents[parent.uid] = size | keys(parent)
    return _parents[parent.uid]


@by_content
def _flat(prefix: str, page: Mapping[str, Any]) -> Keys:
    found: Keys = {}
    for key, value in page.items():
        if key in IMPLIED:
            continue
        if isinstance(value, Mapping):
            found |= _flat(f"{prefix}.{key}", value)
        else:
            is_list = isinstance(value, list | tuple)
            found[f"{prefix}.{key}"] = json.dumps(value) if is_list else value
    return found

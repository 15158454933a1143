"""Shards: the cohorts of one task, frozen in a file that its worker reads in place of `conf/`.

An edit of `conf/` does not change what is queued.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kdlab.config import frozen
from kdlab.errors import BadInput
from kdlab.options.parsing import parse
from kdlab.options.schema import Execution
from kdlab.run import Run
from kdlab.storage.durable import short_digest, write_whole


@dataclass(frozen=True)
class Shard:
    """What a task does.

    Attributes:
        study: whose runs they are.
        execution: where and how they are computed.
        cohorts: uids of runs that train side by side, in the order of the work.
        save: uids whose model is kept, because runs start or learn from it.
        again: uids that are repeated although they are recorded.
        predict: uids whose outputs on test splits are kept.
        runs: frozen runs and their ancestors by uid.
    """

    study: str
    execution: Execution
    cohorts: list[list[str]]
    save: list[str]
    again: list[str]
    predict: list[str]
    runs: Mapping[str, Any]

    def run(self, uid: str) -> Run:
        """A run of the shard, or an ancestor of one."""
        return frozen.thaw(self.runs, uid)

    def parents(self, uid: str) -> list[str]:
        """The uids of the runs whose models a run starts or learns from."""
        return frozen.parent_uids(self.runs[uid])

    def depth(self, uid: str) -> int:
        """How many generations a run has before it."""
        return max((1 + self.depth(parent) for parent in self.parents(uid)), default=0)


def write(
    cohorts: Sequence[Sequence[Run]],
    study: str,
    execution: Execution,
    save: set[str],
    again: set[str],
    predict: Collection[str] = (),
) -> Path:
    """Write a shard under a name made of its content; return the file.

    Args:
        cohorts: in the order of the work.
        study, execution: as in `Shard`; options of the launcher are left out.
        save, again, predict: uids as in `Shard`, of any runs: those of the shard are kept.
    """
    runs = [run for cohort in cohorts for run in cohort]
    family = frozen.freeze(runs)
    shard = {
        "study": study,
        "execution": asdict(replace(execution, launcher={})),  # they may name accounts
        "cohorts": [[run.uid for run in cohort] for cohort in cohorts],
        "save": [uid for uid in family if uid in save],
        "again": [run.uid for run in runs if run.uid in again],
        "predict": [run.uid for run in runs if run.uid in predict],
        "runs": family,
    }
    content = json.dumps(shard).encode()
    path = Path(execution.root) / "studies" / study / "shards" / f"{short_digest(content)}.json"
    # A launch that is repeated finds its shards; one that a disk has damaged is written anew.
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content)
    return path


def read(path: str | Path) -> Shard:
    """The shard of a file.

    Raises:
        BadInput: it is not there, or not as it was written.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path}: no such shard; launch again") from None
    # The name is the digest of what was written, so that any change of the file is noticed.
    if short_digest(content) != Path(path).stem:
        raise BadInput(f"{path}: damaged, its name does not fit; launch again")
    shard = json.loads(content)
    return Shard(**(shard | {"execution": parse(Execution, shard["execution"])}))

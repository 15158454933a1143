"""A submission, an intent and a line of squeue, for tests in which SLURM is played."""

from functools import cache
from pathlib import Path

from kdlab.config.compose import execution
from sweeps.journal import events
from sweeps.launchers import choice, contract
from sweeps.launchers.submission import Submission

INTENT = "0123456789ab"

NAME = f"kdlab-{INTENT}"

TIMED_OUT = (1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv")


def calls(answers, command):
    return [words for words, _ in answers["calls"] if words[0] == command]


def submitted(root, *more, exclude=(), tasks=2):
    array = Submission(
        intent=INTENT, title="s, level 0", shards=[Path("/x.json")] * tasks, after={},
        exclude=exclude, level_tasks=tasks, root=root, code=Path("/code"),
        folder=root / "logs" / INTENT,
    )  # fmt: skip
    return launcher("launcher=slurm", *more).call.bind()(array)


@cache
def launcher(*overrides):
    return choice.launcher(execution(*overrides))


def intend(root, tasks, intent=INTENT, **more):
    events.append(
        root, "intent", intent=intent, study="s", launcher="slurm", minutes=60,
        shards=[f"/{number}.json" for number in range(len(tasks))], uids=tasks, **more,
    )  # fmt: skip


def live(root):
    return contract.live(root, events.fold(root))


def row(name=NAME, job="7", index=0, state="RUNNING"):
    return f"{job}_{index}|{state}|{name}\n"

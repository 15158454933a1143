"""The files that submitit's tasks need: a batch script, and a pickled call for each task.

submitit's `Executor.submit` writes them and calls sbatch in one go. We need the two apart: an
`sbatch` without an answer must not be repeated blindly (`controller.sbatch`), and the calls of a
job that a dead launch left behind are written when it is found (`slurm.adopt`).
"""

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kdlab.errors import BadInput
from kdlab.storage.durable import write_whole
from sweeps.launchers import controller
from sweeps.launchers.submission import Submission, environment

TIMEOUTS = 3  # after which submitit requeues a task no more; the worker always does


def write_script(submission: Submission, options: Mapping[str, Any]) -> Path:
    """Write the batch script of a submission; return its file.

    Args:
        submission: the tasks.
        options: sbatch's options by submitit's names.

    Raises:
        BadInput: this is no machine from which SLURM takes jobs.
    """
    import submitit

    if shutil.which("srun") is None:
        raise BadInput("launcher=slurm: there is no srun here; is this a login node?")
    submission.folder.mkdir(parents=True, exist_ok=True)
    executor: Any = submitit.SlurmExecutor(folder=submission.folder)
    # One task is no array for submitit, and has no index in the names of its files.
    if len(submission.shards) > 1:
        executor.parameters["map_count"] = len(submission.shards)
    executor.update_parameters(
        **options,
        job_name=controller.job_name(submission.intent),
        comment=submission.title,
        stderr_to_stdout=True,
    )
    # Private, and why `pyproject.toml` bounds submitit's version: in public the text comes only
    # with a call of sbatch.
    command = executor._submitit_command_str
    text = executor._make_submission_file_text(command, submission.intent)
    path = submission.folder / "submission.sh"
    write_whole(path, text.encode(), private=True)  # what a shell runs is its owner's business
    return path


def keep_script(script: Path, job: str) -> None:
    """Give a submitted script the name under which submitit keeps that of a job."""
    from submitit.core.utils import JobPaths

    script.replace(JobPaths(folder=script.parent, job_id=job).submission_file)


def exports(code: Path) -> list[str]:
    """The shell lines that set a task's environment."""
    lines = [f"export {key}={shlex.quote(value)}" for key, value in environment(code).items()]
    return [
        *(line + "${PYTHONPATH:+:$PYTHONPATH}" if "PYTHONPATH" in line else line for line in lines),
        # Since 22.05 srun does not take this from sbatch by itself.
        'export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"',
    ]


def write_calls(
    folder: Path, job: str, intent: str, shards: Sequence[Path | str], minutes: float
) -> None:
    """Write the call of every task of a job, as far as it is not there.

    A task that starts before its call is written waits for the file.

    Args:
        folder: of the submission's logs.
        job: the array's job id.
        intent: the submission.
        shards: one file a task.
        minutes: the time limit.
    """
    from submitit.core.utils import DelayedSubmission, JobPaths

    from sweeps.task.worker import work

    for index, shard in enumerate(shards):
        task = job if len(shards) == 1 else f"{job}_{index}"
        path = JobPaths(folder=folder, job_id=task).submitted_pickle
        if not path.exists():
            call = DelayedSubmission(partial(work, str(shard), intent, index, float(int(minutes))))
            call.set_timeout(int(minutes), TIMEOUTS)
            unfinished = path.with_suffix(".partial")
            call.dump(unfinished)
            os.replace(unfinished, path)  # so that a task never reads half of it

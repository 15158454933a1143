"""Submissions that a cluster limits, or answers late or never; SLURM is played here."""

from pathlib import Path

import pytest
from composed import compose
from slurm_played import INTENT, TIMED_OUT, calls, intend, row

from kdlab.config.compose import execution
from sweeps.journal import events, run_states
from sweeps.launchers import choice, slurm
from sweeps.plan.survey import Demand, survey
from sweeps.submit import launch, reconcile

LIMIT = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"  # fmt: skip # noqa: E501


@pytest.fixture(scope="module")
def ten(small):
    return [compose(*small, "knowledge=none", f"seed={seed}") for seed in range(10)]


@pytest.fixture
def work(ten, tmp_path, monkeypatch, slurm_says):
    """Surveys ten runs to do, one a task."""
    slurm_says["execution"] = execution(
        "launcher=slurm", "launcher.cohort=1", f"root={tmp_path / 'runs'}"
    )
    chosen = choice.launcher(slurm_says["execution"])

    def surveyed():
        root = slurm_says["execution"].root
        found = survey(ten, root, chosen, Demand(ask=True))
        packed = [[cohort] for level in found.levels for task in level for cohort in task]
        return found.__class__(**{**vars(found), "levels": [packed] if packed else []})

    monkeypatch.setattr("sweeps.submit.launch.snapshot", lambda _: Path("/code"))
    return surveyed


def limited(answers, room):
    """An sbatch that has room for so many tasks, and refuses what is more."""
    taken = {}

    def sbatch(words):
        text = Path(words[-1]).read_text()
        size = next(
            (int(line.partition("=0-")[2].partition("%")[0]) + 1
             for line in text.splitlines() if line.startswith("#SBATCH --array=0-")),
            1,
        )  # fmt: skip
        if sum(taken.values()) + size > answers["room"]:
            return 1, "", LIMIT
        name = next(line for line in text.splitlines() if "--job-name=" in line).partition("=")[2]
        taken[name] = size
        return f"{100 + len(taken)}\n"

    answers |= {
        "room": room,
        "sbatch": sbatch,
        "squeue": lambda _: "".join(
            row(name, 101 + number, index, "PENDING")
            for number, (name, size) in enumerate(taken.items()) for index in range(size)
        ),
    }  # fmt: skip
    return taken


@pytest.mark.parametrize(("room", "sizes"), [(7, [5, 2]), (3, [2, 1]), (1, [1])])
def test_an_array_above_the_limit_on_jobs_is_divided_and_the_rest_is_named(
    work, slurm_says, capsys, room, sizes
):
    taken = limited(slurm_says, room)
    root = slurm_says["execution"].root
    launch.launch(work(), "s", slurm_says["execution"], set())
    assert list(taken.values()) == sizes
    assert f"{10 - room} of 10 tasks are left; launch again when" in capsys.readouterr().err
    assert sum(word == run_states.QUEUED for word in work().states.values()) == room
    with pytest.raises(RuntimeError, match=f"{10 - room} of {10 - room} tasks are left"):
        launch.launch(work(), "s", slurm_says["execution"], set())
    slurm_says["room"] = 100
    reconcile.settle(root)
    launch.launch(work(), "s", slurm_says["execution"], set())
    assert sum(taken.values()) == 10
    assert set(work().states.values()) == {run_states.QUEUED}


def test_a_limit_that_can_be_read_bounds_the_arrays_from_the_start(slurm_says):
    assert slurm.largest_array() == 1001
    slurm_says["sacctmgr"] = "\n40\n\n400\n"
    assert slurm.largest_array() == 40
    assert slurm.limits() == "MaxArraySize 1001, MaxJobCount 10000, MaxSubmitJobs 40"


@pytest.mark.parametrize("end", ["killed", "no answer"])
def test_a_launch_that_died_behind_sbatch_is_cancelled_and_adopted(
    work, slurm_says, monkeypatch, end
):
    execution, taken = slurm_says["execution"], limited(slurm_says, 100)
    real = slurm_says["sbatch"]

    def killed(words):
        real(words)
        raise KeyboardInterrupt

    queued = slurm_says["squeue"]
    if end == "no answer":  # neither of sbatch nor, for a while, of squeue
        slurm_says["sbatch"] = lambda words: real(words) and TIMED_OUT
        slurm_says["squeue"] = (1, "", "squeue: error: Unable to contact slurm controller")
    else:
        slurm_says["sbatch"] = killed
    todo = plan_of(work, slurm_says, queued)
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        launch.launch(todo, "s", execution, set())
    slurm_says["squeue"] = queued
    assert list(taken.values()) == [10]
    assert reconcile.cancel(execution.root, "s") == 10
    assert calls(slurm_says, "scancel") == [["scancel", "101"]]
    reconcile.settle(execution.root)
    assert set(work().states.values()) == {run_states.QUEUED}
    assert len(list(Path(execution.root).rglob("101_*_submitted.pkl"))) == 10


def plan_of(work, answers, queued):
    """The work to do, surveyed while the queue could still be asked."""
    silent, answers["squeue"] = answers["squeue"], queued
    found = work()
    answers["squeue"] = silent
    return found


def test_a_job_that_appears_late_is_adopted_after_it_was_given_up(slurm_says, tmp_path):
    intend(tmp_path, [["a"]])
    (tmp_path / "logs" / INTENT).mkdir(parents=True)
    reconcile.settle(tmp_path)
    assert events.fold(tmp_path).refused == {INTENT: reconcile.NO_JOB}
    intend(tmp_path, [["a"]], intent="ba9876543210")
    slurm_says["squeue"] = row(job="9")
    reconcile.settle(tmp_path)
    state = events.fold(tmp_path)
    assert (state.intents[INTENT]["job"], set(state.refused)) == ("9", {"ba9876543210"})

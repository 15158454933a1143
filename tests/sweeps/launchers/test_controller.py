"""What SLURM's commands may say, and what becomes of submissions; SLURM is played here."""

import os
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest
from composed import compose

from kdlab.config.compose import execution
from kdlab.errors import BadInput
from kdlab.storage import durable
from sweeps.journal import events, failures, run_states
from sweeps.launchers import choice, contract, controller, slurm
from sweeps.launchers.submission import Submission
from sweeps.plan.survey import Demand, survey
from sweeps.submit import launch, reconcile

INTENT = "0123456789ab"
NAME = f"kdlab-{INTENT}"
TIMED_OUT = (1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv")
LIMIT = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"  # fmt: skip # noqa: E501
GRUMBLE = "Your job 12345 was preempted\nwelcome to the cluster\n"


@pytest.fixture
def slurm_says(monkeypatch):
    """A cluster of four nodes with an empty queue; commands may be given other answers.

    An answer is what a command prints, or (exit code, output, errors), or what gives one of these
    for its words; `calls` keeps the words and the environment of each call.
    """
    answers = {
        "sbatch": "7\n",
        "squeue": "",
        "scancel": "",
        "sinfo": "".join(f"n{number}|main*|idle\n" for number in range(1, 5)),
        "scontrol": "MaxArraySize = 1001\nMaxJobCount = 10000\nPrivateData = none\n",
        "sacctmgr": (1, "", "no accounting here"),
        "calls": [],
    }

    def run(words, *, env, **_):
        answers["calls"].append((list(words), dict(env)))
        said = answers[words[0]]
        said = said(list(words)) if callable(said) else said
        code, out, err = said if isinstance(said, tuple) else (0, said, "")
        if code is None:
            raise subprocess.TimeoutExpired(words, 1)
        if code:
            raise subprocess.CalledProcessError(code, words, out, err)
        return subprocess.CompletedProcess(words, code, out, err)

    monkeypatch.setattr("sweeps.launchers.controller.subprocess.run", run)
    monkeypatch.setattr("sweeps.launchers.controller.sleep", lambda _: None)
    monkeypatch.setattr("sweeps.launchers.submitit_files.shutil.which", lambda _: "srun")
    for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE"))]:
        monkeypatch.delenv(name)
    return answers


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


def script(root):
    (path,) = (root / "logs" / INTENT).glob("*submission.sh")
    return path.read_text()


def intend(root, tasks, intent=INTENT, **more):
    events.append(
        root, "intent", intent=intent, study="s", launcher="slurm", minutes=60,
        shards=[f"/{number}.json" for number in range(len(tasks))], uids=tasks, **more,
    )  # fmt: skip


def live(root):
    return contract.live(root, events.fold(root))


def row(name=NAME, job="7", index=0, state="RUNNING"):
    return f"{job}_{index}|{state}|{name}\n"


def test_lines_of_squeue_that_are_not_ours_are_passed_over(slurm_says, tmp_path):
    intend(tmp_path, [["a"], ["b"]])
    slurm_says["squeue"] = (
        "*** maintenance on Monday | read the news ***\n\n9|RUNNING|a|b\n9_[3-5]|PENDING|kdlab-x\n"
        f"8_0|RUNNING|my {NAME}\n6_7|RUNNING|{NAME}\n5_0|RUNNING|kdlab-ffffffffffff\n{row()}"
        f"|||\n7_1|PENDING|{NAME}"
    )
    assert live(tmp_path) == {(INTENT, 0): "RUNNING", (INTENT, 1): "PENDING"}
    (words,) = calls(slurm_says, "squeue")
    assert f"--name={NAME}" in words
    assert "-u" not in words  # LOGNAME may say anything, and a colleague may have submitted it


@pytest.mark.parametrize("kept", [b"", b"null", b'{"time":1e99,"rows":[]}', b'{"rows":[1]}'])
def test_an_answer_of_squeue_that_was_kept_and_is_none_is_asked_for_again(
    slurm_says, tmp_path, kept
):
    intend(tmp_path, [["a"]])
    slurm_says["squeue"] = row()
    durable.write_whole(tmp_path / "queue.json", kept)
    for _ in range(2):
        found = contract.live(tmp_path, events.fold(tmp_path), fresh=False)
        assert found == {(INTENT, 0): "RUNNING"}
    assert len(calls(slurm_says, "squeue")) == 1
    intend(tmp_path, [["b"]], intent="ba9876543210")  # of which that answer knows nothing
    contract.live(tmp_path, events.fold(tmp_path), fresh=False)
    assert len(calls(slurm_says, "squeue")) == 2


def test_what_a_colleague_submitted_counts_as_there_where_nobody_sees_others(slurm_says, tmp_path):
    intend(tmp_path, [["a"]], user="colleague")
    assert live(tmp_path) == {}
    slurm_says["scontrol"] += "PrivateData = cloud,jobs\n"
    assert live(tmp_path) == {(INTENT, 0): "UNKNOWN"}
    events.append(tmp_path, "worker", intent=INTENT, index=0)
    events.append(tmp_path, "exit", why="all done")
    assert live(tmp_path) == {}


@pytest.mark.parametrize(
    "printed",
    ["7\n", "7;cluster\n", GRUMBLE + "7\n", "Submitted batch job 7\n" + GRUMBLE,
     GRUMBLE + "Submitted batch job 7 on cluster b\n"],
)  # fmt: skip
def test_the_job_id_is_read_from_its_own_line(slurm_says, tmp_path, printed):
    slurm_says["sbatch"] = printed
    assert submitted(tmp_path) == "7"
    assert "--parsable" in calls(slurm_says, "sbatch")[0]
    pickles = {path.name for path in (tmp_path / "logs" / INTENT).glob("*.pkl")}
    assert pickles == {"7_0_submitted.pkl", "7_1_submitted.pkl"}


@pytest.mark.parametrize("answer", [TIMED_OUT, (None, "", ""), GRUMBLE, "7\n8\n"])
def test_a_job_that_was_taken_without_an_answer_is_adopted_not_repeated(
    slurm_says, tmp_path, answer
):
    slurm_says["sbatch"] = answer
    asked = iter([(1, "", "squeue: error: Unable to contact"), row(job="9") + row("other")])
    slurm_says["squeue"] = lambda _: next(asked)
    assert submitted(tmp_path) == "9"
    assert len(calls(slurm_says, "sbatch")) == 1
    assert (tmp_path / "logs" / INTENT / "9_1_submitted.pkl").is_file()


def test_what_slurm_did_not_say_is_neither_repeated_nor_given_up(slurm_says, tmp_path):
    slurm_says |= {"sbatch": TIMED_OUT, "squeue": (1, "", "squeue: error: Unable to contact")}
    with pytest.raises(RuntimeError, match="tried 6 times: squeue: error"):
        submitted(tmp_path)
    assert len(calls(slurm_says, "sbatch")) == 1


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


@pytest.mark.parametrize(
    ("environment", "stated", "kept", "gone"),
    [
        (  # on a login node: what a user set for all jobs, unless the launcher says otherwise
            {"SBATCH_ACCOUNT": "a", "SBATCH_PARTITION": "p", "SBATCH_JOB_NAME": "mine",
             "SBATCH_ARRAY_INX": "0-9", "SBATCH_WAIT": "1", "SLURM_CONF": "/c", "HOME": "/h",
             "CUDA_VISIBLE_DEVICES": "3"},
            ["launcher.partition=gpu"],
            {"SBATCH_ACCOUNT", "SLURM_CONF", "HOME", "CUDA_VISIBLE_DEVICES"},
            {"SBATCH_PARTITION", "SBATCH_JOB_NAME", "SBATCH_ARRAY_INX", "SBATCH_WAIT"},
        ),
        (  # inside an allocation
            {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "8", "SLURM_CPUS_PER_TASK": "4",
             "SLURMD_NODENAME": "n", "SBATCH_ACCOUNT": "a", "SLURM_CONF": "/c", "HOME": "/h",
             "SRUN_CPUS_PER_TASK": "4", "CUDA_VISIBLE_DEVICES": "3", "SUBMITIT_EXECUTOR": "slurm"},
            [],
            {"SLURM_CONF", "HOME"},
            {"SLURM_JOB_ID", "SLURM_MEM_PER_NODE", "SLURM_CPUS_PER_TASK", "SLURMD_NODENAME",
             "SBATCH_ACCOUNT", "SRUN_CPUS_PER_TASK", "CUDA_VISIBLE_DEVICES", "SUBMITIT_EXECUTOR"},
        ),
    ],
)  # fmt: skip
def test_a_submission_inherits_no_allocation_and_no_option_that_is_stated(
    slurm_says, tmp_path, monkeypatch, environment, stated, kept, gone
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_API_KEY", "of the user, for the tasks")
    submitted(tmp_path, *stated)
    (env,) = [env for words, env in slurm_says["calls"] if words[0] == "sbatch"]
    assert kept | {"WANDB_API_KEY"} <= env.keys()
    assert not gone & env.keys()


def test_what_filters_squeue_for_people_does_not_hide_tasks(slurm_says, tmp_path, monkeypatch):
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    monkeypatch.setenv("LOGNAME", "somebody else")
    intend(tmp_path, [["a"]])
    live(tmp_path)
    ((_, env),) = slurm_says["calls"]
    assert "SQUEUE_STATES" not in env
    assert controller.user() != "somebody else"


@pytest.mark.parametrize(
    ("nodes", "blamed", "left_out"),
    [
        (["n1|main*|idle", "n2|main*|mixed"], ["n2", "n1"], "n2"),
        (["n1|main*|idle"], ["n1"], None),
        (["n1|main*|idle", "n2|main*|idle"], ["login", "n9"], None),  # of other machines
        (["n1|main*|idle", "n2|main*|down*", "n3|main*|drained"], ["n1"], None),
        (["n1|main*|idle", "n2|other|idle", "n3|other|idle"], ["n1"], None),
        ([f"n{n}|main*|alloc" for n in range(1, 6)] + ["news | here"], ["n1", "n2", "n3"], "n1,n2"),
        ((1, "", "sinfo: error"), ["n1"], None),
    ],
)
def test_never_more_than_half_of_what_is_up_is_left_out(
    slurm_says, tmp_path, nodes, blamed, left_out
):
    slurm_says["sinfo"] = "\n".join(nodes) if isinstance(nodes, list) else nodes
    submitted(tmp_path, exclude=blamed)
    lines = [line for line in script(tmp_path).splitlines() if "--exclude" in line]
    assert lines == ([f"#SBATCH --exclude={left_out}"] if left_out else [])


def test_a_cluster_that_refuses_what_is_left_out_gets_everything(slurm_says, tmp_path, capsys):
    why = (
        "sbatch: error: Batch job submission failed: Requested node configuration is not available"
    )
    slurm_says["sbatch"] = lambda words: (
        (1, "", why) if "--exclude" in Path(words[-1]).read_text() else "7\n"
    )
    assert submitted(tmp_path, exclude=["n1"]) == "7"
    assert "again, and no host is left out" in capsys.readouterr().out
    slurm_says["sbatch"] = (1, "", why)
    with pytest.raises(BadInput, match="node configuration"):
        submitted(tmp_path, exclude=["n1"])


def test_an_option_by_which_tasks_are_found_again_is_not_for_launchers(slurm_says, tmp_path):
    with pytest.raises(BadInput, match="launcher.additional.job_name: kdlab sets this itself"):
        submitted(tmp_path, "+launcher.additional.job_name=mine")


def test_blame_expires_is_cleared_by_retry_and_trusts_no_clock(tmp_path, monkeypatch):
    def met(node, age, uid):
        monkeypatch.setattr("sweeps.journal.events.time.time", lambda: now - age)
        events.append(
            tmp_path, "trouble", uids=[uid], node=node, error="died", **{"class": "crashed"}
        )
        monkeypatch.undo()

    now = time.time()
    for node, ages in {"old": (2, 1.5), "half": (1.1, 0), "new": (0.5, 0), "far": (-9, -9)}.items():
        for number, age in enumerate(ages):
            met(node, age * failures.BLAME_SECONDS, f"{node}{number}")
    (blame,) = failures.blamed(events.fold(tmp_path))
    assert blame.host == "new"
    assert blame.until == pytest.approx(now + 0.5 * failures.BLAME_SECONDS, abs=1)
    reconcile.forgive(tmp_path, [])
    assert failures.blamed(events.fold(tmp_path)) == []
    met("new", 0, "new2")
    assert failures.blamed(events.fold(tmp_path)) == []  # one is no reason
    met("new", 0, "new3")
    assert [blame.host for blame in failures.blamed(events.fold(tmp_path))] == ["new"]


def test_a_launcher_that_only_an_event_names_is_not_loaded(tmp_path, monkeypatch):
    (tmp_path / "smuggled.py").write_text("raise SystemExit('loaded')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("smuggled", "os", ""):
        with pytest.raises(BadInput, match="which is not here"):
            contract.find(name)
    assert contract.find("slurm") is slurm

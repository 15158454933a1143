"""What SLURM's commands may say, and what is said to them; SLURM is played here."""

from pathlib import Path

import pytest
from slurm_played import INTENT, NAME, TIMED_OUT, calls, intend, live, row, submitted

from kdlab.errors import BadInput
from kdlab.storage import durable
from sweeps.journal import events
from sweeps.launchers import contract, controller, slurm

GRUMBLE = "Your job 12345 was preempted\nwelcome to the cluster\n"


def script(root):
    (path,) = (root / "logs" / INTENT).glob("*submission.sh")
    return path.read_text()


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


def test_a_launcher_that_only_an_event_names_is_not_loaded(tmp_path, monkeypatch):
    (tmp_path / "smuggled.py").write_text("raise SystemExit('loaded')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("smuggled", "os", ""):
        with pytest.raises(BadInput, match="which is not here"):
            contract.find(name)
    assert contract.find("slurm") is slurm

"""The cluster does with real jobs what other tests rely on."""

import tempfile
from pathlib import Path

import pytest

from .cluster import Cluster
from .configuration import Settings
from .processes import alive, wait_until

# A step that, asked by USR2 as submitit's are, puts its job back into the queue; then it ends.
REQUEUES_ITSELF = """\
[ $SLURM_RESTART_COUNT ] && exit
trap "touch {folder}/asked; scontrol requeue $SLURM_JOB_ID" USR2
touch {folder}/started
while true; do sleep 0.1; done
"""


def submit(slurm: Cluster, script: str, *options: object) -> str:
    """The id of a job with this script; what it prints is lost."""
    options = ("--parsable", "-o", "/dev/null", *options)
    return slurm.sh("sbatch", *options, "--wrap", script).strip()


def reaches(slurm: Cluster, job_id: str, state: str, seconds: float = 30) -> None:
    """Wait until a job, or each task of an array, is in this state."""
    wait_until(lambda: set(slurm.state(job_id).split()) == {state}, f"{job_id} {state}", seconds)


def test_every_task_of_an_array_runs(slurm, tmp_path):
    job = submit(slurm, f"touch {tmp_path}/$SLURM_ARRAY_TASK_ID", "--array=0-9%4")
    reaches(slurm, job, "COMPLETED")
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(task) for task in range(10)]
    assert len(slurm.state(job).split()) == 10


def test_jobs_on_one_node_get_gpus_of_their_own(slurm, tmp_path):
    script = f"echo $CUDA_VISIBLE_DEVICES > {tmp_path}/$SLURM_ARRAY_TASK_ID; sleep 2"
    job = submit(slurm, script, "--array=0-1", "--gpus-per-node=2", "--nodelist=node2")
    reaches(slurm, job, "COMPLETED")
    assert {path.read_text().strip() for path in tmp_path.iterdir()} == {"0,1", "2,3"}
    with pytest.raises(RuntimeError, match="node configuration is not available"):
        submit(slurm, "true", "--gpus-per-node=5")


def test_jobs_whose_node_dies_run_again_on_another(slurm, tmp_path):
    record = f"{tmp_path}/$SLURM_ARRAY_TASK_ID"
    script = f"echo $SLURMD_NODENAME >> {record}; [ $SLURM_RESTART_COUNT ] || sleep 100"
    job = submit(slurm, script, "--array=0-1", "--exclude=node2,node3,node4")
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "both tasks run")
    slurm.kill_node("node1")
    reaches(slurm, job, "PENDING")
    assert slurm.node_states()["node1"] == "down"
    for task in (f"{job}_0", f"{job}_1"):
        slurm.sh("scontrol", "update", f"jobid={task}", "excnodelist=")
    assert sorted(slurm.hurry()) == [f"{job}_0", f"{job}_1"]
    assert slurm.hurry() == []
    reaches(slurm, job, "COMPLETED")
    for path in tmp_path.iterdir():
        first, second = path.read_text().split()
        assert first == "node1"
        assert second in slurm.nodes[1:]
    slurm.start_node("node1")
    slurm.wait_idle()


def test_a_job_in_high_sends_one_in_main_back_to_the_queue(slurm, tmp_path):
    whole = ("--nodes=4", "--ntasks-per-node=1", "--cpus-per-task=8")
    step = f"srun -N1 -n1 bash -c '{REQUEUES_ITSELF.format(folder=tmp_path)}'"
    low = submit(slurm, step, "--signal=USR2@90", *whole)
    wait_until((tmp_path / "started").exists, "low runs")
    high = submit(slurm, "true", "--partition=high", *whole)
    reaches(slurm, high, "COMPLETED")
    assert (tmp_path / "asked").exists()
    reaches(slurm, low, "PENDING")
    assert slurm.hurry() == [low]
    reaches(slurm, low, "COMPLETED")


@pytest.mark.long
def test_a_job_that_outlives_its_limit_times_out(slurm):
    job = submit(slurm, "exec sleep 300")
    reaches(slurm, job, "RUNNING")
    slurm.expire(job)
    reaches(slurm, job, "TIMEOUT", seconds=60)


def test_jobs_run_on_while_the_controller_is_away(slurm, tmp_path):
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.1; done; touch {tmp_path}/ended"
    job = submit(slurm, script)
    reaches(slurm, job, "RUNNING")
    slurm.stop_controller()
    (tmp_path / "go").touch()
    wait_until((tmp_path / "ended").exists, "job ends without a controller")
    slurm.start_controller()
    reaches(slurm, job, "COMPLETED")


def test_sacct_knows_each_task_by_its_state_and_node(slurm):
    job = submit(slurm, "exit $SLURM_ARRAY_TASK_ID", "--array=0-1", "--nodelist=node3")
    wait_until(lambda: slurm.state(job).split() == ["COMPLETED", "FAILED"], "both tasks ended")
    answer = slurm.sh("sacct", "-o", "JobID,State,NodeList", "--parsable2", "-j", job)
    assert answer.split() == [
        "JobID|State|NodeList",
        f"{job}_0|COMPLETED|node3",
        f"{job}_1|FAILED|node3",
    ]


def test_a_second_cluster_has_its_own_limits_and_leaves_nothing_behind(slurm, directory, tmp_path):
    small = Cluster(Path(tempfile.mkdtemp(dir=directory)), Settings(nodes=1, max_array_size=10))
    small.start()
    try:
        step = f"srun sh -c 'echo $$ > {tmp_path}/step; sleep 100; true'"
        job = submit(small, f"echo $$ > {tmp_path}/job; {step}", "--array=0-9%1")
        wait_until((tmp_path / "step").exists, "a task runs")
        with pytest.raises(RuntimeError, match="Invalid job array specification"):
            submit(small, "true", "--array=0-10")
        assert slurm.state(job) == ""
        started = small.processes()
    finally:
        small.stop()
    jobs = {int((tmp_path / name).read_text()) for name in ("job", "step")}
    assert started > jobs
    assert not [pid for pid in started if alive(pid)]
    assert not small.directory.exists()
    assert set(slurm.node_states().values()) == {"idle"}

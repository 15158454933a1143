"""The cluster does with real jobs what other tests rely on."""


import pytest

from .cluster import Cluster
from .processes import wait_until

# A job that, asked to end by USR2 as submitit's jobs are, puts itself back into the queue.
REQUEUES_ITSELF = """\
trap 'scontrol requeue $SLURM_JOB_ID' USR2
sleep 100 & while [ "$SLURM_RESTART_COUNT" = "" ]; do wait; done
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


def test_a_job_whose_node_dies_runs_again_on_another(slurm, tmp_path):
    script = f"echo $SLURMD_NODENAME >> {tmp_path}/ran; [ $SLURM_RESTART_COUNT ] || sleep 100"
    job = submit(slurm, script)
    wait_until((tmp_path / "ran").exists, "job runs")
    first = (tmp_path / "ran").read_text().strip()
    slurm.kill_node(first)
    reaches(slurm, job, "PENDING")
    assert slurm.node_states()[first] == "down"
    assert slurm.hurry() == [job]
    assert slurm.hurry() == []
    reaches(slurm, job, "COMPLETED")
    second = (tmp_path / "ran").read_text().split()[1]
    assert second in slurm.nodes
    assert second != first
    slurm.start_node(first)
    slurm.wait_idle()

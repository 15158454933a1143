"""A sweep through a real SLURM: as many results as runs, each the one of a serial run."""

import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdlab.storage import durable, ledger
from sweeps.journal import events

from .catching import caught
from .cluster import Cluster
from .configuration import Settings, obstacles
from .processes import send, wait_until
from .sweeping import Sweep, serially, tables, write_study

RUNS = 80  # more than are done while ten faults are waited for: some fifty
UNDISTURBED = 10  # of these, the first ones
# Minutes each: `pytest -q` leaves them out, `.ci/run` does not.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study") / "home.yaml", RUNS)


@pytest.fixture(scope="module")
def serial(cluster: Cluster, study: Path) -> Iterator[Path]:
    """The root of the serial runs, which train beside the tests until somebody compares."""
    root = study.parent / "serial"
    process = serially(study, root)
    yield root
    process.kill()
    process.wait()


def compare(sweep: Sweep, serial: Path, runs: int) -> None:
    """Every run is there, and it and the table are what serial runs gave."""
    ours = ledger.records(sweep.root)
    assert len(ours) == runs + 1
    wait_until(lambda: ours.keys() <= ledger.index(serial).keys(), "serial runs", 600, every=1)
    theirs = ledger.records(serial)
    assert {uid: ours[uid].result for uid in ours} == {uid: theirs[uid].result for uid in ours}
    assert sweep.tables() == table_of(serial, sweep)
    assert list((sweep.root / "checkpoints").iterdir()) == []


def table_of(serial: Path, sweep: Sweep) -> bytes:
    """The table of the serial runs that are this study's."""
    plan = Path("studies", sweep.study.stem, "plan.parquet")
    durable.write_whole(serial / plan, (sweep.root / plan).read_bytes())
    return tables(sweep.study, serial)


def test_a_study_goes_through_slurm_and_comes_home(slurm, serial, tmp_path):
    study = write_study(tmp_path / "undisturbed.yaml", UNDISTURBED)
    sweep = Sweep(slurm, study, tmp_path / "runs")
    said = sweep.launch()
    assert "2 submissions" in said
    assert sorted(sweep.submitted()) == sorted(set(sweep.submitted()))
    assert len(sweep.submitted()) == UNDISTURBED + 1
    assert "0 submissions" in sweep.launch()  # all are queued
    sweep.launch("--wait")
    assert f"{UNDISTURBED + 1} done" in sweep.status()
    compare(sweep, serial, UNDISTURBED)


@pytest.fixture
def faulty(directory: str, tmp_path: Path, study: Path) -> Iterator[Sweep]:
    """Three nodes of one CPU, arrays of ten at most, and a root on a disk that can be full."""
    if obstacles():
        pytest.skip("no SLURM here")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(disk)])
    assert mounted.returncode == 0, "a small disk needs root"
    room = Path(tempfile.mkdtemp(prefix="slurm-", dir=directory))
    cluster = Cluster(room, Settings(nodes=3, cpus=1, max_array_size=10))
    try:
        cluster.start()
        yield Sweep(
            cluster,
            study,
            disk / "runs",
            ("launcher.cohort=2", "launcher.parallel=100", "launcher.minutes=0.03"),
        )
    finally:
        cluster.stop()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_sweep_survives_every_fault_at_once(faulty, serial, tmp_path):
    began = time.monotonic()
    for fault in FAULTS:
        try:
            fault(faulty, tmp_path)
        except BaseException:
            for command in (("sinfo", "-N", "-l"), ("squeue", "-l")):
                print(faulty.cluster.sh(*command, check=False))
            raise
        print(f"{time.monotonic() - began:5.0f} s {fault.__name__}: {faulty.recorded()} recorded")
        faulty.progress(2)
    for _ in range(10):
        faulty.progress(RUNS, seconds=300)
        if "0 submissions" in faulty.launch():
            break
    print(f"{time.monotonic() - began:5.0f} s all home")
    told = {event.get("class") for event in events.read(faulty.root)}
    assert told >= {"disk_full", "node_failure", "crashed", "lost"}
    compare(faulty, serial, RUNS)


def launcher_is_killed(sweep: Sweep, room: Path) -> None:
    """Between sbatch and its bookkeeping; until all is submitted no task may start."""
    sweep.cluster.sh("scontrol", "update", "partitionname=main", "state=down")
    shim = room / "bin" / "sbatch"
    shim.parent.mkdir()
    shim.write_text('#!/bin/sh\n/usr/bin/sbatch "$@"\nkill -9 $PPID\n')
    shim.chmod(0o755)
    sweep.launch(path=str(shim.parent), check=False)
    assert len(sweep.jobs("PENDING,RUNNING")) == 1
    assert sweep.submitted() == []
    said = sweep.launch()
    assert "adopted job" in said
    # Arrays of ten tasks at most.
    arrays = [job.partition("_")[0] for job in sweep.jobs("PENDING,RUNNING")]
    assert 1 < max(arrays.count(job) for job in set(arrays)) <= 10
    assert len(set(arrays)) > 2  # the teacher's, and the students' in more than one
    assert sorted(sweep.submitted()) == sorted(set(sweep.submitted()))
    assert len(sweep.submitted()) == RUNS + 1
    assert "0 submissions" in sweep.launch()
    sweep.cluster.sh("scontrol", "update", "partitionname=main", "state=up")


def node_dies(sweep: Sweep, room: Path) -> None:
    with caught(sweep) as task:
        sweep.cluster.kill_node(task.worker["node"])
    job = task.worker["job"]
    wait_until(lambda: sweep.cluster.state(job) != "RUNNING", "its task gone", 120)


def node_comes_back(sweep: Sweep, room: Path) -> None:
    """Not before its task, started elsewhere, has found it down."""
    sweep.await_told("node_failure")
    states = sweep.cluster.node_states()
    for node in sweep.cluster.nodes:
        if "down" in states[node]:
            sweep.cluster.start_node(node)


def workers_are_killed(sweep: Sweep, room: Path) -> None:
    """First the process that trains a cohort, which its task tells; then a task's own."""
    with caught(sweep) as task:
        send(task.trains, signal.SIGKILL)
    wait_until(lambda: task.told(sweep, "crashed"), "a crash told", 180, every=0.5)
    with caught(sweep) as task:
        send(task.worker["pid"], signal.SIGKILL)


def task_is_requeued(sweep: Sweep, room: Path) -> None:
    with caught(sweep) as task:
        sweep.cluster.sh("scontrol", "requeue", task.worker["job"])


def others_go_first(sweep: Sweep, room: Path) -> None:
    """A job on all nodes, which must be up for that, sends every task back into the queue."""
    sweep.cluster.wait_up(60)
    everything = ("-p", "high", "-N3", "-n3", "--mem=1G", "-o", "/dev/null")
    sweep.job()
    job = sweep.cluster.sh("sbatch", "--parsable", *everything, "--wrap", "true").strip()
    wait_until(lambda: sweep.cluster.state(job) == "COMPLETED", "the preempting job", 240)


def time_is_up(sweep: Sweep, room: Path) -> None:
    with caught(sweep) as task:
        job = task.worker["job"]
        sweep.cluster.expire(job, 2)
    wait_until(lambda: "RUNNING" not in sweep.cluster.state(job), "the time limit", 120)


def arrays_are_cancelled(sweep: Sweep, room: Path) -> None:
    for array in {job.partition("_")[0] for job in sweep.jobs("PENDING,RUNNING")}:
        sweep.cluster.sh("scancel", array)
    wait_until(lambda: not sweep.jobs("PENDING,RUNNING,COMPLETING"), "an empty queue", 120)
    # In larger cohorts from here on: fewer processes start, and no result depends on its company.
    assert "0 submissions" not in sweep.launch("launcher.cohort=8")


def controller_is_away(sweep: Sweep, room: Path) -> None:
    """It goes while a cohort is half done, so that there is something to go on with."""
    with caught(sweep) as task:
        sweep.cluster.stop_controller()
        said = sweep.launch(check=False)
        assert "Unable to contact slurm controller" in said
    wait_until(
        lambda: set(task.uids) <= set(ledger.index(sweep.root)), "a task goes on without it", 120
    )
    sweep.cluster.start_controller()


def disk_is_full(sweep: Sweep, room: Path) -> None:
    ballast = sweep.root.parent / "ballast"

    def is_over() -> bool:
        _fill(ballast)  # again and again: a run that ends removes its checkpoints
        return not sweep.jobs("RUNNING,COMPLETING")

    wait_until(is_over, "tasks that stop by themselves", 180)
    sweep.await_told("disk_full")
    _fill(ballast)
    before = sweep.recorded()
    assert "No space left" in sweep.launch(check=False)
    ballast.unlink()
    assert sweep.recorded() == before
    sweep.launch()


def _fill(ballast: Path) -> None:
    """Let a file grow until its disk is full."""
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**16))


# The disk early, while there is much to lose; the node back before the controller goes away, which
# its task asks about the node, and before all nodes are asked for.
FAULTS = [
    launcher_is_killed,
    disk_is_full,
    node_dies,
    workers_are_killed,
    task_is_requeued,
    node_comes_back,
    controller_is_away,
    others_go_first,
    arrays_are_cancelled,
    time_is_up,
]

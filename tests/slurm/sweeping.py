"""A study of tiny real runs, launched as its users would, and watched."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kdlab.storage import ledger
from sweeps.journal import events

from .cluster import Cluster
from .processes import command_line, wait_until

STUDY = """
question: Does every run come home?
base: [task.train_rows=100, task.report_rows=30, task.words=8, teacher.size=l3_h32_a2,
       size=l2_h32_a2, train.epochs=3, train.batch_size=16, train.lr=1e-3, threads=1]
seeds: [{seeds}]
blocks:
  - table: home
    control: none
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
      hidden states: [knowledge=hidden_mse, matching=skip]
      PKD-Skip: ["knowledge=[logits_kl,cls_pkd]", matching=pkd_skip]
      relations: [knowledge=value_relation, matching=last1]
"""
ARMS = 5
# Tasks of a few cohorts each, and a checkpoint at every step: much to lose, and nothing lost.
LAUNCHER = [
    "launcher=slurm", "launcher.mem=1G", "launcher.cpus_per_task=1", "launcher.parallel=3",
    "launcher.gflops=3", "launcher.minutes=0.12", "checkpoint_seconds=0.5",
]  # fmt: skip


def write_study(path: Path, runs: int) -> Path:
    """A study of so many runs on the synthetic task: 18 steps each, and one teacher."""
    seeds = ", ".join(str(seed) for seed in range(1, runs // ARMS + 1))
    path.write_text(STUDY.format(seeds=seeds))
    return path


def serially(study: Path, root: Path) -> subprocess.Popen[bytes]:
    """Start to train every run of a study alone, one after the other, in one process."""
    code = """
import sys
from kdlab import distill
from kdlab.config.compose import execution
from sweeps.plan import plan
from sweeps.study.reading import load
where = execution(f"root={sys.argv[2]}", "threads=1")
for run in plan.unique(plan.plan(load(sys.argv[1]))):
    distill(run, where)
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(study), str(root)]
    with (root.parent / "serial.log").open("ab") as log:
        return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=log)


@dataclass(frozen=True)
class Sweep:
    """A study on a cluster, with its root."""

    cluster: Cluster
    study: Path
    root: Path
    extra: tuple[str, ...] = ()

    def launch(self, *more: str, path: str = "", check: bool = True) -> str:
        """Call `launch` as a user would; `path` is looked up first for commands."""
        env = os.environ | self.cluster.env
        env["PATH"] = f"{path}:{env['PATH']}" if path else env["PATH"]
        # Of a key that is said twice, what is said last counts.
        said = {text.partition("=")[0]: text for text in (*LAUNCHER, *self.extra, *more)}
        command = ["launch", str(self.study), f"root={self.root}", *said.values()]
        return self._sweeps(*command, env=env, check=check)

    def status(self) -> str:
        """What `status` prints."""
        command = ["status", self.study.stem, "--root", str(self.root)]
        return self._sweeps(*command, env=os.environ | self.cluster.env, check=True)

    def _sweeps(self, *command: str, env: dict[str, str], check: bool) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sweeps", *command], env=env, capture_output=True, text=True
        )
        assert not (check and done.returncode), done.stderr
        return done.stdout + done.stderr

    def tables(self) -> bytes:
        """The study's table as `analysis` prints and writes it."""
        return tables(self.study, self.root)

    def recorded(self) -> int:
        """How many runs have a record."""
        return len(ledger.index(self.root))

    def jobs(self, states: str = "RUNNING") -> list[str]:
        """The tasks of the sweep in these states, by SLURM's id."""
        shown = self.cluster.sh("squeue", "-h", "-r", "-t", states, "-o", "%i %j")
        return [line.split()[0] for line in shown.splitlines() if " kdlab-" in line]

    def keep_busy(self) -> None:
        """Start what is held back until a time, and launch again what tasks gave up by themselves.

        Without it a fault would wait for a queue that the faults before it have emptied.
        """
        self.cluster.hurry()
        if not self.jobs("PENDING,RUNNING,COMPLETING"):
            self.launch()

    def job(self) -> str:
        """A task that is at work, as soon as there is one."""

        def at_work() -> list[str]:
            self.keep_busy()
            return self.jobs()

        wait_until(at_work, "a task at work", 180, every=0.5)
        return at_work()[0]

    def processes(self, kind: str) -> list[int]:
        """The processes of tasks whose command line has `kind`."""
        lines = {pid: command_line(pid) for pid in self.cluster.processes()}
        return [pid for pid, line in lines.items() if kind in line and "srun" not in line]

    def await_told(self, kind: str, seconds: float = 180) -> None:
        """Wait until an event says so, as its class or its reason."""

        def told() -> bool:
            self.cluster.hurry()
            said = events.read(self.root)
            return any(kind in (event.get("class"), event.get("why")) for event in said)

        wait_until(told, f"an event of {kind}", seconds, every=0.5)

    def progress(self, runs: int, seconds: float = 120) -> None:
        """Wait until so many more runs are recorded, or none is left in the queue."""
        wanted = self.recorded() + runs

        def reached() -> bool:
            self.cluster.hurry()
            return self.recorded() >= wanted or not self.jobs("PENDING,RUNNING,COMPLETING")

        wait_until(reached, f"{runs} more runs", seconds, every=1)

    def submitted(self) -> list[str]:
        """The runs of all submissions that SLURM took, one by one."""
        state = events.fold(self.root)
        taken = [event for event in state.intents.values() if "job" in event]
        return [uid for event in taken for task in event["uids"] for uid in task]


def tables(study: Path, root: Path) -> bytes:
    """The bytes of a study's table under a root, as `analysis` writes it.

    Without the CSV, which has the latency: a cost, measured anew in each run.
    """
    command = [sys.executable, "-m", "analysis", "tables", study.stem, "--root", str(root)]
    command += ["--format", "md,tex,html"]
    subprocess.run(command, check=True, capture_output=True)
    room = root / "studies" / study.stem / "tables"
    return b"".join(path.read_bytes() for path in sorted(room.iterdir()))

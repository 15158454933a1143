"""A private SLURM cluster: its daemons, failures of its nodes, and time passing faster."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from .configuration import Settings, program_path, write_configuration
from .processes import (
    alive,
    environment,
    is_stopped,
    kill_all,
    pids,
    program,
    send,
    wait_until,
    with_descendants,
)

DAEMONS = ("munged", "slurmctld", "slurmd", "slurmstepd")
CLIENT_PREFIXES = ("SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SINFO_", "SCANCEL_")
UP = ("idle", "mixed", "allocated", "completing")
HELD = "PENDING,RUNNING,COMPLETING,SUSPENDED,CONFIGURING"


def foreign_variables() -> set[str]:
    """Variables that would steer SLURM's commands: left by a user, or by a job we run in."""
    return {key for key in os.environ if key.startswith(CLIENT_PREFIXES)}


@dataclass(frozen=True)
class Cluster:
    """A cluster in one directory; several may run side by side. Times are in seconds."""

    directory: Path
    settings: Settings = field(default_factory=Settings)

    @property
    def conf(self) -> Path:
        return self.directory / "etc" / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """What a client needs: the configuration, and a sacct that works without a database."""
        path, own = os.environ.get("PATH", os.defpath), f"{self.directory}/bin"
        path = path if own in path.split(":") else f"{own}:{path}"
        return {"SLURM_CONF": str(self.conf), "PATH": path}

    @property
    def nodes(self) -> list[str]:
        return [f"node{number}" for number in range(1, self.settings.nodes + 1)]

    # Starting and stopping.

    def start(self) -> None:
        """Write the configuration and start every daemon; returns when all nodes are idle."""
        write_configuration(self.directory, self.settings)
        try:
            self._start_munge()
            self.start_controller()
            for node in self.nodes:
                self.start_node(node)
            self.wait_idle()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill every process of the cluster, its jobs' included, and delete the directory."""
        kill_all(self.processes)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_munge(self) -> None:
        run, log = self.directory / "run", self.directory / "log"
        self._daemon(
            "munged",
            "--force",  # or every folder above the socket must be open to all users
            "--origin=127.0.0.1",
            f"--socket={run}/munge.sock",
            f"--key-file={self.directory}/etc/munge.key",
            f"--pid-file={run}/munged.pid",
            f"--seed-file={run}/munged.seed",
            f"--log-file={log}/munged.log",
        )

    def start_controller(self) -> None:
        """Start the controller, which goes on from the state it last saved."""
        self._daemon("slurmctld", "-f", str(self.conf))
        wait_until(lambda: "UP" in self.sh("scontrol", "ping", check=False), "controller up")

    def stop_controller(self) -> None:
        """Ask the controller to save its state and end, and wait; jobs run on without it."""
        for pid in self._daemons("slurmctld"):
            send(pid, signal.SIGTERM)
        wait_until(lambda: not self._daemons("slurmctld"), "controller ended")

    def start_node(self, node: str) -> None:
        """Start a node's daemon; a node that was down comes back within a second or so."""
        self._daemon("slurmd", "-f", str(self.conf), "-N", node, SLURMD_NODENAME=node)

    def kill_node(self, node: str, down: bool = True) -> None:
        """Cut a node's power: its daemon and all jobs' processes on it die at once.

        With `down` the controller is told, and requeues the jobs; else it notices by itself after
        half a minute.
        """
        # One that lives longer than the job would tell the controller that it failed.
        wait_until(lambda: self._daemons_stopped(node), f"{node}'s daemons stopped")
        kill_all(lambda: self.processes(node))
        if down:
            self.sh("scontrol", "update", f"nodename={node}", "state=down", "reason=killed")

    def _daemons_stopped(self, node: str) -> bool:
        found = [pid for pid in self.processes(node) if program(pid) in DAEMONS and alive(pid)]
        for pid in found:
            send(pid, signal.SIGSTOP)
        return all(is_stopped(pid) for pid in found)

    def _daemon(self, name: str, *arguments: str, **variables: str) -> None:
        """Start a daemon, which detaches by itself, with an environment that holds no secrets."""
        log = self.directory / "log" / f"{name}.out"
        with log.open("ab") as out:
            code = subprocess.run(
                [program_path(name) or name, *arguments],
                env={**self.env, **variables},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                timeout=60,
            ).returncode
        if code:
            raise RuntimeError(f"{name} ended with {code}: {log.read_text(errors='replace')}")

    # What runs.

    def processes(self, node: str | None = None) -> set[int]:
        """The processes of one node, or of the whole cluster; never this one."""
        found = set()
        for pid in pids():
            env = environment(pid)
            if env.get("SLURM_CONF") == str(self.conf):
                at = env.get("SLURMD_NODENAME")
                if at == node if node else at or program(pid) in DAEMONS:
                    found.add(pid)
        return with_descendants(found) - {os.getpid()}

    def _daemons(self, name: str) -> set[int]:
        return {pid for pid in self.processes() if program(pid) == name}

    def sh(self, *command: object, check: bool = True, seconds: float = 20) -> str:
        """The output of a SLURM command; where it fails and `check` is set, RuntimeError."""
        words = [str(word) for word in command]
        env = {key: os.environ[key] for key in set(os.environ) - foreign_variables()} | self.env
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=seconds)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def node_states(self) -> dict[str, str]:
        """The state of each node, such as idle, mixed, allocated, down or down*."""
        lines = self.sh("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_idle(self, seconds: float = 30) -> None:
        """Wait until every node is up and no job is on it."""
        self._wait_nodes(("idle",), seconds)

    def wait_up(self, seconds: float = 30) -> None:
        """Wait until every node is up, with jobs or without."""
        self._wait_nodes(UP, seconds)

    def _wait_nodes(self, states: tuple[str, ...], seconds: float) -> None:
        def reached() -> bool:
            found = self.node_states()
            return sorted(found) == sorted(self.nodes) and set(found.values()) <= set(states)

        wait_until(reached, f"all nodes {' or '.join(states)}", seconds)

    # Jobs.

    def state(self, job_id: object) -> str:
        """The controller's word for a job, such as PENDING; one line a task for an array."""
        show = ("squeue", "-h", "-r", "-t", "all", "-o", "%T", "-j")
        return self.sh(*show, job_id, check=False).strip()

    def start_requeued(self, job_id: object, seconds: int = 3) -> None:
        """Start a requeued job soon: SLURM holds it back for 120 s.

        In the very second in which its last run ended the node would refuse the job for good.
        """
        self._start_in(job_id, seconds)

    def hurry(self, seconds: int = 3) -> list[str]:
        """Start each job that is held back until a time; returns the ids of those moved now.

        Made to be called again and again: a job that starts within `seconds` is left alone.
        """
        soon = (datetime.now() + timedelta(seconds=seconds + 1)).isoformat()
        lines = self.sh("squeue", "-h", "-r", "-t", "PENDING", "-o", "%i %r %S").splitlines()
        # The reason is None until the scheduler has looked; a start that is not known is N/A.
        late = [
            job_id
            for job_id, reason, start in (line.split(maxsplit=2) for line in lines)
            if reason in ("BeginTime", "None") and start != "N/A" and start > soon
        ]
        for job_id in late:
            self._start_in(job_id, seconds, check=False)  # it may have been cancelled meanwhile
        return late

    def _start_in(self, job_id: object, seconds: int, check: bool = True) -> None:
        start = f"starttime=now+{seconds}seconds"
        self.sh("scontrol", "update", f"jobid={job_id}", start, check=check)

    def expire(self, job_id: object, seconds: int = 5) -> None:
        """End a running job's time limit soon; the controller looks only every 30 s."""
        self.sh("scontrol", "update", f"jobid={job_id}", f"endtime=now+{seconds}seconds")

    def clear(self) -> None:
        """Bring back controller and nodes, end all jobs, and wait until every node is idle."""
        if not self._daemons("slurmctld"):
            self.start_controller()
        for node in self.nodes:
            if not self.processes(node):
                self.start_node(node)
        self._cancel_all()
        for node, state in self.node_states().items():
            if state.startswith(("down", "drain")):
                self.sh("scontrol", "update", f"nodename={node}", "state=resume")
        self.wait_idle()

    def _cancel_all(self, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while self.sh("squeue", "-h", "-t", HELD).strip():
            if time.monotonic() > end:
                raise TimeoutError(f"jobs left: {self.sh('squeue', '-h', '-t', HELD)}")
            # Ending by signal spares the wait for jobs that ignore SIGTERM.
            self.sh("scancel", "--quiet", "--full", "--signal=KILL", "--me", check=False)
            self.sh("scancel", "--quiet", "--me", check=False)
            time.sleep(0.1)

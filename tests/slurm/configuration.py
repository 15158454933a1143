"""The files of a private SLURM cluster: everything in one directory, on loopback and free ports."""

import os
import pwd
import random
import shutil
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "127.0.0.1"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
# slurmstepd's sockets, DIR/spool/node10/node10_12345678.4294967291, must fit into 107 characters.
LONGEST_DIRECTORY = 60


@dataclass(frozen=True)
class Settings:
    """A cluster's shape: cpus, gpus and memory (MB) of each node; kill_wait in seconds."""

    nodes: int = 4
    cpus: int = 8
    memory: int = 64_000
    gpus: int = 4
    max_array_size: int = 1001  # SLURM's own default: indices up to 1000
    kill_wait: int = 5
    extra: tuple[str, ...] = ()  # further lines of slurm.conf


def program_path(name: str) -> str | None:
    """Where a program is; daemons lie in a folder that users often do not search."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")


def obstacles() -> list[str]:
    """Why no cluster can run here, one reason each; empty when one can."""
    found = [f"{name} is not installed" for name in PROGRAMS if not program_path(name)]
    flags = socket.AI_ADDRCONFIG | socket.AI_PASSIVE
    try:
        socket.getaddrinfo(None, 1, socket.AF_INET, socket.SOCK_STREAM, 0, flags)
    except OSError:  # SLURM looks up even 127.0.0.1 this way
        found.append("no network interface but loopback has an address")
    return found


def write_configuration(directory: Path, settings: Settings) -> None:
    """Fill a new or empty directory with what the daemons need."""
    if len(str(directory)) > LONGEST_DIRECTORY:
        raise ValueError(f"{directory}: at most {LONGEST_DIRECTORY} characters (unix sockets)")
    if directory.exists() and any(directory.iterdir()):
        raise ValueError(f"{directory} is not empty")
    for name in ("etc", "run", "log", "state", "spool", "dev", "bin"):
        (directory / name).mkdir(parents=True)
    for index in range(settings.gpus):  # a GPU must be a character device
        (directory / "dev" / f"nvidia{index}").symlink_to("/dev/null")
    etc = directory / "etc"
    (etc / "slurm.conf").write_text(_slurm_conf(directory, settings))
    (etc / "gres.conf").write_text(_gres_conf(directory, settings))
    (etc / "cgroup.conf").write_text(CGROUP_CONF.format(directory=directory))
    key = os.open(etc / "munge.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(key, "wb") as file:
        file.write(os.urandom(128))
    sacct = directory / "bin" / "sacct"
    sacct.write_text(SACCT.format(squeue=program_path("squeue")))
    sacct.chmod(0o755)


def _slurm_conf(directory: Path, settings: Settings) -> str:
    port = free_ports(settings.nodes + 1)
    on_loopback = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"
    optional = [on_loopback] if _name_is_loopback() else []
    optional += ["GresTypes=gpu"] if settings.gpus else []
    nodes = [_node_line(settings, number, port + number) for number in range(1, settings.nodes + 1)]
    text = SLURM_CONF.format(
        address=ADDRESS,
        directory=directory,
        user=pwd.getpwuid(os.getuid()).pw_name,
        port=port,
        # submitit names files by job id: no two clusters may count from the same number.
        first_job=random.randrange(10**5, 6 * 10**7),
        memory_per_cpu=settings.memory // settings.cpus,
        max_array_size=settings.max_array_size,
        kill_wait=settings.kill_wait,
    )
    return text + "\n".join([*optional, *nodes, PARTITIONS, *settings.extra, ""])


def _node_line(settings: Settings, number: int, port: int) -> str:
    gpus = f" Gres=gpu:{settings.gpus}" if settings.gpus else ""
    return (
        f"NodeName=node{number} NodeHostname=localhost NodeAddr={ADDRESS} Port={port}"
        f" CPUs={settings.cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={settings.cpus}"
        f" ThreadsPerCore=1 RealMemory={settings.memory}{gpus} State=UNKNOWN"
    )


def _gres_conf(directory: Path, settings: Settings) -> str:
    lines = [f"Name=gpu File={directory}/dev/nvidia{index}" for index in range(settings.gpus)]
    return "\n".join(["AutoDetect=off", *lines, ""])


def _name_is_loopback() -> bool:
    # Told to keep to one address, daemons and srun take the one that the host's name stands for.
    # Where that is not loopback they must listen everywhere; the private key keeps others out.
    try:
        found = socket.getaddrinfo(socket.gethostname(), 1, socket.AF_INET)
    except OSError:
        return False
    return found[0][4][0] == ADDRESS


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody uses, below those that clients are given."""
    for _ in range(200):
        first = random.randrange(20_000, 32_000 - count)
        try:
            with ExitStack() as stack:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind((ADDRESS, port))
        except OSError:
            continue
        return first
    raise OSError(f"no {count} free ports in a row")


SLURM_CONF = """\
ClusterName=tests
SlurmctldHost=localhost({address})
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={directory}/run/munge.sock
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool/%n
SlurmctldPidFile={directory}/run/slurmctld.pid
SlurmdPidFile={directory}/run/slurmd.%n.pid
SlurmctldLogFile={directory}/log/slurmctld.log
SlurmdLogFile={directory}/log/slurmd.%n.log
# Nodes may be larger than the machine that they run on.
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=20
SlurmctldTimeout=30
InactiveLimit=0
KillWait={kill_wait}
# Ended jobs stay in memory for a day: squeue is the only accounting.
MinJobAge=86400
MaxArraySize={max_array_size}
MaxJobCount=50000
JobRequeue=1
FirstJobId={first_job}
PriorityType=priority/basic
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,bf_continue,\
default_queue_depth=1000,sched_max_job_start=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU={memory_per_cpu}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Since 23.02 this is a value of PreemptParameters, which 22.05 does not know.
SlurmctldParameters=preempt_send_user_signal
"""

PARTITIONS = """\
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 GraceTime=20 DefaultTime=60
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF DefaultTime=60"""

# A cgroup plugin is started even where none is asked for; this one finds nothing to touch.
CGROUP_CONF = """\
CgroupPlugin=cgroup/v1
CgroupAutomount=no
CgroupMountpoint={directory}/none
"""

# submitit learns the state of jobs from sacct alone, which refuses to work without a database.
SACCT = """\
#!/bin/sh
jobs=
while [ $# -gt 0 ]; do
    case $1 in -j) jobs="$jobs,$2"; shift ;; esac
    shift
done
echo "JobID|State|NodeList"
exec {squeue} -h -r -t all -j "${{jobs#,}}" -o "%i|%T|%N"
"""

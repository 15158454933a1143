"""A cluster by hand: python -m tests.slurm up|env|status|down DIR."""

import argparse
import shlex
from pathlib import Path

from .cluster import Cluster
from .configuration import obstacles


def main() -> None:
    """Start a cluster of four nodes, say how to reach it, what runs there, or remove it."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm", description=main.__doc__)
    parser.add_argument("action", choices=["up", "env", "status", "down"])
    parser.add_argument("directory", type=Path, metavar="DIR", help="such as /dev/shm/slurm")
    given = parser.parse_args()
    cluster = Cluster(given.directory.resolve())
    if given.action == "up":
        if reasons := obstacles():
            parser.error("; ".join(reasons))
        try:
            cluster.start()
        except ValueError as error:
            parser.error(str(error))
    elif not cluster.conf.exists():
        parser.error(f"no cluster in {given.directory}")
    elif given.action == "down":
        cluster.stop()
    elif given.action == "status":
        print(cluster.sh("sinfo", "-N", "-o", "%N %T %P %G"), cluster.sh("squeue"), sep="\n")
    if given.action in ("up", "env"):
        print("\n".join(f"export {key}={shlex.quote(value)}" for key, value in cluster.env.items()))


if __name__ == "__main__":
    main()

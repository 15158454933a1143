"""A study on a GPU that is lent for minutes: planned here, trained there, read here.

    # Here. Both machines need the same folders, say /tmp/kd, which travels with data and models.
    export KDLAB_ROOT=/tmp/kd/root KDLAB_GLUE=/tmp/kd/glue
    python tests/benchmarks/gpu_study.py plan revisited_small launcher.cohort=12 \
        launcher.gflops=3000 launcher.minutes=0.6
    # There, with the checkout as the working directory and /tmp/kd unpacked:
    python tests/benchmarks/gpu_study.py train /tmp/kd/root --parallel 16 --seconds 170
    tar czf OUT --exclude=models --exclude=checkpoints --exclude=teacher_outputs /tmp/kd/root
    # Here again, over the root that was planned:
    python -m analysis tables revisited_small

To plan some hundred runs takes half a minute or more, which a lent machine has not; what it trains
lies ready in the shards. Here nothing is started. There all pools run at once, parents with their
children: whoever needs a parent waits for it, or trains it. What is not done when the time is up
has a checkpoint there and no record.

Weights travel in pieces (carry.py). What a bare machine lacks: bare_machine.sh.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

FAREWELL = 8.0  # seconds for processes to save what they do


def plan(study: str, overrides: list[str]) -> None:
    """Launch a study on this machine without starting a process."""
    from sweeps import commands
    from sweeps.launchers import local

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    local._start_detached = lambda pool, env: ended.pid  # as a pool that has come to its end
    root = os.environ["KDLAB_ROOT"]
    given = ["launcher=local", "device=auto", "threads=1", *overrides]
    commands.launch_study(study, given, root, None, wait=False, cancel_on_interrupt=False)


def train(root: Path, parallel: int, seconds: float) -> None:
    """Run all pools of a root at once, and ask them to end when the time is up."""
    from sweeps.launchers.submission import environment

    (code,) = (root / "code").iterdir()
    inherited = os.environ.get("PYTHONPATH", "")
    env = os.environ | environment(code) | {"PYTHONPATH": f"{code}:{inherited}"}
    began, pools = time.monotonic(), []
    for path in sorted((root / "logs").glob("*/pool.json")):
        pool = json.loads(path.read_text()) | {"after": {}, "parallel": parallel}
        path.write_text(json.dumps(pool))
        with open(path.parent / "pool.log", "ab") as log:
            command = [sys.executable, "-m", "sweeps.launchers.local", str(path)]
            pools.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
    while any(pool.poll() is None for pool in pools) and time.monotonic() - began < seconds:
        time.sleep(1)
        if int(time.monotonic() - began) % 10 == 0:
            _say(root, began)
    for pool in pools:
        if pool.poll() is None:
            pool.send_signal(signal.SIGTERM)
    end = time.monotonic() + FAREWELL
    while any(pool.poll() is None for pool in pools) and time.monotonic() < end:
        time.sleep(0.2)
    _say(root, began)


def _say(root: Path, began: float) -> None:
    files = (root / "records").glob("*.jsonl")
    records = sum(path.read_bytes().count(b"\n") for path in files)
    print(f"{time.monotonic() - began:.0f} s: {records} records", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    planning = verbs.add_parser("plan", help="write plan and shards under KDLAB_ROOT")
    planning.add_argument("study")
    planning.add_argument("overrides", nargs="*")
    training = verbs.add_parser("train", help="train what lies under a root")
    training.add_argument("root", type=Path)
    training.add_argument("--parallel", type=int, default=os.cpu_count())
    training.add_argument("--seconds", type=float, default=170.0)
    given = vars(parser.parse_args())
    globals()[given.pop("verb")](**given)


if __name__ == "__main__":
    main()

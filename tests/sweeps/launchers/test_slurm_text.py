"""What is handed to sbatch, to the letter; no SLURM is needed."""

from pathlib import Path

import pytest

from kdlab.config.compose import execution
from kdlab.errors import BadInput
from kdlab.options import callables
from sweeps.launchers import choice
from sweeps.launchers.submission import Submission

GOLDEN = Path(__file__).parent / "golden"
EVERYTHING = [
    "launcher=slurm_gpu",
    "launcher.account=nlp",
    "launcher.qos=long",
    "launcher.constraint='a100|h100'",
    "launcher.setup=['module load cuda','ulimit -n 4096']",
    "+launcher.additional.reservation=night",
]


def stub(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def array(tmp_path, monkeypatch):
    """An array of three tasks, and commands that only note that they were called."""
    room = tmp_path / "bin"
    room.mkdir()
    stub(room, "srun", "exit 0")
    stub(room, "sinfo", 'for n in 1 2 3 4 5 6 7 8; do echo "node$n|main*|idle"; done')
    stub(room, "squeue", "exit 0")
    stub(room, "sbatch", f'echo called >> {tmp_path}/calls; echo "Submitted batch job 7"')
    monkeypatch.setenv("PATH", str(room), prepend=":")
    return Submission(
        intent="0123456789ab",
        title="glue_small, level 1",
        shards=[Path(f"/runs/studies/s/shards/{letter}.json") for letter in "abc"],
        after={"fedcba987654": "41", "aaaaaaaaaaaa": "42"},
        exclude=["node3", "node7"],
        level_tasks=6,
        root=tmp_path,
        code=Path("/runs/code/1234"),
        folder=tmp_path / "logs",
    )


def submitted(array, overrides):
    chosen = choice.launcher(execution(*overrides))
    job = chosen.call.bind()(array)
    (script,) = array.folder.glob("7_submission.sh")
    return job, script.read_text().replace(str(array.folder), "/runs/logs/0123456789ab")


@pytest.mark.parametrize(
    ("name", "overrides"), [("slurm.sh", ["launcher=slurm"]), ("slurm_gpu.sh", EVERYTHING)]
)
def test_the_batch_script_is_the_golden_one(array, name, overrides):
    import sys

    job, text = submitted(array, overrides)
    assert job == "7"
    assert text.replace(sys.executable, "python") == (GOLDEN / name).read_text()
    assert sorted(path.name for path in array.folder.glob("*.pkl")) == [
        f"7_{index}_submitted.pkl" for index in range(3)
    ]


def test_a_refusal_that_passes_is_tried_again_and_another_is_not(array, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("sweeps.launchers.controller.sleep", waits.append)
    calls = tmp_path / "calls"
    busy = 'echo "sbatch: error: Batch job submission failed: Socket timed out" >&2; exit 1'
    again = f'[ $(wc -l < {calls}) -gt 2 ] && echo "Submitted batch job 9" && exit 0'
    stub(tmp_path / "bin", "sbatch", f"echo called >> {calls}; {again}; {busy}")
    assert submitted_job(array) == "9"
    assert waits == [1, 2]
    never = 'echo "sbatch: error: invalid partition specified: nope" >&2; exit 1'
    stub(tmp_path / "bin", "sbatch", never)
    with pytest.raises(BadInput, match="invalid partition specified: nope"):
        submitted_job(array)
    stub(tmp_path / "bin", "sbatch", busy)
    with pytest.raises(RuntimeError, match="tried 6 times: .*Socket timed out"):
        submitted_job(array)


def submitted_job(array):
    return choice.launcher(execution("launcher=slurm")).call.bind()(array)


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ("launcher=slum", "launcher=slum: no such option; did you mean slurm or slurm_gpu?"),
        ("launcher.parallel=0", "launcher.parallel=0"),
        ("launcher.time=abc", "launcher.time='abc'"),
        ("+launcher.nodes=2", "launcher.nodes: unknown key"),
        ("launcher.cohort=0", "launcher.cohort=0"),
        ("launcher.minutes=-1", "launcher.minutes=-1"),
    ],
)
def test_a_wrong_launcher_is_refused_by_name(override, names):
    first = [] if override.startswith("launcher=") else ["launcher=slurm"]
    with pytest.raises(BadInput) as error:
        execution(*first, override)
    assert names in str(error.value)


def test_every_launcher_of_the_project_composes():
    for name in ("local", "slurm", "slurm_gpu"):
        chosen = choice.launcher(execution(f"launcher={name}"))
        assert callables.function(chosen.call.target)
        assert chosen.parallel >= 1

"""SLURM, played."""

import os
import subprocess

import pytest


@pytest.fixture
def slurm_says(monkeypatch):
    """A cluster of four nodes with an empty queue; commands may be given other answers.

    An answer is what a command prints, or (exit code, output, errors), or what gives one of these
    for its words; `calls` keeps the words and the environment of each call.
    """
    answers = {
        "sbatch": "7\n",
        "squeue": "",
        "scancel": "",
        "sinfo": "".join(f"n{number}|main*|idle\n" for number in range(1, 5)),
        "scontrol": "MaxArraySize = 1001\nMaxJobCount = 10000\nPrivateData = none\n",
        "sacctmgr": (1, "", "no accounting here"),
        "calls": [],
    }

    def run(words, *, env, **_):
        answers["calls"].append((list(words), dict(env)))
        said = answers[words[0]]
        said = said(list(words)) if callable(said) else said
        code, out, err = said if isinstance(said, tuple) else (0, said, "")
        if code is None:
            raise subprocess.TimeoutExpired(words, 1)
        if code:
            raise subprocess.CalledProcessError(code, words, out, err)
        return subprocess.CompletedProcess(words, code, out, err)

    monkeypatch.setattr("sweeps.launchers.controller.subprocess.run", run)
    monkeypatch.setattr("sweeps.launchers.controller.sleep", lambda _: None)
    monkeypatch.setattr("sweeps.launchers.submitit_files.shutil.which", lambda _: "srun")
    for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE"))]:
        monkeypatch.delenv(name)
    return answers

"""The Tab key, as bash's completion function calls the commands."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "line", "completions"),
    [
        ("sweeps", "kdlab-sweeps sta", {"status"}),
        ("sweeps", "kdlab-sweeps launch quickstart_", {"quickstart_tune"}),
        ("sweeps", "kdlab-sweeps status --root {root} mi", {"miniatures", "mine"}),
        ("sweeps", "kdlab-sweeps status mine --w", {"--watch"}),
        ("analysis", "kdlab-analysis tables --root {root} min", {"miniatures", "mine"}),
    ],
)
def test_commands_options_and_studies_are_completed(module, line, completions, tmp_path):
    (tmp_path / "studies" / "mine").mkdir(parents=True)
    (tmp_path / "studies" / "mine" / "plan.parquet").touch()
    line, answer = line.format(root=tmp_path), tmp_path / "answer"
    env = os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": " ", "COLUMNS": "80",
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", module], env=env, check=True)
    assert set(answer.read_text().split()) == completions

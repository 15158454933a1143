"""`python -m kdlab` as its users type it."""

import pytest
from at_once import python

from kdlab.ending import CLOSED


@pytest.mark.parametrize(
    "arguments",
    [
        ("kdlab", "train.lr=nan"),
        ("kdlab", "size=foo"),
        ("kdlab", "foo=1"),
        ("kdlab", "seed=[", "x"),
        ("sweeps", "plan", "nope"),
        ("sweeps", "plan", "quickstart", "train.lr=nan"),
        ("analysis", "tables", "nope"),
        ("kdlab", "-m", "seed=1,2", "--cfg", "job"),
        ("kdlab", "--resolve"),
        ("kdlab", "--experimental-rerun", "x"),
        ("kdlab", "launcher.parallel=0"),
        ("kdlab", "root=/dev/null"),
        ("kdlab", "root=/proc/runs"),
        ("sweeps", "plan", "quickstart", "root=/dev/null/runs"),
        ("sweeps", "launch", "quickstart", "root=/proc/runs"),
    ],
)
def test_bad_input_exits_with_2_and_one_line(arguments, tmp_path):
    found = python(*arguments, cwd=tmp_path)
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1, found.stderr
    assert found.stderr.startswith(f"{arguments[0]}: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("kdlab", "--cfg", "job"),
        ("kdlab", "--info", "config"),
        ("sweeps", "plan", "quickstart"),
        ("analysis", "--help"),
    ],
)
def test_a_command_whose_output_nobody_reads_ends_without_a_word(arguments, tmp_path):
    found = python(*arguments, cwd=tmp_path, is_read=False)
    assert found.returncode in (0, CLOSED)  # argparse and logging drop what is not read themselves
    assert found.stderr == ""


def test_what_a_command_was_called_for_is_done_though_nobody_reads(small, tmp_path):
    more = ("threads=1", "knowledge=none", f"root={tmp_path}")
    found = python("kdlab", *small, *more, is_read=False)
    assert found.returncode == 0, found.stderr
    assert len(list((tmp_path / "records").glob("*.jsonl"))) == 1


def test_bad_input_that_only_the_data_shows_exits_with_2(small, tmp_path):
    found = python("kdlab", *small, "knowledge=none", "data.rows=9999", f"root={tmp_path}")
    assert found.returncode == 2
    assert found.stderr.splitlines() == ["kdlab: data.rows=9999: fit has 270 rows"]


def test_overrides_may_follow_options():
    asked = ("task=rte", "task.path=/nowhere", "threads=1")
    found = python("sweeps", "launch", "quickstart_tune", "--wait", *asked)
    assert found.returncode == 2
    assert "task.path=/nowhere: no such file or folder" in found.stderr
    assert python("sweeps", "plan", "quickstart", "--foo").returncode == 2


def test_help_lists_groups_options_and_examples():
    shown = python("kdlab", "--help").stdout
    for word in (
        "knowledge: attention_ce",
        "matching: all_to_one",
        "size: base",
        "python -m kdlab task=",
    ):
        assert word in shown
    assert "_glue" not in shown
    for package in ("sweeps", "analysis"):
        assert f"python -m {package}" in python(package, "--help").stdout


def test_cfg_job_shows_the_run():
    shown = python("kdlab", "--cfg", "job", "seed=7").stdout
    assert "seed: 7" in shown
    assert "knowledge:" in shown


def test_a_run_leaves_its_record_under_root(small, tmp_path, monkeypatch):
    monkeypatch.delenv("KDLAB_ROOT", raising=False)
    found = python("kdlab", *small, "threads=1", "knowledge=none", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "report" in found.stdout
    assert len(list((tmp_path / "runs" / "records").glob("*.jsonl"))) == 1
    import kdlab

    (record,) = kdlab.records(tmp_path / "runs").values()
    assert record.overrides[-1] == "knowledge=none"

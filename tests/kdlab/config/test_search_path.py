"""Folders of options of one's own: named by a command line or a call, or a project's."""

import pytest
from at_once import python

from kdlab.config import option_files, search_path
from kdlab.config.compose import compose
from kdlab.config.compose_many import compose_each
from kdlab.errors import BadInput

LOSS = """# @package knowledge.mine
name: mine
_target_: kdlab.losses.hidden.mse
view: kdlab.objective.views.tokens
weight: 2.0
min_classes: 1
projection: auto
"""
EXPERIMENT = """# @package _global_
defaults:
  - override /size: l3_h32_a2
  - override /knowledge: mine
  - override /protocol: pkd_legacy
task: {train_rows: 64, words: 12}
train: {lr: 0.002}
"""


@pytest.fixture
def conf(tmp_path):
    """A folder with a loss and an experiment."""
    folder = tmp_path / "options"
    for group, name, text in (("knowledge", "mine", LOSS), ("experiment", "trial", EXPERIMENT)):
        (folder / group).mkdir(parents=True)
        (folder / group / f"{name}.yaml").write_text(text)
    return folder


def test_each_way_to_name_a_folder_gives_the_same_run(conf, monkeypatch):
    run = compose("knowledge=mine", config_dir=str(conf))
    (term,) = run.terms
    assert (term.loss.target, term.weight) == ("kdlab.losses.hidden.mse", 2.0)
    monkeypatch.syspath_prepend(conf.parent)
    (conf / "__init__.py").touch()
    for place in (conf, f"file://{conf}", f"'{conf}'", "pkg://options"):
        named, _ = search_path.split([f"hydra.searchpath=[{place}]"])
        assert named == [conf]
    assert compose("knowledge=mine", config_dir="pkg://options").uid == run.uid
    with pytest.raises(BadInput, match="knowledge=mine"):
        compose("knowledge=mine")  # a call leaves nothing behind


@pytest.mark.parametrize("override", ["hydra.searchpath=[{}]", "+hydra.searchpath=[{}]"])
def test_overrides_name_no_folder_not_even_a_teachers_own(conf, override):
    text = override.format(conf)
    with pytest.raises(BadInput, match=r"config_dir= of kdlab\.compose"):
        compose(text, "knowledge=mine")
    with pytest.raises(BadInput, match="searchpath"):
        compose(f"teacher.overrides=['{text}']")


def test_a_command_line_is_split_into_folders_and_the_rest(conf):
    for words in (["--config-dir", str(conf)], [f"--config-dir={conf}"], ["-cd", str(conf)]):
        assert search_path.split(["-m", *words, "a=b", "-c"]) == ([conf], ["-m", "a=b", "-c"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config-dir", "/nowhere"], "--config-dir: /nowhere: no such folder"),
        (["--config-dir"], "--config-dir: it needs a folder: no such folder"),
        (["hydra.searchpath=[pkg://no_such_package.conf]"], "pkg://no_such_package.conf: no such"),
        (["hydra.searchpath=/tmp"], "hydra.searchpath=/tmp: a list of folders"),
        (["hydra.searchpath=[a"], r"hydra.searchpath=\[a: a list of folders"),
    ],
)
def test_a_folder_that_is_not_there_is_one_line(words, message):
    with pytest.raises(BadInput, match=message):
        search_path.split(words)


def test_an_option_that_kdlab_has_too_is_refused_since_it_would_not_be_read(conf):
    (conf / "knowledge" / "hidden_mse.yaml").write_text(LOSS)
    with pytest.raises(BadInput, match=r"hidden_mse\.yaml: kdlab has an option of this name"):
        compose("knowledge=mine", config_dir=str(conf))


def test_an_experiment_is_a_run_and_its_task_and_splits_are_the_teachers_too(conf):
    run = compose("+experiment=trial", config_dir=str(conf))
    said = ["size=l3_h32_a2", "knowledge=mine", "protocol=pkd_legacy", "train.lr=0.002"]
    task = ["task.train_rows=64", "task.words=12"]
    assert run.uid == compose(*said, *task, config_dir=str(conf)).uid
    assert run.teacher.source == run.source
    assert run.teacher.protocol.select_on == run.protocol.select_on == "report"
    over = compose("+experiment=trial", "task.words=14", config_dir=str(conf))
    assert over.source.knobs["words"] == over.teacher.source.knobs["words"] == 14


def test_thousands_of_runs_of_experiments_are_composed_as_one_is(conf):
    overrides = [("+experiment=trial", f"seed={seed}") for seed in range(12)]
    with option_files.searching([conf]):
        uids = [run.uid for run in compose_each(overrides)]
    assert uids[3] == compose(*overrides[3], config_dir=str(conf)).uid
    assert len(set(uids)) == 12


@pytest.mark.parametrize("words", [("--config-dir", "{}"), ("hydra.searchpath=[{}]",)])
def test_the_commands_take_both_ways_and_hydras_help_lists_what_is_there(conf, words):
    named = [word.format(conf) for word in words]
    both = [
        ["kdlab", *named, "+experiment=trial", "--cfg", "job"],
        ["sweeps", "plan", str(conf.parent / "s.yaml"), *named],
        ["kdlab", *named, "--help"],
    ]
    study = "question: q?\nseeds: [0]\nblocks: [{table: t, cases: {a: [+experiment=trial]}}]\n"
    (conf.parent / "s.yaml").write_text(study)
    for command, expected in zip(
        both, ("train_rows: 64", "1, then 2 runs", "experiment: trial"), strict=True
    ):
        ended = python(*command, cwd=conf.parent)
        assert expected in ended.stdout, ended.stderr

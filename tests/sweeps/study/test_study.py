"""Study files expand to what they say."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from composed import compose
from flips import flipped

from kdlab.config.compose import execution
from kdlab.config.identity import batch_key
from kdlab.errors import BadInput
from sweeps import commands
from sweeps.launchers import choice
from sweeps.plan import cohorts, plan
from sweeps.plan.summary import report
from sweeps.plan.survey import counts, survey
from sweeps.study import cells as expand
from sweeps.study import checks, launched, reading
from sweeps.study.outline import outline

TEXT = """
question: Which?
base: [task=synthetic]
seeds: [1, 2]
blocks:
  - table: first
    control: none
    grid: {train.lr: [1e-3, 1e-4]}
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
  - table: second
    control: none
    base: [train.lr=1e-3]
    seeds: [2]
    cases:
      none: [knowledge=none]
      hidden: [knowledge=hidden_mse, matching=last]
skip:
  - {name: too_small, when: [knowledge=logits_kl, train.lr=0.0001], reason: it does not learn}
"""


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example.yaml"
    path.write_text(TEXT)
    return path


def test_blocks_are_crossed_labelled_and_ordered_by_seed(example):
    cells = list(expand.expand(outline(reading.load(str(example)), ("threads=1",))))
    assert len(cells) == 10
    assert cells[1].overrides == (
        "task=synthetic",
        "train.lr=0.001",
        "knowledge=logits_kl",
        "seed=1",
        "threads=1",
    )
    assert (cells[1].table, cells[1].row) == ("first", "logits, train.lr=0.001")
    assert cells[1].control == "none, train.lr=0.001"
    assert [cell.seed for cell in cells] == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2][:4] + [2] * 2 + [2] * 4
    assert [cell.excluded for cell in cells].count("too_small") == 2


def test_a_run_that_two_tables_share_exists_once(example, tmp_path):
    planned = plan.plan(reading.load(str(example)))
    chosen = choice.launcher(execution())
    work = survey(plan.unique(planned), str(tmp_path / "runs"), chosen)
    counted = counts(planned, work)
    assert counted == {"raw": 10, "excluded": 2, "duplicate": 1, "done": 0, "to run": 7}
    assert len(work.due) == 8  # and a teacher
    assert list(tmp_path.iterdir()) == [example]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            ("control: none", "control: nobody"),
            "example: first: control: 'nobody' is no case; cases: none, logits",
        ),
        (("question: Which?\n", ""), "question: missing"),
        (("table: first", "tabel: first"), "tabel: unknown key"),
        (("seeds: [1, 2]", "seeds: [-1]"), "seeds.0=-1"),
        (("seeds: [1, 2]", "seeds: [1, 1]"), "one is there twice"),
        (("train.lr=0.0001]", "train.lr=0.0003]"), "skip rule 'too_small' leaves no run out"),
        (("train.lr=0.0001], reason: it", "train.lr=0.0001], reson: it"), "reson: unknown key"),
        (("table: second", "table: ["), "example.yaml"),
        (
            ("knowledge=hidden_mse", "knowledge=hiden_mse"),
            "second, row 'hidden': knowledge=hiden_mse",
        ),
    ],
)
def test_a_wrong_study_is_refused_by_name(example, change, what):
    example.write_text(TEXT.replace(*change, 1))
    with pytest.raises(BadInput) as error:
        plan.plan(reading.load(str(example)))
    assert what in str(error.value)


TUNED = """
question: Which?
base: [task=synthetic]
blocks:
  - table: tuned
    grid: {size: [l1_h32_a2, l2_h32_a2]}
    zip: {train.epochs: [1, 2], train.batch_size: [16, 32]}
    cases:
      logits: [knowledge=logits_kl]
      hidden: [knowledge=hidden_mse, matching=last]
    tune:
      over: {train.lr: [1e-3, 1e-4]}
      also: {logits: {knowledge.logits_kl.weight: [1, 10]}}
      trials: 2
      seeds: [0]
    confirm: {seeds: [1, 2]}
"""


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("seeds: [0]", "seeds: [2, 0]"), "tuned: confirm.seeds: [2] are tuning seeds too"),
        (("seeds: [0]", "seeds: [0, 0]"), "tuned: tune.seeds: [0, 0]: one is there twice"),
        (("seeds: [1, 2]", "seeds: [1, 1]"), "tuned: confirm.seeds: [1, 1]: one is there twice"),
        (("seeds: [0]", "seeds: []"), "blocks.0.tune.seeds=[]"),
        (("    confirm: {seeds: [1, 2]}\n", ""), "tuned: confirm: missing: a tuned block needs"),
        (("    confirm", "    seeds: [1]\n    confirm"), "tuned: seeds: a tuned block has"),
        (
            ("[16, 32]", "[16]"),
            "zip: unequal numbers of values: train.epochs 2, train.batch_size 1",
        ),
        (("train.epochs: [1, 2]", "train.epochs: []"), "blocks.0.zip.train.epochs=[]"),
        (("zip: {train.epochs", "zip: {size"), "tuned: zip: size: grid sets it"),
        (("over: {train.lr", "over: {size"), "tuned: tune.over.size: grid sets it"),
        (("over: {train.lr", "over: {train.epochs"), "tune.over.train.epochs: zip sets it"),
        (("over: {train.lr: [1e-3, 1e-4]}", "over: {}"), "blocks.0.tune.over={}"),
        (("1e-3, 1e-4", "1e-3, 0.001"), "tuned: tune.over.train.lr: [0.001, 0.001]: one is there"),
        (
            ("over: {train.lr", "over: {hard.weight"),
            "tune.over.hard.weight: no key of arms without",
        ),
        (
            ("over: {train.lr", "over: {data.extra_rows"),
            "tune.over.data.extra_rows: no key of arms",
        ),
        (("also: {logits", "also: {logit"), "tune.also.logit: no such case; cases: logits, hidden"),
        (("{knowledge.logits_kl.weight", "{train.lr"), "tune.also.logits.train.lr: tune.over sets"),
        (("trials: 2", "trials: 0"), "blocks.0.tune.trials=0"),
        (
            ("trials: 2", "per: [case, task]"),
            "tune.per: 'task' is none of case, size, train.epochs",
        ),
        (("trials: 2", "per: [size]"), "tuned: tune.per: needs `case`, since tune.also"),
        (("trials: 2", "rule: os.getcwd"), "tune.rule='os.getcwd': input should be 'best_mean' or"),
        (("trials: 2", "trails: 2"), "trails: unknown key"),
        (("trials: 2", "unequal: ''"), "blocks.0.tune.unequal=''"),
        (
            ("trials: 2", "per: [case]"),
            "tune: unequal numbers of trials (none 2, logits 4, hidden 2)",
        ),
        (("=logits_kl]", "=logits_kl, train.lr=1]"), "cases.logits: train.lr=1: tune.over sets it"),
        (("=logits_kl]", "=logits_kl, size=tiny]"), "cases.logits: size=tiny: grid sets it"),
        (
            ("=logits_kl]", "=logits_kl, ++knowledge.logits_kl.weight=2]"),
            "cases.logits: ++knowledge.logits_kl.weight=2: tune.also.logits sets it",
        ),
        (("[task=synthetic]", "[seed=1]"), "tuned: base: seed=1: `seeds` set it"),
        (("train.lr: [1e-3", "seed: [1"), "tuned: tune.over.seed: `seeds` set it"),
        (("logits: [k", "none: [k"), "tune.also.logits: no such case"),
        (("hidden: [k", "none: [k"), "cases: 'none, size=l1_h32_a2, train.epochs=1, train.batch"),
        (("question", "teachers: all\nquestion"), "teachers='all'"),
        (("question", "teacher_seeds: [1]\nquestion"), "teacher_seeds: only teachers: crossed"),
        (("    cases", "    teacher_seeds: [1]\n    cases"), "tuned: teacher_seeds: only teachers"),
        (
            ("question", "teachers: crossed\nteacher_seeds: [3, 3]\nquestion"),
            "example: teacher_seeds: [3, 3]: one is there twice",
        ),
        (
            ("[task=synthetic]", "[teacher.seed=3]\nteachers: paired"),
            "tuned: base: teacher.seed=3: teachers: paired sets it",
        ),
        (
            ("[task=synthetic]", "['teacher.overrides=[]']\nteacher: [init=random]"),
            "tuned: base: teacher.overrides=[]: `teacher` sets it",
        ),
        (("question", "name: x\nquestion"), "name: unknown key; a study is named by its file"),
        (
            ("blocks:\n", "blocks:\n  - {table: tuned_tune, seeds: [1], cases: {a: []}}\n"),
            "example: tuned_tune: table: is the name of tuned's trials",
        ),
        (
            ("blocks:\n", "blocks:\n  - {table: plain, cases: {a: []}}\n"),
            "example: plain: seeds: missing, and the study has none",
        ),
        (
            ("blocks:\n", "blocks:\n  - {table: p, confirm: {seeds: [1]}, cases: {a: []}}\n"),
            "example: p: confirm: needs tune",
        ),
        (
            ("trials: 2", "trials: 3"),
            "example: tuned: tune.trials: 3: 'none' has 2 combinations: at most 2",
        ),
        (
            ("trials: 2", "unequal: so\n      trials: 5"),
            "example: tuned: tune.trials: 5: 'logits' has 4 combinations: at most 4",
        ),
        (
            ("question", "teachers: crossed\nquestion"),
            "example: tuned: teacher_seeds: missing: teachers: crossed needs them",
        ),
        (("[l1_h32_a2, l2_h32_a2]", "[tiny, tiny]"), "tuned: grid.size: ['tiny', 'tiny']: one is"),
        (
            ("[task=synthetic]", "[train.clip=1, +train.clip=2]"),
            "example: base: train.clip=1 and +train.clip=2 contradict each other: one value for a",
        ),
        (
            ("[task=synthetic]", "[task=synthetic]\nteacher: [train.clip=1, train.clip=2]"),
            "example: teacher: train.clip=1 and train.clip=2 contradict",
        ),
        (
            ("=logits_kl]", "=logits_kl, hard.weight=1, hard.weight=0.1]"),
            "example: tuned: cases.logits: hard.weight=1 and hard.weight=0.1 contradict",
        ),
        (
            ("    cases", "    base: [init=random, init=teacher_skip]\n    cases"),
            "example: tuned: base: init=random and init=teacher_skip contradict",
        ),
        (
            ("    cases", "    teacher: [init=random, init=pretrained]\n    cases"),
            "example: tuned: teacher: init=random and init=pretrained contradict",
        ),
        (
            ("blocks", "skip: [{name: a, when: [seed=1, seed=2], reason: b}]\nblocks"),
            "example: skip a: when: seed=1 and seed=2 contradict",
        ),
        (("[task=synthetic]", "['']"), "example: base: '' is no override"),
        (
            ("    cases", "    base: [save=true]\n    cases"),
            "tuned: base: save=true: is one for all",
        ),
        (("=last]", "=last, root=x]"), "tuned: cases.hidden: root=x: for the command line"),
        (
            ("=last]", "=last, launcher=slurm]"),
            "launcher=slurm: for the command line to say: a study says what is trained, not where",
        ),
        (("=last]", "=last, ++launcher.cohort=2]"), "++launcher.cohort=2: for the command line"),
        (
            ("grid: {size: [l1_h32_a2, l2_h32_a2]", "grid: {threads: [1, 2]"),
            "grid: threads: is one",
        ),
        (("zip: {train.epochs", "zip: {tracker.group"), "tuned: zip: tracker.group: for the comm"),
        (("over: {train.lr: [1e-3, 1e-4]", "over: {device: [cpu, cuda]"), "tune.over: device: is"),
        (
            ("{knowledge.logits_kl.weight", "{checkpoint_seconds"),
            "tune.also.logits: checkpoint_seconds: is one for all runs",
        ),
        (
            ("    cases", "    teacher: [predict_test=true]\n    cases"),
            "tuned: teacher: predict_test=true: is one for all runs",
        ),
        (
            ("[task=synthetic]", "[task=synthetic]\nteacher: [root=x]"),
            "example: teacher: root=x: for the command",
        ),
        (("hidden: [k", '"": [k'), "tuned: cases: '': a label is one line of text"),
        (("hidden: [k", '" ": [k'), "a label is one line of text without blanks around it"),
        (("hidden: [k", '"hid\\nden": [k'), "'hid\\nden': a label is one line of text"),
        (("hidden: [k", "hidden/last: [k"), "tuned: cases: 'hidden/last': no / in a label"),
        (("table: tuned", "table: a/b"), "table: 'a/b': no / in a label: it parts a cell's name"),
        (("table: tuned", 'table: " "'), "table: ' ': a label is one line of text"),
        (
            ("      hidden", "      same: [matching=last, knowledge=hidden_mse]\n      hidden"),
            "example: tuned: cases: 'same' and 'hidden' say the same: a row needs overrides of its",
        ),
        (
            ("      hidden", '      same: ["knowledge=[logits_kl]"]\n      hidden'),
            "example: tuned: cases: 'logits' and 'same' say the same",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_contradicts_itself_is_refused_by_name(tmp_path, change, what):
    path = tmp_path / "example.yaml"
    path.write_text(TUNED)
    assert list(expand.expand(outline(reading.load(str(path)))))
    path.write_text(TUNED.replace(*change, 1))
    with pytest.raises(BadInput) as error:
        list(expand.expand(outline(reading.load(str(path)))))
    assert what in str(error.value)
    assert str(error.value).startswith("example")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ("size=tiny", "size=tiny: grid sets it"),
        ("train.epochs=3", "train.epochs=3: zip sets it"),
        ("train.lr=1", "train.lr=1: tune.over sets it"),
        ("knowledge.logits_kl.weight=3", "tune.also.logits sets it"),
        ("seed=3", "seed=3: `seeds` set it"),
    ],
)
def test_overrides_for_every_run_may_not_undo_what_rows_say(tmp_path, extra, what):
    path = tmp_path / "example.yaml"
    path.write_text(TUNED)
    with pytest.raises(BadInput) as error:
        list(expand.expand(outline(reading.load(str(path)), ("threads=1", extra))))
    assert str(error.value).startswith("example: tuned: ")
    assert what in str(error.value)


def test_two_runs_for_one_cell_are_refused(tmp_path):
    block = (
        "  - {table: t, control: none, base: [train.epochs=%d], cases: {none: [knowledge=none]}}\n"
    )
    path = tmp_path / "twice.yaml"
    path.write_text("question: Which?\nseeds: [1]\nblocks:\n" + block % 1 + block % 2)
    with pytest.raises(BadInput, match="t, row 'none', task synthetic, seed 1: two runs"):
        plan.plan(reading.load(str(path)))


@pytest.mark.parametrize("path", sorted(reading.STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_the_project_expands(path):
    assert list(expand.expand(outline(reading.load(path.stem))))


def test_quickstart_composes():
    assert len(plan.unique(plan.plan(reading.load("quickstart")))) == 18


def test_cohorts_share_batches_and_one_teacher(small):
    runs = [
        compose(*small, *arm, f"seed={seed}")
        for seed in (1, 2)
        for arm in (
            ["knowledge=none"],
            ["knowledge=logits_kl"],
            ["knowledge=hidden_mse"],
            ["knowledge=logits_kl", "teacher.seed=9"],
        )
    ]
    found = cohorts.group(runs, 8)
    assert sorted(run.uid for cohort in found for run in cohort) == sorted(run.uid for run in runs)
    for cohort in found:
        assert len({batch_key(run) for run in cohort}) == 1
        assert len({run.teacher.uid for run in cohort if run.teacher}) <= 1
    assert sorted(map(len, found)) == [1, 1, 3, 3]
    assert max(map(len, cohorts.group(runs, 2))) == 2
    alone = [run for run in runs if not run.teacher]
    assert sorted(map(len, cohorts.group(alone, 8))) == [1, 1]


@pytest.mark.parametrize("name", ["teacher", "majority", "teacher, large"])
def test_a_case_is_not_called_as_a_row_that_tables_add(example, name):
    example.write_text(TEXT.replace("      logits: [", f'      "{name}": ['))
    with pytest.raises(BadInput, match=f"cases.{name}: is what tables call a row of their own"):
        reading.load(str(example))


SETTINGS = """\
question: Q?
seeds: [1]
blocks:
  - table: t
    grid: {task: [rte, mnli]}
    settings: chosen.csv
    control: kd
    controls: false
    cases: {kd: [knowledge=logits_kl], ft: [knowledge=none]}
"""
CHOSEN = (
    "case,task,train.lr,hard.weight,note\nkd,rte,2e-5,0.3,best\nkd,mnli,5e-5,,\nother,rte,1,1,\n"
)


def test_settings_of_a_file_are_overrides_of_their_case_and_task(tmp_path):
    (tmp_path / "chosen.csv").write_text(CHOSEN)
    (tmp_path / "mine.yaml").write_text(SETTINGS)
    loaded = reading.load(str(tmp_path / "mine.yaml"))
    found = {cell.overrides for cell in expand.expand(outline(loaded))}
    assert found == {
        ("task=rte", "knowledge=logits_kl", "train.lr=2e-5", "hard.weight=0.3", "seed=1"),
        ("task=mnli", "knowledge=logits_kl", "train.lr=5e-5", "seed=1"),
        ("task=rte", "knowledge=none", "seed=1"),
        ("task=mnli", "knowledge=none", "seed=1"),
    }
    launched.save(loaded, (), tmp_path)  # without the file
    assert launched.read(tmp_path)[0] == loaded


def test_a_bit_anywhere_in_a_launched_plan_is_refused(example, tmp_path, monkeypatch):
    monkeypatch.setattr(launched, "RACE_SECONDS", 0.0)
    folder = tmp_path / "studies" / "example"
    folder.mkdir(parents=True)
    path = folder / launched.PLAN_FILE
    pd.DataFrame({"uid": ["a" * 32], "row": ["logits"]}).to_parquet(path)
    before = launched.read_plan("example", tmp_path)
    launched.save(reading.load(str(example)), (), folder)
    assert launched.read_plan("example", tmp_path).equals(before)
    for _ in flipped(path, 60):
        with pytest.raises(BadInput, match="plan.parquet is not what was written; written anew by"):
            launched.read_plan("example", tmp_path)


def test_a_bit_anywhere_in_the_study_that_was_launched_is_refused(tmp_path):
    (tmp_path / "chosen.csv").write_text(CHOSEN)
    (tmp_path / "mine.yaml").write_text(SETTINGS)
    launched.save(reading.load(str(tmp_path / "mine.yaml")), ("seed=1",), tmp_path)
    path = tmp_path / launched.STUDY_FILE
    again = f"{path} is not what was written; launch {tmp_path.name} from its file"
    for _ in flipped(path):
        for read in (launched.read, launched.command_line, launched.text):
            with pytest.raises(BadInput, match=re.escape(again)):
                read(tmp_path)


@pytest.mark.parametrize(
    ("text", "csv", "message"),
    [
        (SETTINGS.replace("rte, mnli", "rte, cola"), CHOSEN, "settings: kd has none for task=cola"),
        (SETTINGS.replace("chosen", "lost"), CHOSEN, "settings: no file"),
        (SETTINGS, "case,lr\n", "needs the columns case, task, and keys of a run"),
        (SETTINGS, CHOSEN + "kd,rte,1,1,\n", "line 5: the same case and task twice"),
        (SETTINGS, CHOSEN.replace("kd,", "kb,"), "none for these cases; there: kb, other"),
        (SETTINGS.replace("kd: [k", "kd: [train.lr=1, k"), CHOSEN, "train.lr=1: settings set it"),
        (SETTINGS.replace("{task", "{train.lr: [1], task"), CHOSEN, "train.lr=2e-5: grid sets it"),
    ],
)
def test_settings_that_are_wrong_are_refused_in_one_line(tmp_path, text, csv, message):
    (tmp_path / "chosen.csv").write_text(csv)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        list(expand.expand(outline(reading.load(str(tmp_path / "mine.yaml")))))
    assert "\n" not in str(error.value)


def test_what_is_no_contradiction_is_taken(tmp_path):
    """A key that is deleted and added, one that is said twice, a base that a case overrides."""
    path = tmp_path / "example.yaml"
    path.write_text(
        TUNED.replace(
            "[task=synthetic]",
            "[threads=1, ~task.report, '+task.report={report: test}', hard.weight=1]",
        ).replace("=last]", "=last, hard.weight=0.1, hard.weight=0.10]")
    )
    assert list(expand.expand(outline(reading.load(str(path)))))


def test_rows_that_turn_out_to_be_the_same_runs_are_named(tmp_path, example):
    hidden = "      hidden: [knowledge=hidden_mse, matching=last]\n"
    more = hidden + "      by key: [knowledge=hidden_mse, matching=last, train.clip=1.0]\n"
    example.write_text(TEXT.replace(hidden, more))
    loaded = reading.load(str(example))
    planned, chosen = plan.plan(loaded), choice.launcher(execution())
    work = survey(plan.unique(planned), str(tmp_path / "runs"), chosen)
    said = report(loaded, planned, work, chosen, 0, str(tmp_path / "runs")).splitlines()
    assert [line for line in said if line.startswith("the same runs")] == [
        "the same runs in second: 'none', 'none, by key'",
        "the same runs in second: 'hidden', 'by key'",
    ]


@pytest.mark.parametrize(
    ("own", "what"),
    [
        ("init.run=['train.lr=1e-3','train.lr=1e-4']", "init.run: train.lr=1e-3 and train.lr=1e-4"),
        ("init.run=['save=true']", "init.run: save=true: where and how runs are computed is said"),
        ("teacher.overrides=['root=x']", "teacher.overrides: root=x: where and how runs are"),
        ("teacher.overrides=['init=random','init=pretrained']", "init=random and init=pretrained"),
    ],
)
def test_a_parents_own_list_is_checked_too(own, what):
    init = ["init=run"] if own.startswith("init") else []
    with pytest.raises(BadInput) as error:
        compose("knowledge=logits_kl", *init, own)
    assert what in str(error.value)


def test_a_command_line_that_contradicts_itself_is_refused(tmp_path):
    asked = ("task=rte", "task=mrpc")
    with pytest.raises(BadInput, match="quickstart: task=rte and task=mrpc contradict each other"):
        commands.requested("quickstart", asked, str(tmp_path))


def test_a_table_has_one_layout_whichever_block_names_it(example):
    loaded = reading.load(str(example))
    block = loaded.blocks[0]
    layouts = ["a1_knowledge", None, "a2_matching"]
    blocks = [replace(block, layout=layout) for layout in layouts]
    checks.check(replace(loaded, blocks=blocks[:2]))
    with pytest.raises(BadInput, match="first: layout: a1_knowledge and a2_matching: a table has"):
        checks.check(replace(loaded, blocks=blocks))
    with pytest.raises(BadInput, match="first: layout: a9: allowed: a1_knowledge, a2_matching"):
        checks.check(replace(loaded, blocks=[replace(block, layout="a9")]))

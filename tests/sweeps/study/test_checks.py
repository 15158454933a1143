"""A study that contradicts itself is refused in one line that names the study, table and key."""

from dataclasses import replace

import pytest
from composed import compose
from study_texts import TEXT, TUNED

from kdlab.errors import BadInput
from sweeps import commands
from sweeps.plan import plan
from sweeps.study import cells as expand
from sweeps.study import checks, reading
from sweeps.study.outline import outline

pytestmark = pytest.mark.usefixtures("plans_sooner")


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


@pytest.mark.parametrize("name", ["teacher", "majority", "teacher, large"])
def test_a_case_is_not_called_as_a_row_that_tables_add(example, name):
    example.write_text(TEXT.replace("      logits: [", f'      "{name}": ['))
    with pytest.raises(BadInput, match=f"cases.{name}: is what tables call a row of their own"):
        reading.load(str(example))


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

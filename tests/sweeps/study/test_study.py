"""Study files expand to what they say."""

import pytest
from study_texts import TEXT

from kdlab.config.compose import execution
from kdlab.errors import BadInput
from sweeps.launchers import choice
from sweeps.plan import plan
from sweeps.plan.summary import report
from sweeps.plan.survey import counts, survey
from sweeps.study import cells as expand
from sweeps.study import folders, reading
from sweeps.study.outline import outline

pytestmark = pytest.mark.usefixtures("plans_sooner")


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


def test_two_runs_for_one_cell_are_refused(tmp_path):
    block = (
        "  - {table: t, control: none, base: [train.epochs=%d], cases: {none: [knowledge=none]}}\n"
    )
    path = tmp_path / "twice.yaml"
    path.write_text("question: Which?\nseeds: [1]\nblocks:\n" + block % 1 + block % 2)
    with pytest.raises(BadInput, match="t, row 'none', task synthetic, seed 1: two runs"):
        plan.plan(reading.load(str(path)))


@pytest.mark.parametrize("path", sorted(folders.STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_the_project_expands(path):
    assert list(expand.expand(outline(reading.load(path.stem))))


def test_a_study_may_include_others(tmp_path):
    for name in ("first", "second"):
        (tmp_path / f"{name}.yaml").write_text(
            f"question: {name}?\nbase: [train.lr=1e-3]\nseeds: [1, 2]\nteachers: paired\n"
            f"skip: [{{name: not_{name}, when: [matching=last], reason: tried}}]\n"
            f"blocks: [{{table: {name}, base: [train.epochs=2], cases: {{a: []}}}}]\n"
        )
    both = tmp_path / "both.yaml"
    both.write_text("question: all?\ninclude: [first, second]\nblocks: []\n")
    study, alone = reading.load(str(both)), reading.load(str(tmp_path / "first.yaml"))
    assert [block.table for block in study.blocks] == ["first", "second"]
    assert study.blocks[0].base == ["train.lr=1e-3", "train.epochs=2"]
    assert [rule.name for rule in study.skip] == ["not_first", "not_second"]
    runs = [[cell.overrides for cell in expand.expand(outline(each))] for each in (study, alone)]
    assert set(runs[1]) <= set(runs[0])
    for wrong, message in (("[third]", "no study"), ("first", "include='first': a list of names")):
        both.write_text(f"question: all?\ninclude: {wrong}\nblocks: []\n")
        with pytest.raises(BadInput, match=message):
            reading.load(str(both))


def test_quickstart_composes():
    assert len(plan.unique(plan.plan(reading.load("quickstart")))) == 30


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

"""Options that do not go together leave a study by themselves, counted and named."""

import pytest
from at_once import python

from kdlab.config.compose import execution
from kdlab.errors import BadInput
from sweeps.launchers import choice
from sweeps.plan import plan
from sweeps.plan.summary import report
from sweeps.plan.survey import survey
from sweeps.study import cells as expand
from sweeps.study import tuning
from sweeps.study.outline import outline

pytestmark = pytest.mark.usefixtures("plans_sooner")

SHAPES = """
question: Deep or wide?
base: [task=synthetic]
seeds: [1, 2]
blocks:
  - table: shapes
    grid: {size: [tiny, mini], shape: [wide, deep, standard]}
    cases:
      logits: [knowledge=logits_kl]
skip: [{name: slow, when: [size=mini, shape=standard, seed=2], reason: two are enough}]
"""
WIDE = "shape=wide: l2_h128 has none: l1_h192, the nearest, has 12.2 % more Transformer parameters"
TUNED = """
question: Deep or wide?
base: [task=synthetic]
blocks:
  - table: shapes
    grid: {shape: [wide, deep]}
    cases:
      logits: [knowledge=logits_kl, size=mini]
    tune:
      over: {train.lr: [1e-3, 1e-4]}
      seeds: [0]
      per: PER
    confirm: {seeds: [1, 2, 3]}
"""


def text(loaded, planned, root, waiting=0) -> list[str]:
    chosen = choice.launcher(execution())
    work = survey(plan.unique(planned), str(root), chosen)
    return report(loaded, planned, work, chosen, waiting, root).splitlines()


def test_a_plan_leaves_shapes_that_miss_out_and_names_them(read, tmp_path):
    loaded = read(SHAPES)
    planned = plan.plan(loaded)
    out = {(e.cell.row, e.cell.seed): e.cell.excluded for e in planned if e.run is None}
    assert len(out) == 2 * (2 + 2 + 2) + 2
    assert out["logits, size=tiny, shape=wide", 1].startswith(WIDE)
    assert out["none, size=tiny, shape=wide", 2].startswith(WIDE)
    assert out["logits, size=mini, shape=standard", 2] == "slow"
    lines = text(loaded, planned, tmp_path)
    assert lines[1].startswith("24 raw, 14 excluded, 0 duplicate, 0 done, 10 to run")
    assert "2 excluded by slow: two are enough" in lines
    named = [line for line in lines if " excluded by shape=" in line]
    assert [line.partition(":")[0] for line in named] == [
        "4 excluded by shape=wide",
        "4 excluded by shape=deep",
        "4 excluded by shape=wide",
    ]
    assert named[0] == f"4 excluded by {WIDE}, and 5 % are allowed"


def test_knowledge_that_needs_more_classes_is_left_out(read):
    loaded = read(
        """
question: Which?
seeds: [1]
blocks:
  - table: classes
    grid: {task.classes: [2, 3]}
    cases: {dist: [knowledge=logits_dist]}
"""
    )
    (entry,) = [entry for entry in plan.plan(loaded) if entry.run is None]
    assert entry.cell.row == "dist, task.classes=2"
    assert "logits_dist cannot apply to a task of 2 classes" in entry.cell.excluded


def test_layers_and_widths_that_do_not_fit_are_left_out_and_counted(read, tmp_path):
    loaded = read(
        """
question: Which layers, from where?
seeds: [1]
blocks:
  - table: depths
    grid: {size: [l2_h64_a4, l6_h64_a4, l2_h64_a2], hard.weight: [1, 0.5]}
    base: [task=synthetic, teacher.size=l4_h64_a4]
    cases:
      hidden: [knowledge=hidden_mse, matching=last]
      attention: [knowledge=attention_kl]
"""
    )
    planned = plan.plan(loaded)
    out = [entry.cell.excluded for entry in planned if entry.run is None]
    assert len(out) == 2 * (2 + 1)
    lines = text(loaded, planned, tmp_path)
    deep = "6 student layers are more than the teacher's 4"
    assert f"2 excluded by matching=last: {deep}" in lines
    assert f"2 excluded by matching=skip: {deep}" in lines
    assert sum("2 excluded by knowledge.attention_kl: unequal heads" in line for line in lines) == 1


def test_a_mistake_still_stops_the_plan(read):
    with pytest.raises(BadInput, match="shapes, row 'none, size=tiny, shape=broad': shape=broad"):
        plan.plan(read(SHAPES.replace("wide", "broad")))


@pytest.mark.parametrize(("per", "groups"), [("null", 4), ("[case]", 2)])
def test_an_arm_that_makes_no_run_has_no_trials_and_waits_for_no_winner(read, per, groups):
    loaded = read(TUNED.replace("PER", per))
    planned = plan.plan(loaded)
    barred = {e.cell.overrides: e.cell.excluded for e in planned if e.cell.excluded}
    assert len(barred) == 4  # two arms, two trials each
    assert expand.count_open(outline(loaded)) == 12
    assert expand.count_open(outline(loaded), refused=barred) == 6
    assert len({entry.cell.group for entry in planned}) == groups
    cells = [(entry.cell, entry.run.uid if entry.run else None) for entry in planned]
    winners = tuning.choose(cells, lambda uid: 1.0)
    assert {winner.overrides for winner in winners.values()} == {("train.lr=0.001",)}
    confirmed = [entry for entry in plan.plan(loaded, (), winners) if entry.cell.stage == "confirm"]
    assert len(confirmed) == 6
    assert {entry.run.student.hidden for entry in confirmed} == {192}


def test_a_trial_that_makes_no_run_is_not_counted(read):
    over = """
question: Deep or wide?
base: [size=mini]
blocks:
  - table: shapes
    cases: {logits: [knowledge=logits_kl]}
    tune:
      over: {shape: [wide, deep]}
      also: {logits: {knowledge.logits_kl.weight: [1, 2]}}
      unequal: the weight is the question
      seeds: [0]
    confirm: {seeds: [1]}
"""
    planned = plan.plan(read(over))
    assert {(e.cell.row, e.cell.trials) for e in planned} == {("none", 1), ("logits", 2)}


def test_the_command_line_names_what_is_left_out(tmp_path):
    (tmp_path / "shapes.yaml").write_text(SHAPES)
    found = python("sweeps", "plan", "shapes.yaml", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert f"4 excluded by {WIDE}" in found.stdout
    (tmp_path / "none.yaml").write_text(
        SHAPES.partition("skip")[0].replace("size: [tiny, mini], shape: [wide, deep, standard]",
                                            "size: [tiny], shape: [wide, deep]")
    )  # fmt: skip
    found = python("sweeps", "plan", "none.yaml", cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith(f"sweeps: none: nothing is left to run: {WIDE}")
    assert len(found.stderr.splitlines()) == 1

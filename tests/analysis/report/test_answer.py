"""What a report opens with: verdicts, the forest plot, headroom."""

import math

import edges
import pytest
import wide

import analysis
from analysis.guideline import NOT_STUDIED, RECOMMENDED, UNKNOWN, guideline
from analysis.read.frame import scores
from analysis.report import forest, headroom
from kdlab.run import teacher_runs
from sweeps.plan import plan
from sweeps.study import reading

SMALL, LARGE = ", size=l2_h64_a4", ", size=l3_h64_a4"


@pytest.fixture(scope="module")
def panels(tables):
    return {panel.column: panel for panel in forest.panels(tables, 1.0)}


def of_row(panel, row):
    return next(line for group in panel.groups for line in group if line.row == row)


def test_every_arm_has_a_line_in_each_panel_behind_its_control(panels):
    assert list(panels) == ["average", "mrpc f1", "mrpc accuracy", "rte accuracy", "qnli accuracy"]
    for panel in panels.values():
        complete = [name for name in wide.GAINS if panel.column != "average" or name != "unlucky"]
        rows = [[line.row for line in group] for group in panel.groups]
        assert rows == [[name + size for name in complete] for size in (SMALL, LARGE)]
        assert [group[0].kind for group in panel.groups] == ["control"] * 2


def test_dots_are_paired_differences_one_for_each_seed(panels, runs):
    line = of_row(panels["rte accuracy"], "logits" + SMALL)
    long = scores(runs).query("task == 'rte' and split == 'report' and seed > 0")
    by_row = {name: part.set_index("seed")["score"] for name, part in long.groupby("row")}
    difference = 100 * (by_row["logits" + SMALL] - by_row["none" + SMALL])
    assert [dot.value for dot in line.dots] == pytest.approx(difference.tolist())
    assert [dot.title.partition(":")[0] for dot in line.dots] == [f"seed {n}" for n in range(1, 5)]
    assert line.mean == pytest.approx(difference.mean())


def test_the_control_s_own_seeds_stand_around_their_mean(panels):
    line = of_row(panels["rte accuracy"], "none" + LARGE)
    assert len(line.dots) == 4
    assert sum(dot.value for dot in line.dots) == pytest.approx(0)
    assert line.text.startswith("57.")


def test_an_average_has_the_mean_of_its_tasks_for_each_seed(panels):
    lines = {name: of_row(panel, "hidden" + LARGE) for name, panel in panels.items()}
    mrpc = [lines["mrpc f1"].dots, lines["mrpc accuracy"].dots]
    for index, dot in enumerate(lines["average"].dots):
        of_mrpc = sum(dots[index].value for dots in mrpc) / 2
        others = [lines[f"{task} accuracy"].dots[index].value for task in ("rte", "qnli")]
        assert dot.value == pytest.approx((of_mrpc + sum(others)) / 3)


def test_kinds_are_those_of_the_marks(panels, tables):
    (table,) = tables
    kinds = set()
    for (row, column), cell in table.cells.items():
        if cell.mark:
            line = of_row(panels[column], row)
            shown = "better" if cell.difference > 0 else "worse"
            assert line.kind == (shown if "*" in cell.mark else "alike")
            kinds.add(line.kind)
    assert "better" in kinds
    assert of_row(panels["qnli accuracy"], "unlucky" + SMALL).kind == "untold"


def test_a_scale_holds_every_dot_the_margin_and_round_ticks(panels):
    for panel in panels.values():
        lines = [line for group in panel.groups for line in group]
        values = [dot.value for line in lines for dot in line.dots] + [-1.0, 1.0]
        assert panel.scale.low < min(values) < max(values) < panel.scale.high
        assert "0" in [text for _, text in panel.scale.ticks]
    scale = forest.Scale(-2.0, 6.0)
    assert scale.place(0.0) == "25.00%"
    assert scale.place(99.0) == "100.00%"
    assert scale.width(-1.0, 1.0) == "25.00%"
    assert [text for _, text in scale.ticks] == ["−2", "0", "2", "4", "6"]


def test_a_very_wide_interval_does_not_hide_the_others():
    dots = [forest.Dot(value, "") for value in (0.5, 1.0, 1.5)]
    line = forest.Line("a", "untold", 1.0, -80.0, 82.0, dots, "")
    scale = forest.scale_of([line], 1.0)
    assert scale.high - scale.low < 10


def test_headroom_is_the_teacher_minus_the_student_without_knowledge(tables, runs):
    every = headroom.headrooms(tables)
    gaps = {(gap.column, gap.control): gap for gap in every}
    assert len(gaps) == len(every) == 8  # also where an arm lacks runs
    done = scores(runs).query("split == 'report' and task == 'qnli'")
    teacher = done.query("seed < 0")["score"].mean()
    none = done[done["row"] == "none" + SMALL]["score"].mean()
    gap = gaps["qnli accuracy", "none" + SMALL]
    assert gap.points == pytest.approx(100 * (teacher - none))
    assert gap.closed_by == "logits" + SMALL
    assert not gap.is_within_spread
    small = gaps["rte accuracy", "none" + LARGE]
    assert small.is_within_spread
    assert small.closed_by == ""
    assert math.isnan(small.share)
    said = headroom.in_a_sentence(every)
    assert said.startswith(f"Teachers are {small.points:.1f} to ")
    assert "in 1 of 8 places that is within its spread" in said


def test_verdicts_in_short_name_what_is_shown_once_for_columns_that_say_the_same(runs):
    sections = {section.axis: section for section in guideline(runs).sections}
    size = sections["size"]
    assert size.verdict == RECOMMENDED
    (sentence,) = size.in_short
    assert sentence.startswith(
        "Prefer `l3_h64_a4` on mrpc f1, mrpc accuracy, rte accuracy, qnli accuracy: +"
    )
    assert sentence.endswith(" points over `l2_h64_a4`.")
    assert len(size.recommended) == 4
    assert sections["init"].verdict == NOT_STUDIED


def test_an_axis_whose_runs_are_still_to_come_is_not_called_not_studied(tmp_path, wide_study):
    (tmp_path / "glue").symlink_to(wide_study / "glue")
    with edges.inside(tmp_path):
        (tmp_path / "wide.yaml").write_text(wide.STUDY)
        loaded = reading.load("wide.yaml")
        cells = plan.plan(loaded)
        plan.write(cells, {}, wide.NAME, loaded, wide.ROOT)
        (first,) = [c.run for c in cells if c.run and c.cell.row == "none" + SMALL][:1]
        assert not teacher_runs(first)
        wide.leave(first, 1300, set())
        sections = {s.axis: s for s in guideline(analysis.load(wide.NAME, wide.ROOT)).sections}
    assert sections["size"].verdict == UNKNOWN
    assert sections["size"].in_short[0].startswith("Cannot tell yet: of its levels `l2_h64_a4`")
    assert sections["init"].verdict == NOT_STUDIED

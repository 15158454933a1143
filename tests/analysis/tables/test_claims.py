"""What a table claims: of planted effects, of none, and on records made by hand."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import ROWS, leave, outputs

from analysis.read import frame
from analysis.statistics import bootstrap, contrasts, seed_tests
from analysis.statistics.cells import Cell
from analysis.statistics.contrasts import Sample
from analysis.tables import arrange, formats, papers
from analysis.tables import marks as claims
from sweeps.plan import plan
from sweeps.study import reading

EXAMPLES, SEEDS, STUDIES = 400, 6, 200


def simulated(
    random: np.random.Generator, gains: dict[str, float], tastes: float
) -> dict[str, str]:
    """Marks of arms that are `gains` more often right than their control, on average over seeds.

    Seeds differ by 1.5 points, some examples are harder than others for all, and each arm has
    examples of its own that it is better or worse at, by `tastes`.
    """
    easy = random.uniform(0.4, 0.9, size=EXAMPLES)

    def draws(gain: float) -> list[tuple[float, np.ndarray]]:
        own = random.normal(0, tastes, size=EXAMPLES)
        chances = easy + own + gain + random.normal(0, 0.015, size=(SEEDS, 1))
        right = (random.random((SEEDS, EXAMPLES)) < chances).astype(int)
        labels = np.ones(EXAMPLES)
        return [
            (row.mean(), bootstrap.resample("accuracy", labels, np.eye(2)[row])) for row in right
        ]

    control, seeds = draws(0.0), np.arange(SEEDS)
    rows = []
    for arm, gain in gains.items():
        pairs = list(zip(draws(gain), control, strict=True))
        differences = np.array([100 * (ours[0] - theirs[0]) for ours, theirs in pairs])
        drawn = np.stack([100 * (ours[1] - theirs[1]) for ours, theirs in pairs], 1)
        told = contrasts.contrast(Sample(seeds, np.full(SEEDS, -1), differences, drawn), 1.0)
        rows.append(told._asdict() | {"key": arm, "n": SEEDS, "degenerate": 0})
    return marks(rows)


def marks(rows: list[dict]) -> dict[str, str]:
    """By key the marks of contrasts that are one table's."""
    told = [{"path": ("table main",), "planned": SEEDS} | row for row in rows]
    found = contrasts.judged(pd.DataFrame(told), {}).to_dict("records")
    return {row["key"]: contrasts.mark(row) for row in found}


@pytest.mark.parametrize(("tastes", "gain"), [(0.0, 0.08), (0.2, 0.14)])
def test_planted_effects_are_found_and_planted_nulls_are_not(tastes, gain):
    """Of 200 studies a wrong mark in at most 5 % (16 with the error of counting), in a family."""
    random = np.random.default_rng(11)
    gains = {"logits": 0.0, "hidden": 0.0, "strong": gain}  # of the chance of a right answer
    found, wrong = 0, 0
    for _ in range(STUDIES):
        marked = simulated(random, gains, tastes)
        found += "*" in marked["strong"]
        wrong += any("*" in marked[arm] for arm in ("logits", "hidden"))
    assert found >= 0.8 * STUDIES
    assert wrong <= 16


def test_without_correction_a_family_would_claim_too_much():
    """Twelve nulls: single tests find one of them in far more than 5 % of the studies."""
    random = np.random.default_rng(12)
    differences = random.normal(size=(STUDIES, 12, SEEDS))
    single = np.array(
        [[seed_tests.two_sided(over_seeds(cell)) for cell in family] for family in differences]
    )
    family = np.array([seed_tests.holm(list(p)) for p in single])
    assert (single < 0.05).any(1).mean() > 0.3
    assert (family < 0.05).any(1).sum() <= 16


@pytest.mark.parametrize(("truth", "expected"), [(1.0, "wrong"), (0.0, "found")])
def test_equivalence_is_claimed_within_the_margin_and_not_at_it(truth, expected):
    random = np.random.default_rng(13)
    drawn = random.normal(truth, 0.5, size=(STUDIES, 8))
    claimed = sum(seed_tests.equivalence(over_seeds(seeds), 1.0) < 0.05 for seeds in drawn)
    assert (claimed <= 16) if expected == "wrong" else (claimed >= 0.9 * STUDIES)


def over_seeds(values: np.ndarray) -> seed_tests.Estimate:
    seeds = np.arange(len(values))
    return contrasts.estimated(Sample(seeds, np.full(len(seeds), -1), np.array(values), None))


def test_marks_are_of_corrected_tests_and_those_that_failed_alike_are_not_the_same():
    row = {"p": 0.004, "equivalence": 0.3, "n": 6, "degenerate": 0}
    assert marks(
        [
            {"key": "found", **row},
            {"key": "sure", **row, "p": 0.0001},
            {"key": "chance", **row, "p": 0.2},
            {"key": "same", **row, "p": 0.9, "equivalence": 0.001},
            {"key": "small", **row, "equivalence": 0.001},
            {"key": "both failed", **row, "p": 0.9, "equivalence": 0.001, "degenerate": 6},
            {"key": "untested", **row, "p": math.nan, "equivalence": math.nan},
        ]
    ) == {
        "found": "*",
        "sure": "**",
        "chance": "",
        "same": "≈",
        "small": "*≈",
        "both failed": "",
        "untested": "",
    }


STUDY = """
question: Does it help?
seeds: [1, 2, 3, 4, 5]
blocks:
  - table: main
    control: none
    cases:
      none: [knowledge=none]
      better: [knowledge=logits_kl]
      same: [knowledge=hidden_mse]
      unsure: [knowledge=logits_mse]
"""
# Rows of 400 that are right, by seed.
RIGHT = {
    "none": [240, 242, 238, 244, 236],
    "better": [280, 284, 276, 285, 278],
    "same": [240, 242, 239, 244, 236],
    "unsure": [220, 262, 250, 231, 240],
}


def written(path, text: str = STUDY, teacher: int = 320, margin: float = 5.0) -> arrange.Table:
    """The table of a study whose runs left records."""
    (table,) = arrange.arranged(recorded(path, text, teacher), margin=margin)
    return table


def recorded(path, text: str = STUDY, teacher: int = 320) -> pd.DataFrame:
    """A study whose runs left records."""
    path.write_text(text)
    loaded = reading.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, path.stem, loaded, str(path.parent))
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    for run, cell in {entry.run.uid: (entry.run, entry.cell) for entry in planned}.values():
        right = RIGHT.get(cell.row, RIGHT["unsure"])[cell.seed - 1]
        leave(path.parent, run.uid, outputs(labels, right), labels)
    (uid,) = {entry.run.teacher.uid for entry in planned if entry.run.teacher}
    leave(path.parent, uid, outputs(labels, teacher), labels)
    return frame.runs(path.stem, str(path.parent))


@pytest.fixture(scope="module")
def five(tmp_path_factory) -> pd.DataFrame:
    """The runs of the study."""
    return recorded(tmp_path_factory.mktemp("claims") / "five.yaml")


def cells(table: arrange.Table) -> dict[str, Cell]:
    return {row: table.cells[row, "synthetic accuracy"] for row in table.rows}


def test_marks_stand_in_every_format_with_their_family_below(five):
    (table,) = arrange.arranged(five, margin=5.0)
    marks = {row: cell.mark for row, cell in cells(table).items()}
    assert marks == {
        "teacher": "",
        "majority": "",
        "none": "",
        "better": "**",
        "same": "≈",
        "unsure": "",
    }
    text = formats.markdown(table)
    assert re.search(r"better .*\]\*\* +\|", text)
    assert "corrected by Holm in a family: the 3 differences of this table" in text
    assert "no difference beyond ± 5 points" in text
    assert r"]$^{*}$$^{*}$" in formats.latex(table)
    assert r"]$\approx$" in formats.latex(table)
    assert "p $<$ 0.05" in formats.latex(table)
    line = next(line for line in formats.csv(table).splitlines() if ",better," in line)
    assert ",**," in line


def test_tests_in_tables_are_of_differences_over_seeds_and_examples(five):
    found = cells(arrange.arranged(five)[0])
    for row in ("better", "same", "unsure"):
        # Right or wrong of each seed and example, from the counts: an analysis of variance.
        ours, theirs = (
            100.0 * (np.arange(ROWS) < np.array(RIGHT[name])[:, None]) for name in (row, "none")
        )
        table = ours - theirs
        rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        of_rest = (rest**2).sum() / (4 * (ROWS - 1))
        of_examples = max(0.0, (5 * table.mean(0).var(ddof=1) - of_rest) / (5 * ROWS))
        seeds = table.mean(1)
        sources = [(seeds.var(ddof=1) / 5, 4), (of_examples, bootstrap.DRAWS - 1)]
        expected = seed_tests.combined(float(seeds.mean()), sources)
        # A p of 1e-10 moves with the square of what the bootstrap is off by.
        ours, theirs = (math.log(p) for p in (found[row].p, seed_tests.two_sided(expected)))
        assert ours == pytest.approx(theirs, rel=0.1)
        assert found[row].detectable == pytest.approx(seed_tests.detectable(expected), rel=0.1)
        half = (found[row].high - found[row].low) / 2
        assert half == pytest.approx(seed_tests.interval(expected)[1] - expected.mean, rel=0.1)
    assert found["better"].adjusted == pytest.approx(3 * found["better"].p)


def test_two_seeds_have_no_interval_and_make_no_claim(five):
    (table,) = arrange.arranged(five[five["seed"] <= 2])
    assert {cell.mark for cell in cells(table).values()} == {""}
    assert "no marks: a test needs 3 seeds that differ" in table.notes
    assert math.isnan(cells(table)["unsure"].low)
    assert re.search(r"unsure .*\| 0\.0 +\|", formats.markdown(table))


def test_three_seeds_are_tested_by_the_interval_that_is_shown(five):
    (table,) = arrange.arranged(five[five["seed"] <= 3])
    found = cells(table)
    assert found["better"].mark
    for row in ("better", "same", "unsure"):
        assert (found[row].p < 0.05) == (not found[row].low <= 0 <= found[row].high)


LARGE = """
question: Which of many?
seeds: [1, 2, 3]
blocks:
  - table: many
    grid: {train.lr: [1e-4, 2e-4]}
    cases: {logits: [knowledge=logits_kl], hidden: [knowledge=hidden_mse],
            values: [knowledge=value_relation]}
  - table: few
    grid: {train.lr: [1e-4]}
    cases: {logits: [knowledge=logits_kl], hidden: [knowledge=hidden_mse]}
"""


def test_families_that_could_mark_nothing_are_split_and_two_tables_have_one_verdict(tmp_path):
    """Six tests of three seeds are too many for one family; two arms are in two tables."""
    runs = recorded(tmp_path / "large.yaml", LARGE)
    many, few = papers.of_study(runs)
    families = {cell.family for cell in many.cells.values() if cell.family}
    assert {(family[0], len(family)) for family in families} == {("table many", 3)}
    assert len(families) == 2
    assert any("the 3 differences of each column and control" in note for note in many.notes)
    quoted = {key: cell for key, cell in few.cells.items() if cell.family}
    assert len(quoted) == 2
    for key, cell in quoted.items():
        assert (cell.adjusted, cell.family) == (many.cells[key].adjusted, many.cells[key].family)
    assert any("that of table many for the 2 it has" in note for note in few.notes)
    (alone,) = arrange.arranged(runs[runs["table"] == "few"])
    assert {cell.family for cell in alone.cells.values() if cell.family} == {("table few",)}


def test_headroom_is_teacher_minus_none_and_rows_close_a_share_of_it(five):
    (table,) = arrange.arranged(five)
    found = cells(table)
    assert found["better"].headroom == pytest.approx(80.0 - 60.0)
    assert found["better"].share == pytest.approx(100 * (1403 - 1200) / (1600 - 1200))
    assert math.isnan(found["teacher"].share)
    assert "gap closed synthetic accuracy" in formats.markdown(table)
    assert "| 51 %" in formats.markdown(table)
    assert "headroom (teacher minus none), in points: synthetic accuracy 20.0" in table.notes


def test_no_share_is_shown_where_headroom_is_within_the_spread(tmp_path):
    table = written(tmp_path / "low.yaml", teacher=242)
    found = cells(table)
    assert found["better"].headroom == pytest.approx(0.5)
    assert found["better"].headroom_spread == pytest.approx(found["none"].spread)
    assert all(math.isnan(cell.share) for cell in found.values())
    text = formats.markdown(table)
    assert "gap closed" not in text
    assert "blank where it is within the spread" in text


def test_headroom_is_to_the_arm_without_knowledge_whatever_the_control(tmp_path):
    table = written(tmp_path / "other.yaml", STUDY.replace("control: none", "control: same"))
    found = cells(table)
    assert found["better"].difference == pytest.approx(100 * (1403 - 1201) / 2000)
    assert found["better"].headroom == pytest.approx(20.0)
    assert found["same"].share == pytest.approx(100 * 1 / 400)


def test_ranks_are_of_rows_that_have_every_run_and_name_their_columns():
    means = {"none": (60.0, 70.0), "logits": (62.0, 70.0), "hidden": (61.0, 72.0), "gone": (90, 90)}
    whole = Cell(5, 5, 0.0, 1.0, 1.0)
    found = {
        (row, column): replace(whole, mean=mean)
        for row, scores in means.items()
        for column, mean in zip(("rte accuracy", "mrpc f1"), scores, strict=True)
    }
    found["gone", "mrpc f1"] = replace(whole, n=4)
    columns = ["rte accuracy", "mrpc f1"]
    # RTE 3, 1, 2; MRPC 2.5, 2.5, 1.
    assert claims.ranks(found, list(means), columns) == [
        "mean rank over rte accuracy, mrpc f1 (1 is best, of 3): hidden 1.5; logits 1.8; none 2.8; "
        "without a rank, being incomplete: gone"
    ]
    assert claims.ranks(found, list(means), columns[:1]) == []
    assert claims.ranks(found, ["gone", "none"], columns) == []
    alone = {key: replace(cell, difference=math.nan) for key, cell in found.items()}
    assert claims.ranks(alone, list(means), columns) == []

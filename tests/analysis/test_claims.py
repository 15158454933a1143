"""What a table claims: of planted effects, of none, and on records made by hand."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from made import ROWS, leave, outputs

from analysis import bootstrap, claims, formats, frame, stats, tables
from analysis.cells import Cell
from sweeps import plan, study

EXAMPLES, SEEDS, STUDIES = 400, 6, 200


def simulated(random: np.random.Generator, gains: dict[str, float], tastes: float) -> claims.Cells:
    """A table of arms that are `gains` more often right than their control, on average over seeds.

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

    control, seeds = draws(0.0), range(SEEDS)
    cells = {}
    for arm, gain in gains.items():
        pairs = list(zip(draws(gain), control, strict=True))
        differences = [100 * (ours[0] - theirs[0]) for ours, theirs in pairs]
        drawn = np.stack([100 * (ours[1] - theirs[1]) for ours, theirs in pairs], 1)
        low, high = bootstrap.interval(drawn, seeds, [-1] * SEEDS)
        cell = Cell(SEEDS, SEEDS, 0.0, 0.0, float(np.mean(differences)), low, high)
        cells[arm, "accuracy"] = replace(
            cell, p=stats.paired_t(differences, bootstrap.from_examples(drawn))
        )
    return claims.corrected(cells)


@pytest.mark.parametrize(("tastes", "gain"), [(0.0, 0.08), (0.2, 0.14)])
def test_planted_effects_are_found_and_planted_nulls_are_not(tastes, gain):
    """Of 200 studies a wrong mark in at most 5 % (16 with the error of counting), in a family."""
    random = np.random.default_rng(11)
    gains = {"logits": 0.0, "hidden": 0.0, "strong": gain}  # of the chance of a right answer
    found, wrong = 0, 0
    for _ in range(STUDIES):
        marks = {arm: cell.mark for (arm, _), cell in simulated(random, gains, tastes).items()}
        found += "*" in marks["strong"]
        wrong += any("*" in marks[arm] for arm in ("logits", "hidden"))
    assert found >= 0.8 * STUDIES
    assert wrong <= 16


def test_without_correction_a_family_would_claim_too_much():
    """Twelve nulls: single tests find one of them in far more than 5 % of the studies."""
    random = np.random.default_rng(12)
    differences = random.normal(size=(STUDIES, 12, SEEDS))
    single = np.array(
        [[stats.paired_t(list(cell), 0.0) for cell in family] for family in differences]
    )
    family = np.array([stats.holm(list(p)) for p in single])
    assert (single < 0.05).any(1).mean() > 0.3
    assert (family < 0.05).any(1).sum() <= 16


@pytest.mark.parametrize(("truth", "expected"), [(1.0, "wrong"), (0.0, "found")])
def test_equivalence_is_claimed_within_the_margin_and_not_at_it(truth, expected):
    random = np.random.default_rng(13)
    drawn = random.normal(truth, 0.5, size=(STUDIES, 8))
    claimed = sum(stats.equivalence(list(seeds), 0.0, 1.0) < 0.05 for seeds in drawn)
    assert (claimed <= 16) if expected == "wrong" else (claimed >= 0.9 * STUDIES)


def test_marks_need_the_test_and_the_interval():
    cell = Cell(6, 6, 60.0, 1.0, 0.8, 0.2, 1.4, p=0.004, equivalence=0.3)
    cells = {
        ("found", "x"): cell,
        ("sure", "x"): replace(cell, p=0.0001),
        ("of these examples only", "x"): replace(cell, low=-0.1),
        ("chance", "x"): replace(cell, p=0.2),
        ("same", "x"): replace(cell, low=-0.4, high=0.5, p=0.9, equivalence=0.001),
        ("same of these examples", "x"): replace(cell, low=-1.2, p=0.9, equivalence=0.001),
        ("both failed", "x"): replace(
            cell, low=-0.4, high=0.5, p=0.9, equivalence=0.001, degenerate=6
        ),
        ("untested", "x"): replace(cell, p=math.nan, equivalence=math.nan),
    }
    marks = {row: found.mark for (row, _), found in claims.corrected(cells, 1.0).items()}
    assert marks == {
        "found": "*",
        "sure": "**",
        "of these examples only": "",
        "chance": "",
        "same": "≈",
        "same of these examples": "",
        "both failed": "",
        "untested": "",
    }
    assert (
        "the family of all 7 differences of this table that have 5 seeds and vary (1 do"
        in (claims.notes(claims.corrected(cells), 1.0)[0])
    )


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


def written(path, text: str = STUDY, teacher: int = 320, margin: float = 5.0) -> tables.Table:
    """The table of a study whose runs left records."""
    path.write_text(text)
    loaded = study.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, path.stem, loaded, str(path.parent))
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    for entry in planned:
        right = RIGHT[entry.cell.row][entry.cell.seed - 1]
        leave(path.parent, entry.run.uid, outputs(labels, right), labels)
    (uid,) = {entry.run.teacher.uid for entry in planned if entry.run.teacher}
    leave(path.parent, uid, outputs(labels, teacher), labels)
    (table,) = tables.arranged(frame.runs(path.stem, str(path.parent)), margin=margin)
    return table


def cells(table: tables.Table) -> dict[str, Cell]:
    return {row: table.cells[row, "synthetic accuracy"] for row in table.rows}


def test_marks_stand_in_every_format_with_their_family_below(tmp_path):
    table = written(tmp_path / "five.yaml")
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
    assert "in the family of all 3 differences of this table" in text
    assert "no difference beyond ± 5 points" in text
    assert r"]$^{*}$$^{*}$" in formats.latex(table)
    assert r"]$\approx$" in formats.latex(table)
    assert "p $<$ 0.05" in formats.latex(table)
    line = next(line for line in formats.csv(table).splitlines() if ",better," in line)
    assert ",**," in line


def test_tests_in_tables_are_of_differences_over_seeds_and_examples(tmp_path):
    found = cells(written(tmp_path / "five.yaml"))
    for row in ("better", "same", "unsure"):
        # Right or wrong of each seed and example, from the counts: an analysis of variance.
        ours, theirs = (
            100.0 * (np.arange(ROWS) < np.array(RIGHT[name])[:, None]) for name in (row, "none")
        )
        table = ours - theirs
        rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        of_rest = (rest**2).sum() / (4 * (ROWS - 1))
        of_examples = max(0.0, (5 * table.mean(0).var(ddof=1) - of_rest) / (5 * ROWS))
        seeds = list(table.mean(1))
        assert found[row].p == pytest.approx(stats.paired_t(seeds, of_examples), rel=0.3)
        detectable = stats.detectable(seeds, of_examples)
        assert found[row].detectable == pytest.approx(detectable, rel=0.1)
    assert found["better"].adjusted == pytest.approx(3 * found["better"].p)


def test_four_seeds_make_no_claim(tmp_path):
    table = written(tmp_path / "four.yaml", STUDY.replace(", 5]", "]"))
    assert {cell.mark for cell in cells(table).values()} == {""}
    assert "no marks: a test needs 5 seeds" in table.notes
    assert not math.isnan(cells(table)["unsure"].detectable)


def test_headroom_is_teacher_minus_none_and_rows_close_a_share_of_it(tmp_path):
    table = written(tmp_path / "five.yaml")
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

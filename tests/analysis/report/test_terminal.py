"""The dots and the sentence below a table in a terminal."""

import edges
import pytest
import wide

import analysis
from analysis.report import forest, terminal
from analysis.tables import papers


@pytest.fixture(scope="module")
def tables(wide_study):
    with edges.inside(wide_study):
        yield papers.of_study(analysis.load(wide.NAME, wide.ROOT))


@pytest.fixture(scope="module")
def lines(tables):
    return terminal.summary(tables, 1.0).splitlines()


def test_every_arm_of_the_first_column_has_its_seeds_in_their_places(tables, lines):
    assert lines[0].startswith("knowledge, average: difference to its control in points")
    panel = forest.panels(tables, 1.0)[0]
    arms = [line for group in panel.groups for line in group]
    drawn = lines[2 : 2 + len(arms)]
    start = len(max((line.row for line in arms), key=len)) + 1
    for line, text in zip(arms, drawn, strict=True):
        assert text.startswith(line.row)
        marks = text[start : start + terminal.WIDTH]
        if not line.dots:  # an average is of no run, and its control's own is where zero is
            continue
        share = (line.mean - panel.scale.low) / (panel.scale.high - panel.scale.low)
        assert marks[round(share * (terminal.WIDTH - 1))] == terminal.MEAN
        assert marks.count(terminal.SEED) <= len(line.dots)
        if line.kind != "control":
            assert text.endswith(line.text)


def test_a_sentence_lists_rows_by_what_the_tests_say(lines):
    large = [line for line in lines if line.startswith("average: ") and "l3_h64" in line]
    assert large == [
        "average: cannot be told from none, size=l3_h64_a4: logits, size=l3_h64_a4 (+2.1), "
        "hidden, size=l3_h64_a4 (+0.7)."
    ]

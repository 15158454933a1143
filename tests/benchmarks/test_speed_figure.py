"""The figure of speed and the table beside it are those of the results that are kept."""

import re
import statistics

import pytest
import speed_figure
from speed_figure import BASE, KINDS, PARTS, SYSTEMS

from analysis.figures.drawing import rendered

PAGE = speed_figure.REPOSITORY / "docs" / "explanation" / "speed.md"


@pytest.fixture(scope="module")
def found():
    return speed_figure.speeds(speed_figure.read())


def texts(svg: bytes) -> list[str]:
    """What a figure's letters say, each text in a comment before its glyphs."""
    return re.findall(r"<!-- (.*?) -->", svg.decode())


def test_the_figure_says_what_the_results_say(found):
    figure = speed_figure.drawn(found, speed_figure.where(speed_figure.read()))
    kept = texts(speed_figure.FIGURE.read_bytes())
    assert kept == texts(rendered(figure, "svg"))
    shown = [f"{speed.ratio:.1f}" for (_, name, _), speed in found.items() if name in SYSTEMS]
    assert sorted(text for text in kept if re.fullmatch(r"\d+\.\d", text)) == sorted(shown)
    assert any("Intel Xeon" in text for text in kept)
    assert speed_figure.FIGURE.stat().st_size < 100_000


def test_points_stand_at_the_ratios(found):
    figure = speed_figure.drawn(found, "")
    for ax, kind in zip(figure.axes, KINDS, strict=True):
        lines = {line.get_label(): line for line in ax.lines}
        for part, (title, _) in PARTS.items():
            ratios = [found[kind, system, part].ratio for system in SYSTEMS]
            assert lines[title].get_xdata().tolist() == ratios


def test_the_table_and_the_sentence_below_it_are_the_results(found):
    page = PAGE.read_text()
    assert speed_figure.table(found) in page
    systems = ("kdlab, one run", "Trainer with a KD loss", "kdlab, cohort of 8")
    said = re.findall(r"(?<= )(\d+\.\d) s\b", page.partition("Taken all in all")[2])
    small, large = (
        [f"{found[kind, name, 'whole'].seconds:.1f}" for name in systems] for kind in KINDS
    )
    assert said[:6] == [*small[:2], *large[:2], small[2], large[2]]


def test_a_ratio_is_of_one_round_and_of_the_last_file_that_has_the_system():
    def file(*results):
        return {
            "results": [
                dict(zip(("kind", "system", "round", "training", "whole"), r, strict=True))
                for r in results
            ]
        }

    first = file(("cls", BASE, 0, 10, 20), ("cls", "a", 0, 5, 5), ("cls", "b", 0, 1, 10))
    rounds = ((BASE, 0, 30), ("b", 0, 10), (BASE, 1, 80), ("b", 1, 20))
    last = file(*(("cls", system, number, x, 2 * x) for system, number, x in rounds))
    found = speed_figure.speeds([first, last])
    assert found["cls", "a", "whole"] == (5, 4)
    assert found["cls", "b", "training"] == (15, statistics.median([30 / 10, 80 / 20]))

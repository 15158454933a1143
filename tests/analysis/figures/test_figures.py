"""What is drawn is what the frame says."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from artists import errorbars, figure, points
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from traced import POINTS, ROWS

from analysis import figures
from analysis.effects import matched, variance_shares
from analysis.figures import style, traces
from analysis.figures.drawing import settled
from analysis.figures.effects import against, differences
from analysis.figures.numbers import number
from analysis.figures.pareto import front
from analysis.figures.width_depth import budgets
from analysis.read.axes import axes
from analysis.read.frame import NO_SEED, scores
from analysis.statistics.draws import sampler
from analysis.statistics.pairs import Inference
from analysis.tables.arrange import arranged
from analysis.tables.majority_baseline import MAJORITY

COLUMN = "synthetic accuracy"


@pytest.mark.parametrize("draw", range(20))
def test_the_front_is_that_of_brute_force(draw):
    random = np.random.default_rng(draw)
    known = [(float(c), float(s)) for c, s in random.integers(0, 6, size=(15, 2))]
    best = {
        (cost, score)
        for cost, score in known
        if not any((c <= cost and s > score) or (c < cost and s >= score) for c, s in known)
    }
    assert front(known) == sorted(best)


def test_pareto_shows_the_cells_of_the_table(now, gallery):
    (table,) = arranged(now)
    for cost, unit in (("parameters", 1e6), ("flops", 1e9), ("latency", 1.0)):
        (ax,) = figure(gallery, f"pareto_sizes_{cost}").axes
        drawn = errorbars(ax)
        students = [row for row in table.rows if row not in (MAJORITY, *table.teachers)]
        assert set(students) < set(drawn)
        for row in students:
            cell = table.cells[row, COLUMN]
            assert points(drawn[row]).tolist() == [[getattr(cell, cost) / unit, cell.mean]]
            (((_, low), (_, high)),) = drawn[row].lines[2][0].get_segments()
            assert (high - low) / 2 == pytest.approx(cell.spread)
        levels = {line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1}
        assert {table.cells[name, COLUMN].mean for name in ("teacher", MAJORITY)} <= levels


def test_the_step_line_is_the_best_that_costs_no_more(now, gallery):
    (table,) = arranged(now)
    (ax,) = figure(gallery, "pareto_sizes_parameters").axes
    (line,) = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    cells = [table.cells[row, COLUMN] for row in table.rows[2:]]
    xs, ys = line.get_data(orig=True)
    for size in {cell.parameters / 1e6 for cell in cells}:
        best = max(cell.mean for cell in cells if cell.parameters / 1e6 <= size)
        assert max(y for x, y in zip(xs, ys, strict=True) if x <= size) == best


def test_width_depth_shows_models_of_one_budget_and_their_gain(now, gallery):
    found = budgets(now, arranged(now))
    assert set(found["budget"].round(-4)) == {200_000}  # l2_h64 has none of its size beside it
    assert set(found["hidden"]) == {64, 128}
    upper, lower = figure(gallery, "width_depth_synthetic_accuracy").axes
    for arm, own in found.groupby("arm"):
        own = own.sort_values("layers")
        assert points(errorbars(upper)[arm])[:, 1].tolist() == own["mean"].tolist()
        if arm != "none":
            assert points(errorbars(lower)[arm])[:, 1].tolist() == own["difference"].tolist()
    assert "none" not in errorbars(lower)
    assert [tick.get_text() for tick in lower.get_xticklabels()] == ["1×128", "4×64"]
    low, high = upper.get_ylim()
    for container in errorbars(upper).values():
        assert all(low < y < high for y in points(container)[:, 1])
    assert low < 90 < high  # the teacher


def test_bars_are_the_shares_of_variance(now, gallery):
    reported = scores(now)
    reported = reported[reported["split"] == "report"]
    known = variance_shares(reported, axes(now)).set_index("term")
    (ax,) = figure(gallery, "effects_now").axes
    terms = [tick.get_text().replace("×", "x") for tick in ax.get_yticklabels()]
    assert terms == ["knowledge", "size", "knowledge x size", "seed", "rest"]
    assert "rest: three axes and more, and chance" in ax.get_legend_handles_labels()[1]
    terms[-1] = "residual"
    bars = [bar for c in ax.containers if isinstance(c, BarContainer) for bar in c]
    drawn = {terms[round(bar.get_y() + bar.get_height() / 2)]: bar.get_width() for bar in bars}
    assert drawn == pytest.approx((100 * known["eta_squared"]).to_dict())
    (dots,) = (
        line.get_xydata() for line in ax.lines if line.get_label() == "share less chance (ω²)"
    )
    share = {terms[round(y)]: x for x, y in dots}
    assert share == pytest.approx((100 * known["omega_squared"].dropna()).to_dict())


def test_a_forest_shows_differences_to_the_level_with_most_pairs(now, gallery):
    reported = scores(now)
    reported = reported[reported["split"] == "report"]
    found = against(matched(reported, "knowledge", axes(now), Inference(draws=sampler(now))))
    assert set(found["other"]) == {"none"}
    (ax,) = figure(gallery, "matched_knowledge").axes
    levels = [tick.get_text() for tick in ax.get_yticklabels()]
    levels = [level.replace(" ", "") for level in levels]  # which lets long ones break
    drawn = {levels[round(y)]: x for x, y in points(errorbars(ax)["no test"])}
    assert drawn == pytest.approx(found.set_index("level")["difference"].to_dict())
    assert all(value > 0 for value in drawn.values())  # as planted
    caption = {d.name: d for d in gallery.drawings}["matched_knowledge"].caption
    assert "No interval and no test under 3 seeds." in caption


def test_a_forest_says_of_each_difference_what_its_test_says():
    verdicts = {
        "significant (Holm, 5 %)": (True, False, 0.001),
        "equal within ± 2 points (Holm, 5 %)": (False, True, 0.5),
        "not significant": (False, False, 0.2),
        "no test": (False, False, np.nan),
    }
    part = pd.DataFrame(list(verdicts.values()), columns=["shown", "alike", "p"])
    part = part.assign(level=list("abcd"), difference=1.0, low=0.5, high=2.0)
    (ax,) = style.panels(1)[1]
    differences(ax, part, list("abcd"), 2.0)
    drawn = errorbars(ax)
    assert list(drawn) == list(verdicts)
    assert [points(container).tolist() for container in drawn.values()] == [
        [[1.0, position]] for position in range(4)
    ]


def test_against_turns_the_sign_of_a_pair_that_names_the_other_first():
    found = pd.DataFrame(
        {
            "column": "c",
            "level": ["a", "a", "b"],
            "other": ["b", "c", "c"],
            "difference": [1.0, 5.0, 4.0],
            "low": [0.5, 4.0, 3.0],
            "high": [2.0, 6.0, 4.5],
            "n": [9, 1, 9],
        }
    )
    turned = against(found)
    assert turned["other"].tolist() == ["b", "b"]
    assert turned[["level", "difference", "low", "high"]].values.tolist() == [
        ["a", 1.0, 0.5, 2.0],
        ["c", -4.0, -4.5, -3.0],
    ]


def test_curves_are_the_means_and_the_range_of_the_seeds(now):
    few = now[now["size"] == "l1_h128_a4"]
    gallery = figures.curves(pd.concat([few, now[now["seed"] == NO_SEED]]).drop_duplicates())
    (drawing,) = gallery.drawings
    select, hard, *_ = drawing.figure.axes
    students = few[(few["seed"] != NO_SEED) & (few["row"] == "logits, size=l1_h128_a4")]
    ends = [100 * score for score in students["select/accuracy"]]
    lines = {line.get_label(): line for line in select.lines}
    line = lines["logits, size=l1_h128_a4"]
    assert line.get_xdata().tolist() == [100 * k / POINTS for k in range(1, POINTS + 1)]
    assert line.get_ydata()[-1] == pytest.approx(np.mean(ends))
    assert lines["teacher"].get_ydata()[0] == pytest.approx(100 * 360 / ROWS)
    thin = [each for each in select.lines if each.get_linewidth() == 0.5]
    thin = [each.get_ydata()[-1] for each in thin if each.get_color() == line.get_color()]
    assert thin == pytest.approx([min(ends), max(ends)])
    assert not select.collections  # bands of several arms would cover each other
    (dagger,) = [text for text in select.texts if text.get_text() == "†"]
    assert dagger.xy == pytest.approx((100 / POINTS, np.mean(ends) / POINTS))  # its score, not 0
    assert not hard.texts
    assert select.get_title("left") == "accuracy on select"
    assert "accuracy on the split select" in drawing.caption
    assert "tables have the split report" in drawing.caption
    assert "†: a run predicts the same for every row there" in drawing.caption
    loss = {line.get_label(): line for line in hard.lines}["logits, size=l1_h128_a4"]
    assert loss.get_ydata()[0] == pytest.approx(np.mean(ends) / 100)


def test_the_curve_of_a_run_that_is_never_constant_says_nothing_of_it(now):
    (drawing,) = figures.curves(now[now["size"] == "l2_h64_a4"]).drawings
    assert "†" not in drawing.caption
    assert not any(ax.texts for ax in drawing.figure.axes)


def test_latencies_of_one_architecture_are_no_axis(now):
    """Its costs are equal, and what was measured of it differs by chance alone."""
    alike = now[now["size"].eq("l4_h64_a4") | now["seed"].eq(NO_SEED)]
    alike = alike.assign(latency=np.linspace(2, 3, len(alike)))
    found = figures.every(alike, ["pareto"])
    assert found.drawings == ()
    assert [note.partition(": ")[2] for note in found.notes] == [
        "no score against parameters: all its students have 0.238 M",
        "no score against flops: all its students have 0.0512 G",
        "no score against latency: all its students have one architecture: their latencies differ "
        "by chance alone",
    ]


def test_latencies_of_several_machines_are_said_to_be(now):
    def latency(frame):
        found = {drawing.name: drawing for drawing in figures.pareto(frame).drawings}
        return found["pareto_sizes_latency"].caption

    assert "machines" not in latency(now)
    devices = np.where(now["seed"] == 2, "a fast one", "a slow one")
    said = latency(now.assign(device=devices))
    assert "Measured on several machines: a fast one, a slow one." in said


def test_one_seed_has_no_range_and_no_bar(now):
    one = figures.every(now[now["seed"].isin([1, NO_SEED])], ["pareto", "width_depth", "curves"])
    for drawing in one.drawings:
        for ax in drawing.figure.axes:
            thin = [line for line in ax.lines if line.get_linewidth() == 0.5]
            assert not drawing.name.startswith("curves") or not thin
            if drawing.name.startswith(("pareto", "width")):
                upper = drawing.figure.axes[0]
                for container in errorbars(upper).values():
                    for bars in container.lines[2]:
                        assert not any(len(segment) for segment in bars.get_segments())


def test_bars_of_the_gradient_add_up_to_all_of_it(now, gallery):
    drawn = figure(gallery, "shares_sizes_synthetic")
    found = traces.gradient_shares(now)
    arms = [arm for arm, part in found.groupby("arm", sort=False) if part["term"].nunique() > 1]
    assert [ax.get_title("left") for ax in drawn.axes] == arms
    for arm, ax in zip(arms, drawn.axes, strict=True):
        bars = [c for c in ax.containers if isinstance(c, BarContainer)]
        for place in range(3):
            assert sum(bar[place].get_height() for bar in bars) == pytest.approx(100)
        own = found[(found["arm"] == arm) & (found["term"] == "hard")]
        assert bars[0].get_label() == "labels"
        assert bars[0][0].get_height() == pytest.approx(own["share"].mean())
        hatches = {bar[0].get_hatch() for bar in bars}
        assert len(hatches) == len(bars)  # told apart without colour


def test_numbers_cover_neither_each_other_nor_the_points():
    page = Figure(figsize=(3.3, 2.4), layout="constrained")
    ax = page.subplots()
    random = np.random.default_rng(0)
    known = [(x, y) for x in (1.0, 1.05, 3.0) for y in random.uniform(50, 60, size=5)]
    ax.plot(*zip(*known, strict=True), "o", markersize=4.5)
    settled(page)
    number(ax, [(x, y, str(i)) for i, (x, y) in enumerate(known, 10)])
    page.draw_without_rendering()
    boxes = [t.get_bbox_patch() or t for t in ax.texts if isinstance(t, Annotation)]
    extents = [super(Annotation, text).get_window_extent() for text in boxes]
    assert len(extents) == 15
    for one, other in combinations(extents, 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(width, height) <= 1.0  # pixels: letters are narrower than their boxes


def test_more_than_eight_arms_get_a_panel_each(gallery):
    drawn = figure(gallery, "curves_select_sizes_synthetic")
    assert len(drawn.axes) == 9
    assert drawn.axes[1].get_title("left") == "logits,\nsize=l1_h128_a4"
    labels = drawn.axes[1].get_legend_handles_labels()[1]
    assert set(labels) == {"the arm", "its control", "teacher"}

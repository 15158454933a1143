"""Which figures there are, their bytes and formats; what cannot be drawn is said."""

import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib import rcParams
from matplotlib.text import Text

from analysis import __main__ as command
from analysis import figures
from analysis.figures import Gallery, style
from analysis.figures.drawing import settled
from analysis.read.frame import NO_SEED, runs
from kdlab.errors import BadInput


def test_all_figures_of_a_study_are_there(gallery):
    names = [drawing.name for drawing in gallery.drawings]
    assert names == [
        "means_sizes",
        "pareto_sizes_parameters",
        "pareto_sizes_flops",
        "pareto_sizes_latency",
        "width_depth_synthetic_accuracy",
        "effects_now",
        "matched_knowledge",
        "matched_size",
        "curves_select_sizes_synthetic",
        "curves_loss_sizes_synthetic",
        "shares_sizes_synthetic",
    ]
    assert gallery.notes == ()


def test_figures_fit_the_columns_of_a_paper_and_can_be_read_there(gallery):
    for each in gallery.drawings:
        width, height = each.figure.get_size_inches()
        assert width in (style.COLUMN, style.PAGE), each.name
        texts = [text for text in each.figure.findobj(Text) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= 7, each.name
        box = each.figure.get_tightbbox()  # of all that is drawn, in inches
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02, each.name


def test_a_label_that_is_wider_than_the_figure_is_broken_and_a_dollar_is_a_dollar():
    with style.paper():
        page, (ax,) = style.panels(1)
        labels = [f"{'word ' * 20}{i} for $1 and $2" for i in range(2)]
        style.key(page, [ax.plot(0)[0] for _ in labels], labels)
        settled(page)
    (legend,) = page.legends
    lines = [text.get_text().splitlines() for text in legend.get_texts()]
    assert [" ".join(of_label) for of_label in lines] == labels
    assert all(len(of_label) > 1 for of_label in lines)
    box = page.get_tightbbox()
    assert box.x0 >= 0
    assert box.x1 <= style.COLUMN


@pytest.mark.parametrize(("low", "high"), [(0.55, 1.02), (0.2, 1.1), (3, 700), (0.01, 9e4)])
def test_a_logarithmic_axis_has_some_numbers_and_not_many(low, high):
    _, (ax,) = style.panels(1)
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    style.logarithmic(ax.yaxis, low, high)
    assert 2 <= sum(low <= value <= high for value in ax.get_yticks()) <= 9


def test_older_records_are_named_and_never_invented(root):
    found = figures.every(runs("old", root["old"]))
    names = [drawing.name for drawing in found.drawings]
    assert "pareto_sizes_parameters" in names
    assert not [name for name in names if "latency" in name or name.startswith(("cur", "sha"))]
    said = "\n".join(found.notes)
    assert "sizes: no score against latency: no record of its students says it" in said
    assert "sizes, synthetic: no curves: no record of its students has any" in said
    assert "sizes, synthetic: no gradient shares: no record of its students has any" in said


def test_a_study_without_records_has_no_picture_but_lines_that_say_what_to_run(root):
    found = figures.every(runs("never", root["never"]))
    assert found.drawings == ()
    assert sum("python -m sweeps launch never --wait" in note for note in found.notes) == 6
    assert len(found.notes) == 10


def test_same_records_same_bytes(now, gallery, tmp_path):
    again = figures.every(now)
    paths = figures.write(gallery, tmp_path / "first", "svg")
    others = figures.write(again, tmp_path / "second", "svg")
    assert [path.name for path in paths] == [f"{d.name}.svg" for d in gallery.drawings]
    for path, other in zip(paths, others, strict=True):
        assert path.read_bytes() == other.read_bytes(), path.name
        assert path.stat().st_size > 1000


@pytest.mark.parametrize("name", figures.NAMES)
def test_a_frame_without_rows_is_said_to_have_none(now, name):
    found = getattr(figures, name)(now[now["seed"] == 99])
    assert found.drawings == ()
    assert "no rows" in found.notes[0]


def test_students_without_teachers_have_figures_all_the_same(now):
    found = figures.every(now[now["seed"] != NO_SEED], ["pareto", "width_depth", "curves"])
    assert len(found.drawings) == 6


@pytest.mark.parametrize("kind", figures.FORMATS)
def test_a_figure_drawn_twice_has_the_same_bytes(gallery, kind):
    for drawing in gallery.drawings[:4]:
        first = figures.rendered(drawing.figure, kind)
        assert figures.rendered(drawing.figure, kind) == first, drawing.name


def test_pdf_holds_its_letters_and_no_date(gallery):
    page = figures.rendered(gallery.drawings[0].figure, "pdf")
    assert b"/FontFile2" in page
    assert b"/Type3" not in page
    assert b"CreationDate" not in page


def test_the_command_writes_prints_paths_and_says_what_it_could_not_draw(root, monkeypatch, capsys):
    asked = ["old", "--root", root["old"], "--format", "png", "--only", "pareto", "curves"]
    monkeypatch.setattr("sys.argv", ["analysis", "figures", *asked])
    command.main()
    *paths, latency, curves = capsys.readouterr().out.splitlines()
    assert [Path(path).name for path in paths] == [
        "pareto_sizes_parameters.png",
        "pareto_sizes_flops.png",
    ]
    assert all(path.startswith(f"{root['old']}/studies/old/figures/") for path in paths)
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in paths)
    assert latency.startswith("not drawn: sizes: no score against latency")
    assert curves.startswith("not drawn: sizes, synthetic: no curves")
    monkeypatch.setattr("sys.argv", ["analysis", "figures", "never", "--root", root["never"]])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "never: nothing to draw yet" in capsys.readouterr().err


def test_another_format_is_refused(gallery, tmp_path):
    with pytest.raises(BadInput, match="format 'bmp': one of pdf, png, svg"):
        figures.write(gallery, tmp_path, "bmp")


def test_a_gallery_stands_in_any_page(gallery):
    page = gallery._repr_html_()
    assert page.count("<figure>") == len(gallery.drawings)
    assert "data:image/svg+xml;base64," in page
    assert Gallery(notes=("a < b",))._repr_html_() == "<p>a &lt; b</p>"


def test_the_readers_own_settings_stay(now):
    before = dict(rcParams)
    figures.shares(now)
    assert dict(rcParams) == before


def test_neither_pyplot_nor_matplotlib_is_loaded_before_a_figure_is_drawn():
    code = "import sys, analysis.figures; assert not [m for m in sys.modules if 'matplotlib' in m]"
    subprocess.run([sys.executable, "-c", code], check=True)

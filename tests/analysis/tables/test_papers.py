"""The papers' tables on records made by hand: what stands where, and compared with what."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from made import leave, outputs

import analysis
from analysis.published import numbers
from analysis.tables import averages, formats, majority_baseline, papers
from analysis.tables import published_rows as literature
from analysis.tables.arrange import arranged
from analysis.tables.model import Table
from analysis.tables.text import rendered
from kdlab.errors import BadInput
from sweeps.plan import plan
from sweeps.study import folders, layouts, reading
from sweeps.study.layouts import Layout

COST = {"parameters": {"transformer": 2_000_000, "total": 3_000_000}, "flops": 4e9, "latency": 5.0}
LABELS = np.array([1.0] * 240 + [0.0] * 160)
HEAD = """
question: Which?
seeds: [1, 2]
base: [task=synthetic, teacher=scratch, size=l2_h64_a4, init=random]
blocks:
"""


def made(tmp_path, text: str, right, teacher: int = 360):
    """A study's frame; `right` says of a cell how many of 400 rows are right, None: not there."""
    path = tmp_path / "made.yaml"
    path.write_text(HEAD + text)
    loaded = reading.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, "made", loaded, str(tmp_path))
    done = set()
    for entry in planned:
        for run, rows in (
            (entry.run, right(entry.cell)),
            (entry.run and entry.run.teacher, teacher),
        ):
            if run and rows is not None and run.uid not in done:
                done.add(run.uid)
                leave(tmp_path, run.uid, outputs(LABELS, rows), LABELS, **COST)
    return analysis.load("made", root=str(tmp_path))


def row(table: Table, name: str) -> list[str]:
    found = rendered(table)
    every = [*found.baselines, *found.students, *found.published]
    return [entry.text for entry in next(r for r in every if r[0].text == name)]


MATCHING = """
  - table: two
    base: [init.weights=finetuned]
    grid: {knowledge: [hidden_mse, attention_kl], init: [teacher_last, teacher_first]}
    cases: {skip: [matching=skip], last: [matching=last], first: [matching=first]}
"""


def test_matching_is_crossed_with_knowledge_and_init_and_none_stands_in_each_column(tmp_path):
    def right(cell):
        copied = 40 * ("init=teacher_first" in cell.row)
        return 240 + copied + 8 * ("skip" in cell.row) + 4 * ("attention" in cell.row)

    (table,) = papers.table("a2_matching")(made(tmp_path, MATCHING, right))
    assert table.columns == [
        f"{knowledge}, {init}: synthetic accuracy"
        for knowledge in ("hidden_mse", "attention_kl")
        for init in ("teacher_last", "teacher_first")
    ]
    assert table.rows == ["teacher", "majority", "none", "skip", "last", "first"]
    copied = "attention_kl, teacher_first: synthetic accuracy"
    assert table.cells["none", copied].mean == pytest.approx(70.0)
    assert table.cells["skip", copied].mean == pytest.approx(73.0)
    assert table.cells["skip", copied].difference == pytest.approx(3.0)
    assert table.cells["last", copied].difference == pytest.approx(1.0)
    assert table.best[copied] == (["skip"], ["last", "first"])
    assert "beyond its own axes rows differ in nothing" in table.notes


SIZES = """
  - table: one budget
    layout: a3_width_depth
    grid: {size: [l2_h64_a4, l8_h32_a4]}
    cases: {logits: [knowledge=logits_kl]}
"""


def test_deep_and_wide_stand_fine_tuned_and_distilled_side_by_side(tmp_path):
    def right(cell):
        return 240 + 20 * ("l8" in cell.row) + 10 * (cell.case == "logits")

    (table,) = papers.of_study(made(tmp_path, SIZES, right))
    assert (table.name, table.rows[2:]) == ("one budget", ["2x64", "8x32"])
    assert table.columns == ["none: synthetic accuracy", "logits: synthetic accuracy"]
    distilled = table.cells["8x32", "logits: synthetic accuracy"]
    assert (distilled.mean, distilled.difference) == (pytest.approx(67.5), pytest.approx(2.5))
    assert math.isnan(table.cells["8x32", "none: synthetic accuracy"].difference)
    assert row(table, "2x64")[1:5] == ["2.00 M", "3.00 M", "4.00 G", "5.00 ms"]


def test_a_size_is_shown_in_percent_of_its_teacher(tmp_path):
    (table,) = papers.table("a5_model_size")(made(tmp_path, SIZES, lambda cell: 240))
    heads = [head.text for head in rendered(table).columns]
    assert row(table, "l2_h64_a4")[heads.index("of teacher logits: synthetic accuracy")] == "66.7 %"


INITS = """
  - table: sizes
    base: [init.weights=finetuned]
    grid: {size: [l1_h64_a4, l2_h64_a4], init: [teacher_last, teacher_first]}
    cases: {logits: [knowledge=logits_kl]}
"""


def test_init_classes_share_a_size_table_only_with_their_names(tmp_path):
    (table,) = papers.table("a5_model_size")(made(tmp_path, INITS, lambda cell: 240))
    assert table.rows[2:] == [
        f"{size}, {init}"
        for size in ("l1_h64_a4", "l2_h64_a4")
        for init in ("teacher_last", "teacher_first")
    ]
    assert "init" in [head.text for head in rendered(table).columns]
    assert row(table, "l1_h64_a4, teacher_first")[5] == "teacher_first"


RATES = """
  - table: main
    cases:
      logits: [knowledge=logits_kl, train.lr=1e-3]
      hidden: [knowledge=hidden_mse, train.lr=2e-3]
"""


def test_keys_beyond_a_tables_axes_in_which_its_rows_differ_are_under_it(tmp_path):
    (table,) = papers.table("a1_knowledge")(made(tmp_path, RATES, lambda cell: 240))
    note = next(note for note in table.notes if "beyond its own axes" in note)
    assert "train.lr" in note
    assert "0.002: none, train.lr=0.002 and hidden_mse" in note


def test_what_is_missing_comes_with_the_command_that_does_it(tmp_path):
    runs = made(tmp_path, RATES, lambda cell: 240 if cell.case != "hidden" else None)
    (table,) = papers.table("a1_knowledge")(runs)
    todo = [note for note in table.notes if note.startswith("to do")]
    assert len(todo) == 1
    assert todo[0].startswith("to do: hidden_mse, synthetic accuracy (2 missing), first: ")
    assert "knowledge=hidden_mse" in todo[0]
    assert f"root={tmp_path}`" in todo[0]
    every = f"all of them: `python -m sweeps launch made --wait root={tmp_path}`"
    assert every in table.notes


DATA = """
  - table: data
    grid: {data.rows: [200, 400]}
    cases:
      logits: [knowledge=logits_kl]
      more: [knowledge=logits_kl, data=unlabelled, data.extra_rows=100]
"""


def test_rows_and_transfer_sets_are_rows_and_arms_columns(tmp_path):
    (table,) = papers.table("c1_data")(made(tmp_path, DATA, lambda cell: 240))
    assert table.rows[2:] == [
        "200, labelled",
        "200, unlabelled",
        "400, labelled",
        "400, unlabelled",
    ]
    assert table.columns == [f"{case}: synthetic accuracy" for case in ("none", "logits", "more")]


def test_a_layout_that_is_none_names_those_there_are(tmp_path):
    text = SIZES.replace("a3_width_depth", "a33")
    with pytest.raises(BadInput, match="layout.*a33.*a1_knowledge"):
        papers.of_study(made(tmp_path, text, lambda cell: 240))


def test_a_table_of_ones_own_is_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "FOLDER", tmp_path / "layouts")
    (tmp_path / "layouts").mkdir()
    own = tmp_path / "layouts" / "by_rate.yaml"
    own.write_text("name: By rate\nrows: [train.lr]\npublished: {systems: [MiniLM6]}\n")
    runs = made(tmp_path, RATES, lambda cell: 240)
    (table,) = papers.table("by_rate")(runs)
    assert table.name.startswith("By rate")
    assert {name.partition(",")[0] for name in table.rows} >= {"0.001", "0.002"}
    own.write_text("rows: [train.lr]\npublished: {systems: [MiniLM66]}\n")
    with pytest.raises(BadInput, match="published.systems: nothing is published of MiniLM66"):
        papers.table("by_rate")(runs)
    own.write_text("row: [train.lr]\n")
    with pytest.raises(BadInput, match="layout by_rate .*: row: unknown key; did you mean rows"):
        papers.table("by_rate")


def test_a_project_s_layout_arranges_the_study_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "lab" / "layouts").mkdir(parents=True)
    (tmp_path / "lab" / "pyproject.toml").write_text("[tool.kdlab]\n")
    (tmp_path / "lab" / "layouts" / "by_rate.yaml").write_text("name: By rate\nrows: [train.lr]\n")
    monkeypatch.chdir(tmp_path / "lab")
    text = RATES.replace("table: main", "table: main\n    layout: by_rate")
    runs = made(tmp_path, text, lambda cell: 240)
    (table,) = papers.of_study(runs)
    assert table.name == "By rate"
    assert {name.partition(",")[0] for name in table.rows} >= {"0.001", "0.002"}
    assert papers.table("by_rate")(runs)[0].rows == table.rows
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="layout by_rate: no such table; there: a1_knowledge"):
        papers.of_study(runs)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout(name="Own", rows=["train.lr", "sise"]), "Own: rows: sise: no column; did you mean"),
        (Layout(columns=["accuracy"]), "columns: accuracy: no column; analysis/read/README.md"),
        (Layout(about="matchng"), "about: matchng: no column; did you mean matching?"),
        (Layout(about="train.epochs"), "about: train.epochs: no column; "),
    ],
)
def test_a_layout_of_what_no_frame_has_is_refused(tmp_path, layout, message):
    with pytest.raises(BadInput, match=re.escape(message)):
        arranged(made(tmp_path, RATES, lambda cell: 240), layout)


def test_a_layout_of_what_runs_do_not_differ_in_keeps_the_study_s_labels(tmp_path):
    (table,) = arranged(made(tmp_path, RATES, lambda cell: 240), Layout(rows=["train.epochs"]))
    assert {"logits", "hidden"} < set(table.rows)


def test_every_layout_has_a_study_to_fill_it():
    found = {
        block.layout
        for path in folders.STUDIES.glob("*.yaml")
        for block in reading.load(path.stem).blocks
    }
    assert {layout for layout in found if layout} == set(layouts.names()) - {"b3_long_text"}


def test_the_majority_answers_the_most_frequent_label():
    assert majority_baseline.score("accuracy", LABELS) == pytest.approx(0.6)
    assert majority_baseline.score("f1", LABELS) == pytest.approx(2 * 240 / (240 + 400))
    assert majority_baseline.score("f1", 1 - LABELS) == 0.0
    assert majority_baseline.score("matthews", LABELS) == 0.0
    assert majority_baseline.score("pearson", LABELS) is None
    assert majority_baseline.score("accuracy", np.array([0.0, 1.0, 2.0, 2.0])) == 0.5


def test_published_numbers_stand_below_by_split_and_only_dev_is_ranked(tmp_path):
    runs = made(tmp_path, RATES, lambda cell: 240).replace({"task": {"synthetic": "sst2"}})
    runs.attrs = {"study": "made", "root": str(tmp_path), "code": None}
    (table,) = papers.table("a7_systems")(runs)
    names = table.published.rows
    assert any("test" in name for name in names)
    assert any("dev" in name for name in names)
    assert not [name for name in table.published.ranked if "test" in name]
    best, second = table.best["sst2 accuracy"]
    assert [name for name in best + second if "test" in name] == []
    everything = numbers.load()
    one = everything[(everything["system"] == "MiniLM6") & (everything["task"] == "sst2")].iloc[0]
    shown_row = row(table, f"MiniLM6 ({one['paper']}, dev)")
    assert f"{one['value']:.1f}" in shown_row
    (alone,) = papers.table("b1_glue")(runs)
    assert alone.published.ranked == []
    assert alone.published.rows
    assert any(note.startswith("published: PKD (arXiv 1908.09355)") for note in alone.notes)
    assert "never ranked with test" in formats.markdown(alone)


def published_rows(tmp_path, layout) -> list[str]:
    runs = made(tmp_path, RATES, lambda cell: 240).replace({"task": {"synthetic": "sst2"}})
    runs.attrs = {"study": "made", "root": str(tmp_path), "code": None}
    return [name.partition(" (PKD")[0] for name in papers.table(layout)(runs)[0].published.rows]


def test_each_of_pkds_tables_has_its_own_rows_beside_it(tmp_path):
    students = {f"BERT{n}-{how}" for n in (6, 3) for how in ("FT", "KD", "PKD")}
    assert set(published_rows(tmp_path, "b1_glue")) >= {"BERT12 (teacher)", *students}
    assert not [name for name in published_rows(tmp_path, "b1_glue") if "BERT24" in name]
    assert set(published_rows(tmp_path, "b2_skip_or_last")) == {
        "BERT6-PKD",
        "BERT6-PKD-Last",
    }
    better = set(published_rows(tmp_path, "b5_better_teacher"))
    assert {"BERT24 (teacher)", "BERT6-KD", "BERT24 to BERT6[Base]-KD"} <= better
    assert not better & {"BERT6-FT", "BERT3-KD", "BERT6-PKD"}
    systems = published_rows(tmp_path, "a7_systems")
    assert not [name for name in systems if "teacher" in name or "mapping" in name]


def test_nothing_is_published_beside_select(tmp_path):
    runs = made(tmp_path, RATES, lambda cell: 240)
    (table,) = papers.table("a7_systems")(runs, split="select")
    assert table.published == literature.PublishedRows()


def test_an_average_is_over_the_tasks_it_names_and_of_complete_rows(tmp_path):
    """One task is run; its frame stands for a second one too."""
    runs = made(tmp_path, RATES.replace("train.lr=2e-3", "train.lr=1e-3"), lambda cell: 240)
    other = runs.assign(task=runs["task"].replace("synthetic", "rte"))
    both = pd.concat([runs, other], ignore_index=True)
    both.attrs = runs.attrs
    table = arranged(both)[0]
    assert table.average == "average"
    assert table.cells["logits", "average"].mean == pytest.approx(60.0)
    assert table.cells["logits", "average"].difference == pytest.approx(0.0)
    assert table.cells["logits", "average"].mark == ""
    assert (
        "average: the mean over synthetic and rte, of rows that have every run of them"
        in table.notes
    )
    gone = both.copy()
    is_hidden = (gone["row"] == "hidden") & (gone["task"] == "rte") & (gone["seed"] == 1)
    gone.loc[is_hidden, ["report/accuracy", "select/accuracy"]] = np.nan
    gone.loc[is_hidden, "state"] = "missing"
    gone.attrs = runs.attrs
    assert ("hidden", "average") not in arranged(gone)[0].cells
    assert averages.WITHOUT == ("wnli",)


SPREAD = """
  - table: two
    base: [init.weights=finetuned, init=teacher_first]
    grid: {knowledge: [hidden_mse, attention_kl]}
    cases: {skip: [matching=skip], last: [matching=last]}
skip:
  - {name: rule, when: [knowledge=attention_kl, matching=last], reason: one will do}
"""


def test_what_is_left_out_is_na_in_its_own_column_and_makes_none(tmp_path):
    (table,) = papers.table("a2_matching")(made(tmp_path, SPREAD, lambda cell: 240))
    hidden, attention = (
        f"{knowledge}, teacher_first: synthetic accuracy"
        for knowledge in ("hidden_mse", "attention_kl")
    )
    assert table.columns == [hidden, attention]
    assert table.inapplicable == {("last", attention)}
    assert ("last", hidden) in table.cells


def test_an_average_is_not_marked_for_what_it_leaves_out_and_counts_a_run_once(tmp_path):
    runs = made(tmp_path, RATES.replace("train.lr=2e-3", "train.lr=1e-3"), lambda cell: 240)
    parts = [
        runs.assign(task=runs["task"].replace("synthetic", task))
        for task in ("rte", "cola", "wnli")
    ]
    parts[2]["degenerate"] = parts[2]["degenerate"].where(parts[2]["row"] != "logits", "report")
    crossed = [
        part.assign(teacher_seed=part["teacher_seed"] + more) for part in parts for more in (9, 8)
    ]
    both = pd.concat(crossed, ignore_index=True)
    both.attrs = runs.attrs
    (table,) = arranged(both)
    cell = table.cells["logits", "average"]
    assert (cell.degenerate, cell.n) == (0, 2)
    assert table.cells["logits", "wnli accuracy"].degenerate == 2


def test_a_study_is_launched_again_as_it_was_asked_for(tmp_path):
    from analysis.tables.rerun_commands import command
    from sweeps import commands
    from sweeps.journal import run_states
    from sweeps.study import launched

    path = tmp_path / "made.yaml"
    path.write_text(
        HEAD.replace("task=synthetic, ", "")
        + RATES.replace("cases", "grid: {task: [rte]}\n    cases")
    )
    asked = commands.requested(str(path), ("task=synthetic", f"root={tmp_path}"), str(tmp_path))
    folder = run_states.study_folder(str(tmp_path), "made")
    launched.save(asked.study, asked.extra, folder, asked.command_line)
    launch = f"python -m sweeps launch made task=synthetic --wait root={tmp_path}"
    assert command("made", str(tmp_path), {"missing"}) == launch

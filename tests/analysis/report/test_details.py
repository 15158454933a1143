"""What is behind a report's cells: runs, commands, and what they are filtered by."""

import json
import shlex
from dataclasses import replace

import pytest
import wide

from analysis.explain import lookup, why
from analysis.report.details import details
from analysis.tables.arrange import arranged
from analysis.tables.layout import value_text
from sweeps.study.layouts import Layout

SMALL, LARGE = ", size=l2_h64_a4", ", size=l3_h64_a4"


@pytest.fixture(scope="module")
def behind(runs, tables):
    return details(runs, tables)


@pytest.fixture(scope="module")
def data(behind):
    return json.loads(behind.data)


def named(command):
    """What a command asks the runs of."""
    *start, name, option, root = shlex.split(command)
    assert (start, option, root) == (["python", "-m", "analysis", "why"], "--root", wide.ROOT)
    return name


def cell_of(behind, data, row, column):
    return data["cells"][behind.views[0][row, column].number]


def test_every_cell_that_has_runs_opens_them(behind, data, tables):
    (table,) = tables
    numbered = {key: view.number for key, view in behind.views[0].items()}
    every = {key for key, number in numbered.items() if number is not None}
    assert every == {key for key in table.cells if key[0] != "majority"} > set(table.runs)
    assert sorted(numbered[key] for key in every) == list(range(len(data["cells"])))
    for key, runs in table.runs.items():
        cell = data["cells"][numbered[key]]
        assert cell["name"] == " · ".join(["knowledge", *key])
        assert [uid for uid, *_ in cell["runs"]] == [run.uid for run in runs]
        assert {uid for uid, *_ in cell["runs"]} <= data["runs"].keys()


def test_a_cell_s_command_finds_the_same_runs_and_a_run_s_is_that_of_why(behind, data):
    for row, column in [("logits" + SMALL, "mrpc f1"), ("unlucky" + LARGE, "qnli accuracy")]:
        cell = cell_of(behind, data, row, column)
        name = named(*cell["why"])
        target = lookup.find(name, wide.ROOT)
        assert [run.uid for run in target.runs] == [uid for uid, *_ in cell["runs"]]
        printed = why.why(name, wide.ROOT)
        for uid, title, score in cell["runs"]:
            state, command = data["runs"][uid]
            assert f"{title}: {state}  {uid}" in printed
            assert f"`{command}`" in printed
            assert (score == "") == (state == "missing")
            metric = column.split()[1]
            assert not score or f"report {metric} {score}" in printed


def test_a_teacher_s_cell_has_the_command_of_its_record(behind, data):
    cell = cell_of(behind, data, "teacher", "rte accuracy")
    ((uid, title, score),) = cell["runs"]
    assert title == "teacher"
    assert score
    assert "python -m kdlab" in data["runs"][uid][1]


def test_a_cell_says_what_its_row_is_compared_with(behind, data, tables):
    text = cell_of(behind, data, "hidden" + LARGE, "rte accuracy")["text"]
    assert text.endswith(f" to none{LARGE}")
    assert "Δ" not in cell_of(behind, data, "none" + LARGE, "rte accuracy")["text"]


def test_facets_are_the_values_of_the_cell_s_runs(behind, runs, tables):
    (table,) = tables
    values = behind.facets
    assert list(values) == ["task", "size", "knowledge"]
    assert values["task"] == ["mrpc", "rte", "qnli"]
    option_of = runs.drop_duplicates("uid").set_index("uid")
    for (row, column), of_cell in table.runs.items():
        facets = behind.views[0][row, column].facets
        assert values["task"][int(facets["task"])] == column.split()[0]
        if row == "teacher":
            assert set(facets) == {"task"}
            continue
        for name in ("size", "knowledge"):
            (number,) = facets[name].split()
            own = {value_text(option_of.loc[run.uid, name]) for run in of_cell}
            assert own == {values[name][int(number)]}


def test_an_average_is_of_no_single_task_and_of_its_row_s_size(behind):
    view = behind.views[0]["logits" + LARGE, "average"]
    assert view.dots == []
    assert view.facets["task"] == ""
    assert view.facets["size"] == behind.views[0]["logits" + LARGE, "mrpc f1"].facets["size"]


def test_an_average_s_runs_are_those_of_its_row_with_the_mean_that_each_counts_with(
    behind, data, tables
):
    (table,) = tables
    row = "logits" + LARGE
    cell = cell_of(behind, data, row, "average")
    assert cell["name"] == f"knowledge · {row} · average"
    assert cell["text"].startswith(f"{table.cells[row, 'average'].mean:.1f} ± ")
    assert cell["text"].endswith(f" to none{LARGE}")
    assert [title for _, title, _ in cell["runs"]] == [
        f"{columns}, seed {seed}"
        for columns in ("mean of mrpc f1 and mrpc accuracy", "rte accuracy", "qnli accuracy")
        for seed in range(1, 5)
    ]
    mean = sum(float(points) for *_, points in cell["runs"]) / len(cell["runs"])
    assert mean == pytest.approx(table.cells[row, "average"].mean, abs=0.01)
    target = lookup.find(named(*cell["why"]), wide.ROOT)
    assert {run.uid for run in target.runs} == {uid for uid, *_ in cell["runs"]}


def test_an_average_of_a_group_of_columns_has_the_group_s_runs(runs):
    tables = arranged(runs, Layout(rows=["knowledge"], columns=["size"]))
    found = details(runs, tables)
    sizes = runs.drop_duplicates("uid").set_index("uid")["size"]
    for size in ("l2_h64_a4", "l3_h64_a4"):
        number = found.views[0]["logits_kl", f"{size}: average"].number
        cell = json.loads(found.data)["cells"][number]
        assert len(cell["runs"]) == 12
        assert {sizes[uid] for uid, *_ in cell["runs"]} == {size}


def test_an_average_over_rows_of_several_names_has_a_command_for_each(runs, tables):
    """A layout may show in one row what a study calls otherwise in each task."""
    (table,) = tables
    row = "logits" + LARGE
    renamed = {
        key: [run._replace(row="KD") if run.task == "rte" and key[0] == row else run for run in arm]
        for key, arm in table.runs.items()
    }
    found = details(runs, [replace(table, runs=renamed)])
    cell = json.loads(found.data)["cells"][found.views[0][row, "average"].number]
    assert [named(command) for command in cell["why"]] == [
        f"{wide.NAME}/knowledge/{own}" for own in (row, "KD")
    ]


def test_a_cell_has_a_dot_for_each_seed_that_has_a_score(behind, tables):
    (table,) = tables
    places = set()
    for key, runs in table.runs.items():
        view = behind.views[0][key]
        done = [] if key[0] == "teacher" else [run for run in runs if run.has_score]
        assert [title.split(":")[0] for _, title in view.dots] == [f"seed {r.seed}" for r in done]
        for place, title in view.dots:
            assert 0 < float(place.rstrip("%")) < 100
            places.add((key[1], place, title.split(": ")[1]))
    # One column has one scale: equal scores stand at equal places, larger ones further right.
    for column in table.columns[:4]:
        ordered = sorted((float(s), float(p.rstrip("%"))) for c, p, s in places if c == column)
        assert [place for _, place in ordered] == sorted(place for _, place in ordered)


def test_nothing_in_the_data_can_end_the_script(runs, tables):
    renamed = runs.assign(trouble="</script><b>")
    renamed.attrs = runs.attrs
    text = details(renamed, tables).data
    assert "<" not in text
    assert "</script><b>" in str(json.loads(text)["runs"])

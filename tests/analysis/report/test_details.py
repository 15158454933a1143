"""What is behind a report's cells: runs, commands, and what they are filtered by."""

import json
import shlex

import pytest
import wide

from analysis.explain import lookup, why
from analysis.report.details import details
from analysis.tables.layout import value_text

SMALL, LARGE = ", size=l2_h64_a4", ", size=l3_h64_a4"


@pytest.fixture(scope="module")
def behind(runs, tables):
    return details(runs, tables)


@pytest.fixture(scope="module")
def data(behind):
    return json.loads(behind.data)


def cell_of(behind, data, row, column):
    return data["cells"][behind.views[0][row, column].number]


def test_every_cell_that_has_runs_opens_them(behind, data, tables):
    (table,) = tables
    numbered = {key: view.number for key, view in behind.views[0].items()}
    assert {key for key, number in numbered.items() if number is not None} == set(table.runs)
    for key, runs in table.runs.items():
        cell = data["cells"][numbered[key]]
        assert cell["name"] == " · ".join(["knowledge", *key])
        assert [uid for uid, *_ in cell["runs"]] == [run.uid for run in runs]
        assert {uid for uid, *_ in cell["runs"]} <= data["runs"].keys()


def test_a_cell_s_command_finds_the_same_runs_and_a_run_s_is_that_of_why(behind, data):
    for row, column in [("logits" + SMALL, "mrpc f1"), ("unlucky" + LARGE, "qnli accuracy")]:
        cell = cell_of(behind, data, row, column)
        start = ["python", "-m", "analysis", "why"]
        name, *root = shlex.split(cell["why"])[len(start) :]
        assert root == ["--root", wide.ROOT]
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
    assert view.number is None
    assert view.facets["task"] == ""
    assert view.facets["size"] == behind.views[0]["logits" + LARGE, "mrpc f1"].facets["size"]


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

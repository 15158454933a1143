"""Rows of the papers' tables differ in what their names say, and in nothing else."""

import json
from collections import defaultdict
from dataclasses import replace
from itertools import combinations

import pytest

from kdlab.config import compose_many
from kdlab.config.run_keys import keys
from kdlab.options.memo import files_unchanged
from sweeps.plan import plan
from sweeps.study import reading

BERT = {"model_type": "bert", "vocab_size": 30522}
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
TEACHERS = {
    "google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f734a8a67f723594": BASE,
    "google-bert/bert-large-uncased@6da4b6a26a1877e173fca3225479512db81a5e5b": LARGE,
}
KD = {"hard.weight", "knowledge.logits_kl"}
TAUGHT = {"teacher."} | KD  # against an arm that hears no teacher
PATIENCE = {"knowledge.cls_pkd"}
LARGE_TEACHER = {"teacher.", "tokenizer", "init.checkpoint"}
STUDIES = ("b_pkd", "b_pkd_authors")
WINNERS = {"train.lr", *KD, *PATIENCE}
# By table and by pair of rows what they may differ in: keys, or beginnings of keys.
DIFFER = {
    "B1 GLUE": {
        ("BERT6-FT", "BERT6-KD"): TAUGHT,
        ("BERT6-FT", "BERT6-PKD"): TAUGHT | PATIENCE,
        ("BERT6-KD", "BERT6-PKD"): PATIENCE,
    },
    "B1 GLUE, three layers": {
        ("BERT3-FT", "BERT3-KD"): TAUGHT,
        ("BERT3-FT", "BERT3-PKD"): TAUGHT | PATIENCE,
        ("BERT3-KD", "BERT3-PKD"): PATIENCE,
    },
    "B2 Skip or Last": {("BERT6-PKD-Last", "BERT6-PKD"): set()},
    "B4 size and time": {
        pair: set()
        for pair in combinations(("KD, size=l3_h768", "KD, size=l6_h768", "KD, size=l12_h768"), 2)
    },
    "B5 better teacher": {
        ("BERT6-KD", "BERT24 to BERT6[Large]-KD"): LARGE_TEACHER,
        ("BERT6-KD", "BERT24 to BERT6[Large]-PKD"): LARGE_TEACHER | PATIENCE,
        ("BERT24 to BERT6[Large]-KD", "BERT24 to BERT6[Large]-PKD"): PATIENCE,
    },
    "B1 GLUE, the authors' settings": {("BERT6-KD", "BERT6-PKD"): WINNERS},
    "B1 GLUE, three layers, the authors' settings": {("BERT3-KD", "BERT3-PKD"): WINNERS},
    "B2 Skip or Last, the authors' settings": {("BERT6-PKD-Last", "BERT6-PKD"): WINNERS},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A cache of the hub that has what planning needs of BERT's checkpoints."""
    cache = tmp_path_factory.mktemp("hub")
    for name, size in TEACHERS.items():
        owner, _, commit = name.replace("/", "--").partition("@")
        folder = cache / f"models--{owner}" / "snapshots" / commit
        folder.mkdir(parents=True)
        page = BERT | size | {"intermediate_size": 4 * size["hidden_size"]}
        (folder / "config.json").write_text(json.dumps(page))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KDLAB_GLUE", raising=False)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        yield cache


def runs(name: str):
    """By table, task and row the runs of a study's first seed on a task of three classes and on one
    of two, added arms left out.
    """
    found = defaultdict(lambda: defaultdict(dict))
    loaded = reading.load(name)
    two = {"task": ["mnli", "rte"]}
    blocks = [replace(x, grid=two if "task" in x.grid else x.grid) for x in loaded.blocks]
    for entry in plan.plan(replace(loaded, blocks=blocks, seeds=[1])):
        if not entry.cell.case.startswith("none"):
            found[entry.cell.table][entry.run.task.name][entry.cell.row] = entry.run
    return found


@pytest.fixture(scope="module")
def planned(hub):
    return {name: runs(name) for name in STUDIES}


@pytest.mark.parametrize("name", STUDIES)
def test_rows_of_pkds_tables_differ_in_what_they_say(name, planned):
    found = planned[name]
    assert found
    assert found.keys() <= DIFFER.keys()
    for table, by_task in found.items():
        for task, rows in by_task.items():
            assert {*combinations(rows, 2)} == DIFFER[table].keys(), (table, task)
            for pair, allowed in DIFFER[table].items():
                one, other = (keys(rows[row]) for row in pair)
                differ = {key for key in one | other if one.get(key) != other.get(key)}
                beyond = {key for key in differ if not key.startswith((*allowed, "\0"))}
                assert not beyond, (table, task, pair)
                assert allowed == set() or differ


def test_what_won_for_pkds_authors_is_what_a_students_run_does(planned):
    rows = planned["b_pkd_authors"]
    row = rows["B1 GLUE, the authors' settings"]["mnli"]["BERT6-PKD"]
    found = keys(row)
    assert found["train.lr"] == 5e-5
    assert (found["hard.weight"], found["knowledge.logits_kl.weight"]) == (0.5, 0.5)
    assert found["knowledge.logits_kl.temperature"] == 10
    assert found["knowledge.cls_pkd.weight"] == 100
    assert found["knowledge.cls_pkd.normalize"] is False
    assert found["knowledge.cls_pkd.reduction"] == found["knowledge.logits_kl.reduction"] == "mean"
    last = rows["B2 Skip or Last, the authors' settings"]["rte"]["BERT6-PKD-Last"]
    assert (keys(last)["train.lr"], keys(last)["knowledge.cls_pkd.weight"]) == (2e-5, 1000)
    assert last.terms[0].matching.pairs == tuple(zip(range(1, 6), range(7, 12), strict=True))


def test_a_terms_weight_is_tuned_wherever_it_stands_beside_logits():
    """One key moves all weights but the logits': of three losses there are two ratios."""
    block = reading.load("a1_knowledge").blocks[0]
    assert block.cases.keys() == block.tune.also.keys()
    for case, own in block.cases.items():
        named = own[0].partition("=")[2].strip("[]").split(",")
        tuned = {key.split(".")[1] for key in block.tune.also[case] if key.startswith("knowledge.")}
        tied = {
            text.split(".")[1]
            for text in own
            if any(f"${{knowledge.{term}.weight}}" in text for term in tuned)
        }
        fixed = {"logits"} if len(named) > 1 and "logits" in named else set()
        assert tuned | tied == {*named} - fixed, case
        assert len(tuned) == 1
        assert ("hard.weight" in block.tune.also[case]) == bool(fixed), case


def test_one_key_is_the_weight_of_all_terms_of_an_arm():
    base = ("teacher=scratch", "teacher.size=l4_h32_a2", "size=l2_h32_a2")
    block = reading.load("a1_knowledge").blocks[0]
    case = "attention and hidden (TinyBERT)"
    (key,) = block.tune.also[case]
    # Put together, not left to Hydra: thousands of such runs are planned fast.
    with files_unchanged({}):
        run = compose_many._assembled((*base, *block.cases[case], f"{key}=7"))
    assert [term.weight for term in run.terms] == [7.0] * 3

"""Which scores are contaminated."""

from pathlib import Path

import pandas as pd

from analysis.published import seen

CONF = Path(__file__).parents[3] / "conf"


def test_tasks_that_a_teacher_has_seen_are_noted():
    students = pd.DataFrame({
        "teacher": ["mpnet_base", "mpnet_base", "minilm_l6", "mpnet_base", "bert_base"],
        "task": ["cola", "rte", "qqp", "rte", "mnli"],
    })  # fmt: skip
    assert seen.notes(students) == [
        "rte: the weights of teacher=mpnet_base have seen no row of it, but SNLI and MultiNLI, "
        "which ask the same question (model card of all-mpnet-base-v2)",
        "qqp: the weights of teacher=minilm_l6 have seen Quora's question pairs (model card of "
        "all-MiniLM-L6-v2)",
    ]


def test_teachers_and_tasks_are_options():
    for group in ("teacher", "task"):
        names = {path.stem for path in (CONF / group).glob("*.yaml")}
        assert set(seen._known()[group]) <= names

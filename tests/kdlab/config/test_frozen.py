"""A run survives JSON."""

import json

import pytest

from kdlab.config import frozen
from kdlab.config.compose import compose
from kdlab.run import parents

ARMS = [
    ("knowledge=none",),
    ("knowledge=[logits_kl,cls_pkd]", "matching=pkd_skip", "seed=3"),
    ("knowledge=value_relation", "init=teacher_skip", "init.weights=finetuned"),
    ("knowledge=hidden_mse", "matching=custom", "matching.pairs=[[1,2],[2,4]]", "train.lr=1e-5"),
    ("init=run", "init.run=['knowledge=hidden_mse','hard.weight=0']", "seed=3"),
    ("teacher.folds=3", "teacher.assistants=[l3_h64_a4]"),
    ("data.fold=[1,4]", "teacher.stop=0.5", "train.stop=0.9"),
    ("data=unlabelled", "data.rows=100", "data.extra_rows=200", "knowledge=logits_kl"),
]


@pytest.mark.parametrize("overrides", ARMS, ids=str)
def test_a_frozen_run_thaws_to_itself(overrides):
    run = compose(*overrides)
    page = json.loads(json.dumps(frozen.freeze([run])))
    assert set(page) == family(run)
    assert frozen.thaw(page, run.uid) == run
    assert set(frozen.parent_uids(page[run.uid])) == {parent.uid for parent in parents(run)}


def family(run):
    return {run.uid}.union(*(family(parent) for parent in parents(run)))


def test_a_run_whose_data_changed_is_refused():
    run = compose("knowledge=none")
    page = frozen.freeze([run])
    page[run.uid]["source"]["knobs"]["words"] += 1
    with pytest.raises(ValueError, match="not what it was when the run was planned"):
        frozen.thaw(page, run.uid)

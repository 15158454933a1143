"""A run survives JSON."""

import json

import pytest

from kdlab import frozen
from kdlab.config import compose

ARMS = [
    ("knowledge=none",),
    ("knowledge=[logits_kl,cls_pkd]", "matching=pkd_skip", "seed=3"),
    ("knowledge=value_relation", "init=teacher_skip", "init.weights=finetuned"),
    ("knowledge=hidden_mse", "matching=custom", "matching.pairs=[[1,2],[2,4]]", "train.lr=1e-5"),
    ("data=unlabelled", "data.rows=100", "data.extra_rows=200", "knowledge=logits_kl"),
]


@pytest.mark.parametrize("overrides", ARMS, ids=str)
def test_a_frozen_run_thaws_to_itself(overrides):
    run = compose(*overrides)
    page = json.loads(json.dumps(frozen.freeze([run])))
    assert set(page) == {run.uid} | ({run.teacher.uid} if run.teacher else set())
    assert frozen.thaw(page, run.uid) == run


def test_a_run_whose_data_changed_is_refused():
    run = compose("knowledge=none")
    page = frozen.freeze([run])
    page[run.uid]["source"]["knobs"]["words"] += 1
    with pytest.raises(ValueError, match="not what it was when the run was planned"):
        frozen.thaw(page, run.uid)

"""The uid names what a run does: no more, no less."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import composed
import pytest
from pydantic import TypeAdapter

import kdlab
from kdlab.config.compose import compose
from kdlab.config.identity import digest, effective, stored_name
from kdlab.run import Run

STAGE = ("init=run", "knowledge=logits_kl")
LAYERED = ("size=l2_h64_a4", "knowledge=hidden_mse")

# A change here orphans every record: say why in the changelog, under Numbers.
GOLDEN = {
    (): "b55890b9036321c142bf07031f2ad32e",
    ("knowledge=none",): "1c84f3d02438f825eba4069a2d6e6989",
    (
        "seed=3",
        "knowledge=[logits_kl,cls_pkd]",
        "matching=pkd_skip",
    ): "a956347648da09ffd0182a12a6ddc3e6",
    (
        "size=tiny",
        "knowledge=value_relation",
        "matching=last1",
    ): "6cdf7139e355dd8274c4ae8842dae84b",
    (
        "init=teacher_skip",
        "init.weights=finetuned",
        "size=l2_h64_a4",
        "protocol=pkd_legacy",
    ): "e4703f9b7eae343a49d94a169dd76fe4",
    (
        "data=unlabelled",
        "data.rows=1000",
        "data.extra_rows=500",
        "hard.weight=0",
    ): "9aafcbb669ea364c03b1cba825997ec3",
}


@pytest.mark.parametrize(("overrides", "expected"), GOLDEN.items())
def test_golden_uids(overrides, expected):
    assert uid(*overrides) == expected


def test_what_a_function_is_called_in_a_uid_survives_a_move_and_is_no_other_functions():
    assert stored_name("kdlab.some.folder.views.cls") == stored_name("kdlab.objective.views.cls")
    assert stored_name("mylab.views.cls") == "mylab.views.cls"
    files = Counter(p.name for p in Path(kdlab.__file__).parent.rglob("*.py") if p.stem[0] != "_")
    assert max(files.values()) == 1, files.most_common(1)


def uid(*overrides: str) -> str:
    return compose(*overrides).uid


SAME = [
    ((), ("seed=0",)),
    (("knowledge=logits_kl",), ("knowledge=logits_kl", "matching=last")),
    (("knowledge=logits_kl",), ("knowledge=[logits_kl]",)),
    (("knowledge=logits",), ("knowledge=logits_kl",)),
    ((), ("teacher.stop=1", "train.stop=1.0", "teacher.folds=null", "teacher.assistants=[]")),
    ((), ("teacher.assistant_overrides=['knowledge=logits_mse']",)),
    (("knowledge=none",), ("knowledge=none", "teacher.folds=3", "teacher.stop=0.5")),
    (("knowledge=none",), ("knowledge=none", "teacher.seed=5")),
    (("knowledge=none",), ("knowledge=none", "teacher=none")),
    (("knowledge=none",), ("knowledge=none", "matching=first", "data.extra_rows=5")),
    (("protocol=pkd_legacy",), ("protocol=pkd_legacy", "protocol.select=0.2")),
    (("size=tiny",), ("size=l2_h128_a2",)),
    (("train.clip=null",), ("train.clip=null", "train.clip_scope=tensor")),
    (
        ("knowledge=logits_kl", "knowledge.logits_kl.temperature=2"),
        ("knowledge=logits_kl", "knowledge.logits_kl.temperature=2.0"),
    ),
    ((*LAYERED, "matching=skip"), (*LAYERED, "matching=custom", "matching.pairs=[[2,4],[1,2]]")),
    (
        ("size=l4_h64_a4", "knowledge=hidden_mse", "matching=first"),
        ("size=l4_h64_a4", "knowledge=hidden_mse", "matching=last"),
    ),
    (("knowledge=[logits_kl,hidden_mse]",), ("knowledge=[hidden_mse,logits_kl]",)),
    (
        ("size=l2_h64_a4", "knowledge=value_relation"),
        ("size=l2_h64_a4", "knowledge=value_relation", "knowledge.value_relation.relation_heads=4"),
    ),
    (
        ("knowledge=none",),
        ("knowledge=none", "root=elsewhere", "save=true", "threads=1", "device=cpu"),
    ),
]

DIFFERENT = [
    ("seed=1",),
    ("train.lr=1e-3",),
    ("train.epochs=2",),
    ("train.batch_size=8",),
    ("train.precision=bf16",),
    ("train.batching=random",),
    ("train.warmup=0.2",),
    ("train.betas=[0.9,0.98]",),
    ("train.eps=1e-6",),
    ("train.bias_correction=false",),
    ("train.clip=2",),
    ("train.clip=null",),
    ("train.clip_scope=tensor",),
    ("train.weight_decay=0",),
    ("train.schedule=cosine",),
    ("hard.weight=0.5",),
    ("size=tiny",),
    ("size=l2_h64_a2",),
    ("teacher.seed=1",),
    ("teacher.lr=1e-4",),
    ("teacher.epochs=2",),
    ("teacher.size=l5_h64_a4",),
    ("teacher.rows=100",),
    ("data.rows=100",),
    ("data=unlabelled", "data.rows=100"),
    ("data=unlabelled", "data.rows=100", "data.extra_rows=7"),
    ("knowledge=none",),
    ("knowledge=logits_mse",),
    ("knowledge=hidden_mse",),
    ("knowledge=[logits_kl,hidden_mse]",),
    ("knowledge.logits.weight=2",),
    ("init=teacher_first", "init.weights=finetuned", "size=l2_h64_a4"),
    ("task.words=8",),
    ("task.train_rows=300",),
    ("task.max_length=16",),
    ("protocol=pkd_legacy",),
    ("protocol.checkpoint=best_select",),
    ("protocol.evaluations=4",),
    ("protocol.select=0.2",),
    ("protocol.select_max=50",),
    ("knowledge=hidden_mse", "matching=last"),
    ("knowledge=hidden_mse", "matching.mass=pairs"),
    ("+knowledge@knowledge.late=hidden_mse",),
    ("train.stop=0.5",),
    ("data.fold=[0,5]",),
    ("data.fold=[1,5]",),
    ("teacher.stop=0.5",),
    ("teacher.folds=2",),
    ("teacher.folds=3",),
    ("teacher.assistants=[l4_h64_a4]",),
    ("teacher.assistants=[l4_h64_a4,l4_h64_a4]",),
    ("teacher.assistants=[l4_h64_a4]", "teacher.assistant_overrides=['knowledge=logits_mse']"),
    ("teacher.assistants=[l4_h64_a4]", "teacher.folds=2"),
    (*STAGE, "init.run=['knowledge=none']"),
    (*STAGE, "init.run=['knowledge=none']", "init.head=keep"),
    (*STAGE, "init.run=['knowledge=none','train.epochs=1']"),
    (*STAGE, "init.run=['init=run','init.run=[\\'knowledge=none\\']']"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_effective_runs_share_a_uid(one, other):
    assert uid(*one) == uid(*other)


def test_different_runs_do_not():
    uids = {overrides: composed.compose(*overrides).uid for overrides in [(), *DIFFERENT]}
    assert len(set(uids.values())) == len(uids)


def test_numbers_are_canonical_and_nan_is_refused():
    assert digest({"a": 2, "b": [1]}) == digest({"b": [1.0], "a": 2.0})
    assert digest({"a": True}) != digest({"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": float("nan")})


def test_the_page_that_is_hashed_names_every_function_and_no_path(glue, monkeypatch):
    own = ("+schedule@knowledge.hidden_mse.schedules.weight=growth", "matching=emd")
    run = compose(
        "task=rte", f"task.path={glue}", "size=l2_h64_a4", "knowledge=hidden_mse", *own,
        "init=teacher_first", "init.weights=finetuned",
    )  # fmt: skip
    text = json.dumps(effective(run))
    assert glue not in text
    monkeypatch.setattr("kdlab.config.identity._rows", lambda source, splits: "equal rows")
    uid = digest(effective(run))
    (term,) = run.terms
    calls = [run.source, run.init.call, term.loss, term.matching.weigh, *term.schedules.values()]
    for name in (term.view, run.task.holdout, *(call.target for call in calls)):
        assert name.startswith("kdlab.")
        assert f'"{stored_name(name)}"' in text
        # A function of another module, of the same name and with the same knobs, is another run.
        other = frozen_with(run, name, f"mylab.{name.removeprefix('kdlab.')}")
        assert digest(effective(other)) != uid


def frozen_with(run, name, other):
    """The run with another function in the place of one."""
    page = TypeAdapter(Run).dump_json(replace(run, teachers=())).decode()
    found = TypeAdapter(Run).validate_json(page.replace(f'"{name}"', f'"{other}"'))
    return replace(found, teachers=run.teachers)


def test_local_data_is_named_by_content_not_by_place(glue, tmp_path):
    (tmp_path / "RTE").mkdir()
    for split in ("train", "dev"):
        shutil.copy(f"{glue}/RTE/{split}.parquet", tmp_path / "RTE")
    assert uid("task=rte", f"task.path={glue}") == uid("task=rte", f"task.path={tmp_path}")

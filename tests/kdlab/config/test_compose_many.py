"""Runs that are assembled are those that Hydra composes, and wrong pages are refused alike."""

import shutil
from functools import cache

import pandas as pd
import pytest
from overrides_composed import (
    DEEP,
    FINETUNED,
    HYDRAS,
    INITS,
    LAYERED,
    MATCHINGS,
    MISFITS,
    OPTIONS,
    VALUES,
    WRONG,
)

from kdlab.config import compose_many, option_files
from kdlab.config.compose import compose
from kdlab.config.compose_many import compose_each
from kdlab.config.option_files import options
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.memo import files_unchanged

MINILM = ("teacher=minilm_l6", "size=l3_h384", "init=teacher_first")


@cache
def told(*overrides: str):
    """What Hydra composes; each teacher once."""
    with files_unchanged(KEPT):
        return compose(*overrides)


KEPT: dict = {}


def assembled(*overrides: str):
    with files_unchanged(KEPT):
        return compose_many._assembled(overrides)


def same(one, other) -> bool:
    """Equal to the type of every number and the order of every choice."""
    return one == other and repr(one) == repr(other)


def refusal(action) -> str:
    with pytest.raises(BadInput) as error:
        action()
    return str(error.value)


@pytest.mark.parametrize("overrides", [*OPTIONS, *VALUES, *HYDRAS], ids=" ".join)
def test_a_run_is_assembled_as_compose_gives_it(overrides):
    assert same(assembled(*overrides), told(*overrides))


def test_each_option_is_the_one_that_the_run_has():
    for name in options("knowledge"):
        terms = told(f"knowledge={name}", "task.classes=3").terms
        assert len(terms) == (name != "none")
    for name in MATCHINGS:
        assert told(*DEEP, f"matching={name}").terms[0].matching is not None
    for name in INITS:
        assert told(f"init={name}", *FINETUNED).init.name == name


@pytest.mark.parametrize("overrides", WRONG, ids=" ".join)
def test_a_wrong_page_is_left_to_hydra(overrides):
    assert assembled(*overrides) is None
    assert "\n" not in refusal(lambda: told(*overrides))


@pytest.mark.parametrize("overrides", MISFITS, ids=" ".join)
def test_options_that_do_not_go_together_are_refused_without_hydra(overrides):
    found = assembled(*overrides)
    assert isinstance(found, NotApplicable)
    assert str(found) == refusal(lambda: told(*overrides))


def test_many_pages_give_the_runs_of_each_in_order():
    pages = [*OPTIONS[::8], *VALUES[::4], *HYDRAS[::4]]
    assert len(pages) > 2 * compose_many.CHECKS
    for run, overrides in zip(compose_each(pages), pages, strict=True):
        assert same(run, told(*overrides))


def test_few_pages_give_the_runs_of_each_in_order():
    assert list(compose_each([])) == []
    assert list(compose_each([("seed=2",), ("seed=1",)])) == [told("seed=2"), told("seed=1")]


def test_a_wrong_page_is_refused_in_its_place():
    pages = [(f"seed={seed}",) for seed in range(25)]
    pages[17] = ("seed=17", "train.lr=-1")
    runs = compose_each(pages)
    assert [next(runs).seed for _ in range(17)] == list(range(17))
    with pytest.raises(BadInput, match="train.lr=-1: input should be greater than 0"):
        next(runs)


def test_options_that_do_not_go_together_are_refused_in_their_place_as_compose_does():
    pages = [
        (f"seed={seed}", *own)
        for seed in range(3)
        for own in (
            ("size=mini", "shape=deep"),
            ("size=tiny", "shape=wide"),
            ("knowledge=logits_dist", "size=tiny"),
            ("knowledge=logits_kl",),
        )
    ]
    assert len(pages) > 2 * compose_many.CHECKS
    runs = list(compose_each(pages))
    for found, page in zip(runs, pages, strict=True):
        if isinstance(found, NotApplicable):
            assert str(found) == refusal(lambda page=page: compose(*page))
            assert isinstance(assembled(*page), NotApplicable)
        else:
            assert same(found, told(*page))
    assert [isinstance(found, NotApplicable) for found in runs] == 3 * [
        False, True, True, False,
    ]  # fmt: skip


def test_a_teacher_whose_options_do_not_go_together_is_wrong_for_every_student():
    page = ("teacher.size=tiny", "teacher.overrides=['shape=wide']", "knowledge=logits_kl")
    assert assembled(*page) is None
    with pytest.raises(BadInput, match="teacher=scratch: shape=wide: l2_h128 has none"):
        list(compose_each([(*page, f"seed={seed}") for seed in range(12)]))


@pytest.mark.parametrize(
    "overrides",
    [
        ("task=rte", "teacher=none", "knowledge=none"),
        ("task=stsb", "knowledge=logits", "tokenizer=null"),
        ("task=mnli", "~task.report", "+task.report={report_matched: validation_matched}"),
        ("task=sst2", "data=unlabelled", "data.rows=64", "data.extra_split=test"),
    ],
    ids=" ".join,
)
def test_glue_from_the_environment_and_from_a_key(overrides, glue, monkeypatch):
    here = (*overrides, f"task.path={glue}")
    assert same(assembled(*here), told(*here))
    monkeypatch.setenv("KDLAB_GLUE", glue)
    with files_unchanged({}):
        assert same(compose_many._assembled(overrides), compose(*overrides))


@pytest.mark.minilm
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("init.weights=finetuned", "knowledge=none"),
        ("knowledge=[logits_kl,value_relation]", "matching=last1", "seed=3", "train.lr=1e-4"),
        ("knowledge=cls_pkd", "+matching@knowledge.cls_pkd.matching=pkd_skip", "data.rows=100"),
        ("teacher.seed=3", "teacher.rows=10", "protocol.select=0.01", "init=random"),
        ("tokenizer=null", "teacher.tokenizer=null"),
    ],
    ids=" ".join,
)
def test_a_pretrained_teacher(overrides, glue):
    page = ("task=rte", f"task.path={glue}", *MINILM, *overrides)
    assert same(assembled(*page), told(*page))


def test_a_checkpoint_in_a_folder_is_teacher_and_init(checkpoint):
    finished = ("teacher=checkpoint", f"teacher.checkpoint='{checkpoint}'", "size=l2_h32_a2")
    for page in (
        (*finished, "tokenizer=null", "teacher.tokenizer=null", LAYERED),
        ("init=pretrained", f"init.checkpoint={checkpoint}", "size=l2_h32_a2"),
    ):
        assert same(assembled(*page), told(*page))


@pytest.fixture
def checkpoint(tmp_path):
    config_json = (
        '{"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 32,'
        ' "num_attention_heads": 2, "intermediate_size": 128}'
    )
    (tmp_path / "config.json").write_text(config_json)
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path


def test_a_table_of_ones_own_is_read_anew_by_every_call(tmp_path):
    def write(labels):
        for split in ("train", "validation"):
            rows = pd.DataFrame({"question": ["a b"] * len(labels), "answer": labels})
            rows.to_parquet(tmp_path / f"{split}.parquet")

    keys = [f"task.path={tmp_path}", "task.text=[question]", "task.label=answer", "task.classes=2"]
    pages = [
        ("task=table", *keys, "teacher=none", "knowledge=none", f"seed={seed}", *metrics)
        for seed in range(6)
        for metrics in ((), ("task.metrics=[f1,accuracy]",))
    ]
    write([0, 1])
    before = list(compose_each(pages))
    assert before[1].task.select_by == ["f1", "accuracy"]
    write([0, 1, 1])
    after = list(compose_each(pages))
    assert len(pages) > 2 * compose_many.CHECKS
    assert after[:4] == [compose(*page) for page in pages[:4]]
    assert not {run.uid for run in before} & {run.uid for run in after}


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A copy of conf/ to add options to."""
    shutil.copytree(option_files.CONF, tmp_path / "conf")
    monkeypatch.setattr(option_files, "CONF", tmp_path / "conf")
    return tmp_path / "conf"


def test_options_that_reach_beyond_their_group_are_composed_right(conf):
    (conf / "train" / "last.yaml").write_text(
        "# @package _global_\n"
        "defaults: [default@train, override /matching: last, _self_]\n"
        "train: {lr: 0.01}\n"
    )
    (conf / "train" / "everywhere.yaml").write_text(
        "# @package _global_\ndefaults: [default@train, _self_]\nseed: 5\nsize: {layers: 2}\n"
    )
    kept: dict = {}
    for own in (
        ("train=last",),
        ("train=last", "matching=first", "train.lr=1"),
        ("train=everywhere",),
        ("train=everywhere", "size=l4_h64_a4", "matching=last"),
    ):
        with files_unchanged(kept):
            run = compose_many._assembled((*own, LAYERED))
        assert same(run, compose(*own, LAYERED))


def test_a_run_that_hydra_composes_otherwise_stops_the_plan(conf):
    """An option that reads another group's choice does not stand apart, which nothing here sees."""
    (conf / "epochs").mkdir()
    (conf / "epochs" / "three_splits.yaml").write_text("epochs: 1\n")
    (conf / "epochs" / "pkd_legacy.yaml").write_text("epochs: 2\n")
    by_protocol = "defaults: [default, {/epochs@_here_: '${protocol}'}]\n"
    (conf / "train" / "by_protocol.yaml").write_text(by_protocol)
    pages = [(f"seed={n}", "train=by_protocol", "protocol=pkd_legacy") for n in range(21)]
    assert compose(*pages[0]).train.epochs == 2
    with pytest.raises(RuntimeError, match=r"seed=\d+ train=by_protocol protocol=pkd_legacy"):
        list(compose_each(pages))

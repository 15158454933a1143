"""Runs that are assembled are those that Hydra composes, and wrong pages are refused alike."""

import shutil
from functools import cache

import pandas as pd
import pytest

from kdlab.config import compose_many, option_files
from kdlab.config.compose import compose
from kdlab.config.compose_many import compose_each
from kdlab.config.option_files import options
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.memo import files_unchanged

LAYERED = "knowledge=hidden_mse"
DEEP = ("size=l3_h64_a4", LAYERED)
FINETUNED = ("init.weights=finetuned", "size=l2_h64_a4")
GIVEN = ("random", "pretrained", "run", "teacher_custom")  # these want keys of their own
INITS = [n for n in options("init") if n not in GIVEN]
MINILM = ("teacher=minilm_l6", "size=l3_h384", "init=teacher_first")

OPTIONS = [
    (),
    *[(f"knowledge={name}", "task.classes=3") for name in options("knowledge")],  # all apply
    *[(*DEEP, f"matching={n}") for n in options("matching") if n not in ("none", "custom")],
    *[(f"init={n}", *FINETUNED) for n in INITS],
    ("init=teacher_custom", "init.layers=[1,3]", *FINETUNED),
    *[(f"size={name}", "knowledge=none") for name in ("tiny", "mini", "l5_h320_a5", "l6_h384")],
    *[(f"shape={name}", "size=tinybert6", "knowledge=none") for name in options("shape")],
    ("size=tinybert4", "shape=deeper", "shape.head_width=8", "shape.factor=3", "knowledge=none"),
    ("knowledge=[logits_kl,hidden_mse,cls_pkd]", "matching=last"),
    ("knowledge=[hidden_mse]",),
    ("knowledge=[]",),
    ("knowledge=none", "teacher=none"),
    ("data=unlabelled", "data.rows=1000", "data.extra_rows=500", "hard.weight=0"),
    ("protocol=pkd_legacy", "protocol.evaluations=2"),
    ("shape=standard", "train=default", "tracker=none", "matching=skip"),
    ("size=l2_h128_a2", "size=l4_h64_a4", "size=l3_h64_a4"),
    ("matching=last", *DEEP, "matching=first", "matching=last"),
]
VALUES = [
    ("train.lr=1e-3",),
    ("train.lr=.5e-3", "train.epochs=4", "train.schedule=cosine"),
    ("train.lr=1e-3", "train.lr=2e-3", "seed=1", "seed=0x", "seed=7"),
    ("seed=1_000", "train.clip=3", "train.weight_decay=0"),
    ("root='a folder, with = and \\' in it'", "save=true", 'device="cpu"', "threads=3"),
    ("train.schedule='linear'", "data.rows=null", "checkpoint_seconds=1.5e1"),
    (*DEEP, "matching=custom", "matching.pairs=[[1,2],[3,4]]", "matching.mass=pairs"),
    (LAYERED, "knowledge.hidden_mse.weight=10", "knowledge.hidden_mse.projection=none"),
    ("knowledge=[logits_kl,cls_pkd]", "knowledge.cls_pkd.normalize=false"),
    ("knowledge=value_relation", "knowledge.value_relation.relation_heads=null"),
    ("task.classes=1", "task.metrics=[pearson]", "task.select_by=[pearson]"),
    ("task.words=8", "task.length=6", "task.report={report: validation}"),
    ("teacher.size=l5_h64_a4", "teacher.seed=4", "teacher.lr=1e-4", "teacher.rows=50"),
    ("teacher.family=roberta",),
    ("teacher.overrides=['init=random','train.clip=2','++hard.weight=3']", "data.rows=100"),
    ("teacher.overrides=[]",),
    ("teacher.stop=0.5", "train.stop=0.5", "data.fold=[1,3]"),
    ("teacher.folds=3", "data.rows=100", "teacher.rows=50"),
    ("teacher.assistants=[l3_h64_a4,l2_h64_a4]", "teacher.folds=2", "seed=2", "task.words=8"),
    (
        "teacher.assistants=[l3_h64_a4]",
        "teacher.assistant_overrides=['knowledge=[logits_kl,hidden_mse]','matching=last']",
        "teacher.overrides=['train.clip=2','++hard.weight=3']",
    ),
    ("init=run", "init.run=['knowledge=hidden_mse','hard.weight=0']", "data.rows=50", "seed=3"),
    ("init=run", "init.run=['knowledge=none','teacher=none']", "init.head=keep", "size=tiny"),
    (
        "init=run",
        "init.run=['init=run','init.run=[\\'seed=7\\',\\'knowledge=none\\']']",
        "teacher.assistants=[l3_h64_a4]",
        "size.intermediate=100",
    ),
]
HYDRAS = [  # with what only Hydra understands, before and after values of the same node
    (*DEEP, "+matching@knowledge.hidden_mse.matching=last", "matching=first", "seed=2"),
    ("+matching@knowledge.hidden_mse.matching=last", "knowledge.hidden_mse.matching.mass=pairs",
     "matching@knowledge.hidden_mse.matching=first", *DEEP, "init=random", "train.lr=1e-3"),
    ("+knowledge@knowledge.late=hidden_mse", "knowledge.late.weight=3", "size=l4_h64_a4"),
    ("++train.lr=1e-3", "train.epochs=2"),
    ("train.lr=1e-4", "++train.lr=1e-3"),
    ("++train.lr=1e-3", "train.lr=1e-4"),
    ("train.lr=1e-4", "~train.lr=1e-4", "+train.lr=2e-4", "seed=3"),
    ("~task.report", "+task.report={report_one: validation}", "task.words=8"),
    ("seed=${threads}", "threads=5"),
    ("threads=5", "seed=${threads}", "seed=4"),
    ("data.rows=${task.words}", "task.words=60"),
]  # fmt: skip
WRONG = [
    ("train={lr: 0.01, epochs: 2}", "train.clip=2"),
    ("knowledge=[logits_kl,logits_kl]",),
    ("hydra.verbose=true", "seed=3"),
    ("matching=null", "seed=3"),
    ("knowledge={}",),
    ("size=l3_h100",),
    ("knowledge=../hidden_mse",),
    ("root='${oc.env:HOME}'",),
    (LAYERED, "knowledge.hidden_mse.view=3"),
    (LAYERED, "~knowledge.hidden_mse.view"),
    ("task.holdout=kdlab.data.corpus.source",),
    ("+knowledge.more={_target_: kdlab.losses.hidden.mse}",),
    ("+matching@init=emd",),
    ("+matching@knowledge.more=emd",),
    ("+knowledge@matching.weigh=hidden_mse", LAYERED),
    ("init=run", "init.run=['tracker.package=this']"),
    ("teacher.overrides=['++task.holdout=this.that']",),
    ("knowledge=hiden_mse",),
    ("knowledge=[none,logits_kl]",),
    ("knowledge=[logits_kl,wrong]", "seed=3"),
    ("knowledge.cls_pkd.weight=2",),
    ("knowledge.cls_pkd.weight=2", "train.lr=wrong"),
    ("train.lr=wrong",),
    ("train.lr=-1",),
    ("train.lr=null",),
    ("train.lr=???",),
    ("train.lr",),
    ("train.lr=1e-3,1e-4",),
    ("trian.lr=1",),
    ("matching=[skip,last]", LAYERED),
    ("train.lr.x=1",),
    ("train=fast",),
    ("train=3",),
    ("hard=3",),
    ("seed=${nothing}",),
    ("seed=${oc.env:KDLAB_NOT_THERE}",),
    ("teacher.checkpoint='${teacher.tokenizer}'", "teacher.tokenizer='${teacher.checkpoint}'"),
    ("threads=0",),
    ("tracker.wrong=1",),
    ("+tracker.wrong=1",),
    ("+seed=3",),
    ("~nothing",),
    ("++knowledge=logits_kl",),
    ("task.name=other",),
    ("task=table",),
    ("task=table", "task.path=nowhere", "task.text=[a]", "task.classes=2"),
    ("task.metrics=[f1,wrong]",),
    ("init=pretrained",),
    ("init=teacher_custom", *FINETUNED),
    ("init=teacher_custom", "init.layers=[1,9]", *FINETUNED),
    ("matching=custom", LAYERED),
    ("size=l3_h100_a7",),
    ("size=mini", "shape=deep", "shape.factor=0"),
    ("size=mini", "shape=standard", "shape.factor=2"),
    ("size=l3",),
    ("tokenizer=other",),
    ("teacher=none",),
    ("teacher.lr=-1",),
    ("teacher.overrides=['task=rte']",),
    ("teacher.overrides=['wrong=1']",),
    ("knowledge=logits_kl", "knowledge.logits_kl.temperature=0"),
    ("task.train_rows=1.5",),
    ("data=unlabelled", "knowledge=none"),
    ("data.fold=[3,3]",),
    ("data.fold=[0,1]",),
    ("train.stop=0",),
    ("teacher.stop=1.1",),
    ("teacher.folds=1",),
    ("teacher.folds=3", "data.fold=[0,3]"),
    ("teacher.assistants=[nope]",),
    ("teacher.assistants=[l3_h64_a4]", "teacher.assistant_overrides=['task=rte']"),
    ("teacher.assistants=[l3_h64_a4]", "teacher.assistant_overrides=['teacher=none']"),
    ("teacher.assistants=[l3_h64_a4]", "teacher.assistant_overrides=['wrong=1']"),
    ("init=run",),
    ("init=run", "init.run=[]"),
    ("init=run", "init.run=['wrong=1']"),
    ("init=run", "init.run=['protocol=pkd_legacy']"),
    ("init=run", "init.run=['task=rte']"),
    ("+init.head=keep",),
    ("+init.run=['knowledge=none']",),
]
MISFITS = [  # each right by itself: a study leaves the run out
    ("init=teacher_first", "size=l2_h32_a2", "init.weights=finetuned"),
    ("matching=none", LAYERED),
    ("knowledge=value_relation", "knowledge.value_relation.relation_heads=5"),
    ("teacher.folds=3", "init=teacher_first", *FINETUNED),
    ("init=run", "init.run=['size=l3_h64_a4']"),
    ("knowledge=logits_dist",),
]


NUMBERS = [
    "0", "-0", "7", "-12", "007", "1_000", "+3", "1.5", "-0.25", ".5", "1.", "1e3", "1e-3",
    "-2.5e-05", "1E5", "1e+3", "1e", "0x1", "inf", "nan", "1.2.3",
]  # fmt: skip


@cache
def told(*overrides: str):
    """What Hydra composes; each teacher once."""
    with files_unchanged(KEPT):
        return compose_many._by_hydra(*overrides)


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


@pytest.mark.parametrize("overrides", WRONG, ids=" ".join)
def test_a_wrong_page_is_left_to_hydra_and_refused_alike(overrides):
    assert assembled(*overrides) is None
    assert refusal(lambda: list(compose_each([overrides]))) == refusal(lambda: told(*overrides))


@pytest.mark.parametrize("overrides", MISFITS, ids=" ".join)
def test_options_that_do_not_go_together_are_refused_without_hydra(overrides):
    found = assembled(*overrides)
    assert isinstance(found, NotApplicable)
    assert str(found) == refusal(lambda: told(*overrides))


def test_many_pages_give_the_runs_of_each_in_order():
    pages = [*OPTIONS[::4], *VALUES[::2], *HYDRAS[::2]]
    assert len(pages) > 2 * compose_many.CHECKS
    for run, overrides in zip(compose_each(pages), pages, strict=True):
        assert same(run, told(*overrides))


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("key", ["seed", "train.lr", "train", "a.name", "train.1", "knowledge.x.y"])
def test_numbers_are_read_as_hydra_reads_them(key, value):
    with files_unchanged(KEPT):
        try:
            expected = compose_many._parsed_by_hydra(f"{key}={value}")
        except compose_many._HydraOnly:
            with pytest.raises(compose_many._HydraOnly):
                compose_many._parsed(f"{key}={value}")
        else:
            assert repr(compose_many._parsed(f"{key}={value}")) == repr(expected)


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
    for found, page in zip(compose_each(pages), pages, strict=True):
        if isinstance(found, NotApplicable):
            assert str(found) == refusal(lambda page=page: compose(*page))
            assert isinstance(assembled(*page), NotApplicable)
        else:
            assert same(found, told(*page))
    assert [isinstance(found, NotApplicable) for found in compose_each(pages)] == 3 * [
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
        for seed in range(11)
        for metrics in ((), ("task.metrics=[f1,accuracy]",))
    ]
    write([0, 1])
    before = list(compose_each(pages))
    assert before[1].task.select_by == ["f1", "accuracy"]
    write([0, 1, 1])
    after = list(compose_each(pages))
    assert after == [compose(*page) for page in pages]
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
    for own in (
        ("train=last",),
        ("train=last", "matching=first", "train.lr=1"),
        ("train=everywhere",),
        ("train=everywhere", "size=l4_h64_a4", "matching=last"),
    ):
        with files_unchanged({}):
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

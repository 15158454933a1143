"""What is wrong is refused in one line that names it."""

import pytest

from kdlab.config.compose import compose
from kdlab.errors import BadInput

# What is wrong, and what the one line must name.
BAD = [
    (["foo=1"], "foo: unknown key"),
    (["train.foo=1"], "train.foo: unknown key"),
    (["+train.foo=1"], "train.foo: unknown key"),
    (["size=foo"], "size=foo: no such option; allowed: base, large"),
    (["task=nope"], "task=nope: no such option; allowed: cola"),
    (["recipe=[kd,rkd]"], "recipe=[kd,rkd]: one option; only knowledge takes several"),
    (["knowledge=[logits_kl,nope]"], "knowledge=nope: no such option; did you mean none?"),
    (["seed=-1"], "seed=-1"),
    (["seed=abc"], "seed='abc'"),
    (["seed=1.5"], "seed=1.5"),
    (["train.lr=nan"], "train.lr=nan"),
    (["train.lr=0"], "train.lr=0"),
    (["train.lr=abc"], "train.lr='abc'"),
    (["train.epochs=0"], "train.epochs=0"),
    (["train.batch_size=0"], "train.batch_size=0"),
    (["train.precision=fp16"], "train.precision='fp16'"),
    (["data.rows=0"], "data.rows=0"),
    (["threads=0"], "threads=0"),
    (["knowledge=hidden_mse", "matching=none"], "knowledge.hidden_mse compares layers"),
    (["knowledge=hidden_mse", "size=l6_h64_a4"], "6 student layers are more than the teacher's 4"),
    (["size=l2_h64_a5"], "5 heads do not divide the width 64"),
    (["knowledge=logits_kl", "knowledge.cls_pkd.weight=5"], "cls_pkd is not selected"),
    (
        ["knowledge=hidden_mse", "knowledge.hidden_mse.projection_lr=0.1"],
        "a plus adds it: +knowledge.hidden_mse.projection_lr=...",
    ),
    (
        ["knowledge=logits_kl", "knowledge.logits_kl.schedules.weight.end=0.1"],
        "a plus adds it: +schedule@knowledge.logits_kl.schedules.NUMBER=...",
    ),
    (["matching.mix=features"], "matching.mix: not in the option's file; a plus adds it"),
    (["init=run", "init.run=[knowledge=none]"], "init.run=[knowledge=none]: no viable"),
    (["knowledge=logits_kl", "+knowledge.cls_pkd.weight=5"], "~knowledge.cls_pkd"),
    (["knowledge=[none,cls_pkd]"], "none cannot be combined with cls_pkd"),
    (["knowledge=[logits,logits_kl]"], "logits_kl is selected twice"),
    (["knowledge.logits.weight=0"], "knowledge.logits_kl.weight=0"),
    (["knowledge=logits_kl", "knowledge.logits_kl.temperature=abc"], "temperature='abc'"),
    (["knowledge=logits_kl", "knowledge.logits_kl.temperature=0"], "temperature=0"),
    (["knowledge=logits_kl", "+knowledge.logits_kl.foo=0"], "knowledge.logits_kl.foo: unknown key"),
    (["knowledge=value_relation", "knowledge.value_relation.relation_heads=7"], "relation_heads=7"),
    (["knowledge=attention_kl", "size=l2_h64_a2"], "unequal heads"),
    (
        ["knowledge=hidden_mse", "knowledge.hidden_mse.projection=none", "size=tiny"],
        "unequal width",
    ),
    (["matching=custom", "matching.pairs=[[1,9]]", "knowledge=hidden_mse"], "pair [1, 9]"),
    (["matching=custom"], "matching.pairs: must be given"),
    (["teacher=none"], "teacher=none"),
    (["init=teacher_first"], "no pretrained weights; use init.weights=finetuned"),
    (["init=teacher_first", "init.weights=finetuned", "size=tiny"], "unequal hidden"),
    (["init=pretrained"], "init.checkpoint: must be given"),
    (["init=pretrained", "init.checkpoint=bert-base-uncased"], "pinned as name@commit"),
    (["data=unlabelled", "knowledge=none"], "rows without a label teach nothing"),
    (["data=unlabelled", "data.extra_split=test"], "names no test split"),
    (["hard.weight=0", "knowledge=none"], "nothing to train on"),
    (["task.metrics=[bleu]"], "no metric 'bleu'; known: accuracy"),
    (["task.classes=1"], "does not fit task.classes=1"),
    (["task=table"], "task.path: must be given"),
    (["tracker.foo=1"], "tracker.foo: unknown key"),
    (["+knowledge@knowledge.hard=hidden_mse"], "hard names something else already"),
    (["knowledge=logits_mse", "knowledge.logits_mse.name=x"], "its file's to say"),
    (["knowledge=logits_mse", "knowledge.logits_mse._target_=kdlab.x"], "its file's to say"),
    (["+task.report.select=validation"], "task.report.select"),
    (["teacher.overrides=['init=random','protocol=pkd_legacy']"], "the student's"),
    (["teacher.size=l2_h64_a5"], "teacher=scratch: size: 5 heads"),
    (["init.weights=pretrained"], "init.weights=pretrained: init=random takes none"),
    (["init=teacher_first", "init.weights=none"], "takes finetuned, pretrained"),
    (["init=teacher_first", "+init.checkpoint=x"], "init=teacher_first reads none"),
    (["knowledge=value_relation", "+knowledge.value_relation.projection=auto"], "hidden states"),
    (["task.classes=3", "task.metrics=[f1]", "task.select_by=[f1]"], "f1 does not fit"),
    (["tokenizer=elsewhere"], "a student reads with its teacher's tokenizer"),
    (["seed=9007199254740993"], "seed=9007199254740993"),
    (["data.fold=[3,3]"], "data.fold=[3, 3]: fold k of K"),
    (["train.stop=0"], "train.stop=0: input should be greater than 0"),
    (["teacher.folds=1"], "teacher.folds=1: input should be greater than or equal to 2"),
    (["teacher.folds=3", "data.fold=[0,3]"], "leaves out data.fold already"),
    (
        ["teacher.folds=3", "init=teacher_first", "init.weights=finetuned", "size=l2_h64_a4"],
        "needs one teacher, not one a fold",
    ),
    (["teacher.assistants=[nope]"], "teacher=scratch: size=nope: no such option"),
    (
        ["teacher.assistants=[l3_h64_a4]", "teacher.assistant_overrides=['size=tiny']"],
        "teacher.assistant_overrides: size=tiny: the chain says it",
    ),
    (
        ["teacher.assistants=[l3_h64_a4]", "teacher.assistant_overrides=['data.fold=[0,2]']"],
        "teacher.assistant_overrides: data.fold: it is what the student leaves out",
    ),
    (
        ["data.fold=[0,2]", "init=run", "init.run=['task=synthetic','knowledge=none']"],
        "init.run: it trains on the fold that data.fold leaves out",
    ),
    (["init=run"], "init.run: must be given"),
    (["init=run", "init.run=[]"], "init.run must be given, as a list of overrides"),
    (["init=run", "init.run=[3]"], "init.run.0=3: input should be a valid string"),
    (["init=run", "init.run='seed=3'"], "init.run='seed=3': input should be a valid list"),
    (["init=run", "init.run=['train.lr=0']"], "init.run: train.lr=0"),
    (
        ["init=run", "init.run=['size=l3_h64_a4']"],
        "init=run: the student has 2 layers, the checkpoint 3",
    ),
    (["init=run", "init.run=['protocol=pkd_legacy']"], "it may see select"),
    (["+init.head=keep"], "init=random has no earlier run; use init=run"),
    (
        ["init=run", "init.run=['task=synthetic','task.words=8']"],
        "init.run: it reads other tokens than the student",
    ),
]


@pytest.mark.parametrize(("overrides", "names"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_clear_line(overrides, names):
    with pytest.raises(BadInput) as error:
        compose(*overrides)
    assert names in str(error.value)
    assert "\n" not in str(error.value)

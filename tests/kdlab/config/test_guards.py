"""Combinations that cannot be: one line that names the key, and whether a study goes on without."""

import pytest
from at_once import python

import kdlab
from kdlab.config.compose import compose
from kdlab.config.option_files import option, options
from kdlab.errors import BadInput, NotApplicable

REGRESSION = ["task.classes=1", "task.metrics=[pearson]", "task.select_by=[pearson]"]
HIDDEN = "knowledge=hidden_mse"
FINETUNED = "init.weights=finetuned"
NARROW, WIDE, DEEP = "size=l2_h32_a2", "size=l2_h128_a8", "size=l6_h64_a4"  # teacher: l4_h64_a4

# Options that are right by themselves.
MISFITS = [
    # knowledge and task
    ([*REGRESSION, "knowledge=logits_kl"], "knowledge.logits_kl: logits_kl cannot apply to a regr"),
    ([*REGRESSION, "knowledge=layer_logits_kl"], "layer_logits_kl cannot apply to a regression"),
    *[
        ([f"knowledge={name}"], f"knowledge.{name}: {name} cannot apply to a task of 2 classes")
        for name in options("knowledge")
        if option("knowledge", name).get("min_classes", 1) > 2
    ],
    # knowledge and dimensions
    (["knowledge=attention_kl", "size=l2_h64_a2"], "knowledge.attention_kl: unequal heads"),
    ([HIDDEN, NARROW, "knowledge.hidden_mse.projection=none"], "knowledge.hidden_mse: unequal wi"),
    (["knowledge=ckd_layer_triple", "size=l1_h64_a4"], "knowledge.ckd_layer_triple: relations"),
    # knowledge and matching
    ([HIDDEN, "matching=none"], "matching=none: knowledge.hidden_mse compares layers and needs"),
    (["knowledge=ckd_layer_pair", "matching=emd"], "matching=emd: knowledge.ckd_layer_pair comp"),
    (["knowledge=ckd_layer_pair", "+matching.mix=features"], "matching=skip: knowledge.ckd_layer"),
    (["knowledge=attention_kl", "matching=cka"], "knowledge.attention_kl: this matching looks at"),
    # matching and depth
    *[
        ([HIDDEN, DEEP, f"matching={name}"], f"matching={name}: 6 student layers are more than")
        for name in ("first", "last", "skip", "random", "uniform_consecutive", "cka")
    ],
    ([HIDDEN, DEEP, "matching=rail_kd"], "matching=rail_kd: 5 student layers are more than"),
    ([HIDDEN, "matching=last_k", "matching.k=3"], "matching=last_k: k=3 is more than the layers"),
    ([HIDDEN, "matching=last_but_two"], "matching=last_but_two: needs three layers on both"),
    ([HIDDEN, "size=l1_h64_a4", "matching=pkd_skip"], "matching=pkd_skip: a one-layer student"),
    # init and dimensions
    (["init=teacher_first", FINETUNED, NARROW], "init=teacher_first: unequal hidden"),
    (["init=teacher_first", FINETUNED, DEEP], "init=teacher_first: 6 student layers are more"),
    (["init=teacher_slice", FINETUNED, WIDE], "init=teacher_slice: larger hidden"),
    (["init=teacher_first", FINETUNED, "family=roberta"], "init=teacher_first: unequal family"),
    (["init=run", "init.run=['size=l3_h64_a4']"], "init=run: the student has 2 layers"),
    # what learns
    ([HIDDEN, "train.freeze_encoder=true"], "knowledge.hidden_mse: it teaches the encoder, which"),
    (["knowledge=layer_logits_kl", "train.freeze_encoder=true"], "it teaches the encoder"),
    # shape, data, teacher
    (["size=tiny", "shape=wide"], "shape=wide: l2_h128 has none: l1_h192, the nearest, has 12.2"),
    (["data=unlabelled", "data.extra_split=test"], "data.extra_split=test: task synthetic names"),
    (["teacher.folds=3", "init=teacher_first", FINETUNED], "teacher.folds: init.weights=finetune"),
]  # fmt: skip
ON_TEXT = [
    (["data=unlabelled"], "data.transfer=unlabelled: text has no labels"),
    (["teacher.folds=3"], "teacher.folds: a text is its own labels"),
    (["knowledge=layer_logits_kl"], "knowledge.layer_logits_kl.projection=classes: a text has no"),
]
# What is wrong whatever the rest of the run is.
MISTAKES = [
    (["knowledge=hidden_cka", "knowledge.hidden_cka.k=3"], "knowledge.hidden_cka.k: unknown key"),
    ([HIDDEN, "+knowledge.cls_pkd.weight=3"], "knowledge.cls_pkd: a knob for a term that is not"),
    (["+knowledge@knowledge.hard=hidden_mse"], "knowledge: hard names something else already"),
    (["knowledge=logits_kl", "+matching@knowledge.logits_kl.matching=last"],
     "knowledge.logits_kl.matching: logits_kl compares no layers"),
    (["knowledge=value_relation", "+knowledge.value_relation.projection=auto"],
     "knowledge.value_relation: projection: auto is for hidden states"),
    (["knowledge=value_relation", "+knowledge.value_relation.projection_shared=true"],
     "knowledge.value_relation.projection_shared, projection_lr: value_relation has projection"),
    (["knowledge=ckd_word_pair", "+knowledge.ckd_word_pair.projection=classes"],
     "knowledge.ckd_word_pair"),
    (["knowledge=ckd_layer_pair", "+knowledge.ckd_layer_pair.projection=always"],
     "knowledge.ckd_layer_pair.projection=always: ckd_layer_pair compares all matched layers"),
    ([HIDDEN, "knowledge.hidden_mse.projection=classes"], "projection: classes is for one state"),
    (["knowledge=logits_kl", "+knowledge.logits_kl.projection=classes"],
     "knowledge.logits_kl.projection=classes: for layers that are compared one by one"),
    (["knowledge=logits_mse", "+schedule@knowledge.logits_mse.schedules.temperature=growth"],
     "knowledge.logits_mse.schedules.temperature: no such number; known: weight"),
    (["knowledge=logits_kl", "+schedule@knowledge.logits_kl.schedules.temperature=growth"],
     "knowledge.logits_kl.temperature at 0% of training=0.0"),
    ([HIDDEN, "matching=emd", "matching.mass=pairs"],
     "matching=emd: it weighs its pairs; matching.mass: one, or"),
    ([HIDDEN, "++matching.weigh.steps=1"], "matching=skip: it does not weigh: matching.weigh has"),
    ([HIDDEN, "matching=custom", "matching.pairs=[[1,9]]"], "matching=custom: pair [1, 9]"),
    (["init=teacher_custom", FINETUNED, "init.layers=[1,9]"], "init=teacher_custom: layers=[1, 9]"),
    (["init=random", "init.weights=finetuned"], "init.weights=finetuned: init=random takes none"),
    (["size=tiny", "shape=wyde"], "shape=wyde: no such option; did you mean wide or wider?"),
    (["data=unlabelled", "knowledge=none"], "data.transfer=unlabelled: without knowledge"),
    (["teacher=none"], "teacher=none: knowledge and finetuned inits need a teacher"),
]  # fmt: skip


def refused(*overrides: str) -> BadInput:
    with pytest.raises(BadInput) as error:
        compose(*overrides)
    assert "\n" not in str(error.value)
    return error.value


@pytest.mark.parametrize(("overrides", "line"), MISFITS, ids=str)
def test_options_that_do_not_go_together_are_left_out_of_a_study(overrides, line):
    found = refused(*overrides)
    assert line in str(found)
    assert isinstance(found, NotApplicable)


def test_on_regression_logits_are_compared_by_their_squares():
    assert [term.name for term in compose(*REGRESSION, "knowledge=logits").terms] == ["logits_mse"]


@pytest.mark.parametrize(("overrides", "line"), MISTAKES, ids=str)
def test_a_mistake_is_none_that_a_study_may_go_on_without(overrides, line):
    found = refused(*overrides)
    assert line in str(found)
    assert not isinstance(found, NotApplicable)


@pytest.mark.parametrize(("overrides", "line"), ON_TEXT, ids=str)
def test_what_does_not_fit_text_is_left_out_of_a_study(overrides, line, tmp_path):
    (tmp_path / "text.txt").write_text("a few words")
    found = refused("task=corpus", f"task.path={tmp_path}/text.txt", *overrides)
    assert line in str(found)
    assert isinstance(found, NotApplicable)


def test_the_command_line_refuses_what_does_not_go_together(tmp_path):
    found = python("kdlab", *MISFITS[0][0], cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("kdlab: knowledge.logits_kl: logits_kl cannot apply")
    assert len(found.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory) -> list[str]:
    """A teacher of three classes, as a finished checkpoint."""
    root = tmp_path_factory.mktemp("finished")
    three = compose(*small, "threads=1", "knowledge=none", "task.classes=3", "size=l3_h32_a2")
    kdlab.distill(three, root=str(root), threads=1, save=True)
    base = [text for text in small if not text.startswith("teacher.")]
    folder = f"teacher.checkpoint={root}/models/{three.uid}"
    return [*base, "threads=1", "teacher=checkpoint", folder]


def test_a_finished_teacher_of_other_classes_is_refused_and_may_still_be_a_start(
    finished, tmp_path
):
    found = refused(*finished, "knowledge=logits_kl")
    assert isinstance(found, NotApplicable)
    assert "3 outputs, and task.classes=2 in task=synthetic" in str(found)
    start = compose(*finished, "knowledge=none", "init=teacher_first", FINETUNED)
    assert kdlab.distill(start, root=str(tmp_path), threads=1).result["status"] == "done"


@pytest.mark.parametrize("init", ["teacher_slice", "teacher_weight_selection"])
def test_an_electra_student_is_narrower_than_its_source(init, small, tmp_path):
    # Its embeddings are as wide as the model, on both sides.
    own = ("teacher.family=electra", "size=l2_h16_a1", f"init={init}", FINETUNED)
    run = compose(*small, *own, "knowledge=none", "threads=1", "train.epochs=1")
    assert kdlab.distill(run, root=str(tmp_path), threads=1).result["status"] == "done"

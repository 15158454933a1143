"""The arms of a block, those without knowledge among them, which come by themselves."""

import pytest
from composed import compose
from study_texts import SIZES, TEACHERS

from kdlab.errors import BadInput
from sweeps.study import cells as expand
from sweeps.study import overrides
from sweeps.study.outline import outline

KNOWLEDGE = """
question: Which?
seeds: [1]
blocks:
  - table: knobs
    grid: {train.lr: [1e-3, 1e-4], knowledge.logits_kl.temperature: [1, 2, 4]}
    cases:
      logits: [knowledge=logits_kl, +matching@knowledge.logits_kl.matching=last]
      late: [+knowledge@knowledge.late=cls_pkd]
"""
INIT = """
question: Which?
seeds: [1]
teacher: [init=random, train.batch_size=16]
blocks:
  - table: init
    base: [task.train_rows=400, teacher.size=l3_h64_a4]
    zip: {init: [random, teacher_first], init.weights: [none, finetuned]}
    cases:
      logits: [knowledge=logits_kl]
      hidden: [knowledge=hidden_mse, matching=last]
"""
UNLABELLED = """
question: Which?
base: [data.rows=100]
seeds: [1]
blocks:
  - table: data
    cases:
      labelled: [knowledge=logits_kl]
      unlabelled: [knowledge=logits_kl, hard.weight=0, data=unlabelled, data.extra_rows=50]
      by key: [knowledge=logits_kl, data.transfer=unlabelled, data.rows=100, data.extra_split=fit]
      more: [knowledge=logits_kl, data.rows=200]
"""


def rows(cells) -> list[tuple[str, str]]:
    return [(cell.row, cell.control) for cell in cells]


def test_one_arm_without_knowledge_serves_all_cases_that_share_the_rest(read):
    cells = list(expand.expand(outline(read(SIZES.replace("size=l2_h64_a4", "size=l1_h32_a2")))))
    assert rows(cells) == [(row, "none") for row in ("none", "small", "small hidden", "large")]
    assert cells[0].overrides == ("task=synthetic", "size=l1_h32_a2", "knowledge=none", "seed=1")


def test_sizes_have_an_arm_without_knowledge_each(read):
    cells = list(expand.expand(outline(read(SIZES))))
    assert rows(cells) == [
        ("none, small", "none, small"),
        ("small", "none, small"),
        ("small hidden", "none, small"),
        ("none, large", "none, large"),
        ("large", "none, large"),
    ]
    assert cells[3].overrides == ("task=synthetic", "size=l2_h64_a4", "knowledge=none", "seed=1")


def test_a_sweep_over_knowledge_has_one_arm_without_it(read):
    cells = list(expand.expand(outline(read(KNOWLEDGE))))
    assert len(cells) == 2 * (1 + 2 * 3)
    assert len(set(cells)) == len(cells)
    none = [cell for cell in cells if cell.row == cell.control]
    assert [cell.row for cell in none] == ["none, train.lr=0.001", "none, train.lr=0.0001"]
    assert none[0].overrides == ("train.lr=0.001", "knowledge=none", "seed=1")
    assert rows(cells)[1] == (
        "logits, train.lr=0.001, knowledge.logits_kl.temperature=1",
        "none, train.lr=0.001",
    )


def test_zip_goes_together_and_is_crossed_with_the_grid(read):
    text = INIT.replace("    cases:", "    grid: {task.words: [8, 9]}\n    cases:")
    cells = list(expand.expand(outline(read(text))))
    logits = [cell.row for cell in cells if cell.row.startswith("logits")]
    assert logits == [
        "logits, task.words=8, init=random, init.weights=none",
        "logits, task.words=8, init=teacher_first, init.weights=finetuned",
        "logits, task.words=9, init=random, init.weights=none",
        "logits, task.words=9, init=teacher_first, init.weights=finetuned",
    ]
    assert len(cells) == 12


def test_an_arm_without_knowledge_has_the_labelled_rows(read):
    cells = list(expand.expand(outline(read(UNLABELLED))))
    assert rows(cells) == [
        ("none, labelled", "none, labelled"),
        ("labelled", "none, labelled"),
        ("unlabelled", "none, labelled"),
        ("by key", "none, labelled"),
        ("none, more", "none, more"),
        ("more", "none, more"),
    ]
    assert cells[0].overrides == ("data.rows=100", "knowledge=none", "seed=1")
    assert cells[4].overrides == ("data.rows=100", "data.rows=200", "knowledge=none", "seed=1")


def test_a_case_without_knowledge_is_the_arm_of_all_that_share_its_rest(read):
    text = SIZES + "      plain: [size=l2_h64_a4, knowledge=none]\n"
    assert rows(expand.expand(outline(read(text)))) == [
        ("none, small", "none, small"),
        ("small", "none, small"),
        ("small hidden", "none, small"),
        ("large", "plain"),
        ("plain", "plain"),
    ]


def test_a_case_without_knowledge_ignores_a_sweep_over_knowledge(read):
    text = KNOWLEDGE.replace("      late", "      plain: [knowledge=none]\n      late")
    cells = list(expand.expand(outline(read(text))))
    plain = [cell for cell in cells if cell.row.startswith("plain")]
    assert [cell.row for cell in plain] == ["plain, train.lr=0.001", "plain, train.lr=0.0001"]
    assert {cell.control for cell in cells} == {cell.row for cell in plain}
    assert len(cells) == 2 * (1 + 2 * 3)


def test_knowledge_may_be_the_grid(read):
    text = """
question: Which?
seeds: [1]
blocks:
  - table: grid
    grid: {knowledge: [hidden_mse, none], matching: [first, last]}
    cases: {arm: []}
"""
    assert rows(expand.expand(outline(read(text)))) == [
        ("arm, knowledge=hidden_mse, matching=first", "arm, knowledge=none"),
        ("arm, knowledge=hidden_mse, matching=last", "arm, knowledge=none"),
        ("arm, knowledge=none", "arm, knowledge=none"),
    ]


def test_a_control_of_the_block_is_everybodys(read):
    text = SIZES.replace("    cases:", "    control: small\n    cases:")
    assert {cell.control for cell in expand.expand(outline(read(text)))} == {"small"}


def test_skip_rules_reach_added_arms(read):
    text = SIZES + "skip: [{name: slow, when: [size=l2_h64_a4, knowledge=none], reason: cost}]\n"
    excluded = [cell.row for cell in expand.expand(outline(read(text))) if cell.excluded == "slow"]
    assert excluded == ["none, large"]


def test_a_skip_rule_may_ask_for_a_seed(read):
    text = SIZES.replace("seeds: [1]", "seeds: [1, 2]")
    text += "skip: [{name: odd, when: [seed=2, size=l2_h64_a4], reason: because}]\n"
    excluded = [
        (cell.row, cell.seed) for cell in expand.expand(outline(read(text))) if cell.excluded
    ]
    assert excluded == [("none, large", 2), ("large", 2)]


def test_overrides_for_every_run_reach_added_arms_less_their_knowledge(read):
    extra = ("train.epochs=1", "knowledge.logits_kl.temperature=2", "hard.weight=0.1")
    none, logits, *_ = expand.expand(outline(read(SIZES), extra))
    assert none.overrides[-3:] == ("knowledge=none", "seed=1", "train.epochs=1")
    assert logits.overrides[-4:] == ("seed=1", *extra)


@pytest.mark.parametrize("text", [SIZES, KNOWLEDGE, INIT, UNLABELLED])
@pytest.mark.parametrize("teachers", TEACHERS)
def test_every_cell_has_its_arm_without_knowledge(read, text, teachers):
    loaded = read(f"{text}\n{TEACHERS[teachers]}\n".replace("seeds: [1]", "seeds: [1, 2]"))
    cells = list(expand.expand(outline(loaded)))
    place = {(c.table, c.row, c.seed, c.teacher_seed): c for c in cells}
    assert len(place) == len(cells)
    with_knowledge = [c for c in cells if not overrides.has_no_knowledge(c.overrides)]
    assert len(with_knowledge) > len(cells) / 2
    for c in with_knowledge:
        twin = place[c.table, c.control, c.seed, c.teacher_seed]
        assert overrides.has_no_knowledge(twin.overrides)
        assert overrides.shared_with_control(twin.overrides) == overrides.shared_with_control(
            c.overrides
        )
        assert twin.control == twin.row


@pytest.mark.parametrize("text", [SIZES, INIT, UNLABELLED])
def test_runs_and_their_controls_share_all_but_knowledge(read, text):
    cells = list(expand.expand(outline(read(text))))
    runs = {cell.row: compose(*cell.overrides) for cell in cells}
    for cell in cells:
        ours, theirs = runs[cell.row], runs[cell.control]
        assert theirs.terms == ()
        assert theirs.data.transfer == "same"
        for what in ("student", "init", "train", "protocol", "task", "seed"):
            assert getattr(ours, what) == getattr(theirs, what)
        assert ours.data.rows == theirs.data.rows
        if theirs.teacher:
            assert ours.teacher.uid == theirs.teacher.uid


def test_a_teacher_is_a_list_of_overrides(read):
    parent = "teacher.overrides=['init=random','train.batch_size=16']"
    for cell in expand.expand(outline(read(INIT))):
        assert parent in cell.overrides
        if not cell.row.startswith("none"):
            teacher = compose(*cell.overrides).teacher
            assert teacher.train.batch_size == 16


@pytest.mark.parametrize(
    "text", ["a='b'", r"a=b\c", r"a=b\'c", "a='b\\", r"a='b\\'", 'a="b, [c]"', "a=${seed}"]
)
def test_a_teachers_override_survives_hydras_quotes(text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (parsed,) = OverridesParser.create().parse_overrides([overrides.of_teacher([text, "b=1"])])
    assert parsed.value() == [text, "b=1"]


def test_an_added_arm_takes_no_cases_name(read):
    with pytest.raises(BadInput, match="sizes: cases: 'none, small' is the name of the arm"):
        list(expand.expand(outline(read(SIZES.replace("small hidden", "'none, small'")))))

"""Cells: their order, seeds, teachers' seeds, trials and winners."""

import pytest
from composed import compose
from study_texts import SIZES, TEACHERS

from kdlab.errors import BadInput
from sweeps.study import cells as expand
from sweeps.study import overrides
from sweeps.study.cells import Winner
from sweeps.study.outline import outline

TUNED = """
question: Which?
base: [task=synthetic]
blocks:
  - table: tuned
    grid: {size: [l1_h32_a2, l2_h32_a2]}
    cases:
      logits: [knowledge=logits_kl]
    tune:
      over: {train.lr: [1e-3, 1e-4], train.warmup: [0.0, 0.1]}
      seeds: [0]
    confirm: {seeds: [1, 2]}
"""


def tuned(text: str, **changes: str) -> str:
    """TUNED with lines of its tune section changed or added."""
    for key, value in changes.items():
        text = text.replace("      seeds: [0]", f"      {key}: {value}\n      seeds: [0]")
    return text


WON = Winner(("train.lr=0.001", "train.warmup=0.1"), {}, "")


def seeds(cells) -> list[tuple[int, int | None]]:
    return list(dict.fromkeys((cell.seed, cell.teacher_seed) for cell in cells))


def test_teachers_are_one_paired_or_crossed(read):
    text = SIZES.replace("seeds: [1]", "seeds: [1, 2]")
    assert seeds(expand.expand(outline(read(text)))) == [(1, None), (2, None)]
    cells = list(expand.expand(outline(read(text + "teachers: paired\n"))))
    assert seeds(cells) == [(1, 1), (2, 2)]
    assert cells[-1].overrides[-2:] == ("teacher.seed=2", "seed=2")
    assert seeds(
        expand.expand(outline(read(text + "teachers: crossed\nteacher_seeds: [3, 4]\n")))
    ) == [
        (1, 3),
        (2, 3),
        (1, 4),
        (2, 4),
    ]
    own = text.replace("    cases:", "    teachers: crossed\n    teacher_seeds: [7]\n    cases:")
    assert seeds(expand.expand(outline(read(own)))) == [(1, 7), (2, 7)]


def test_an_arm_that_uses_no_teacher_repeats_the_same_run(read):
    cells = list(expand.expand(outline(read(SIZES + "teachers: crossed\nteacher_seeds: [1, 2]\n"))))
    uids = {cell: compose(*cell.overrides).uid for cell in cells}
    assert len({uid for cell, uid in uids.items() if cell.row == "none, small"}) == 1
    assert len({uid for cell, uid in uids.items() if cell.row == "small"}) == 2


def test_trials_come_before_winners_and_first_seeds_before_second(read):
    plain = TUNED + "  - {table: plain, seeds: [5, 6], cases: {logits: [knowledge=logits_kl]}}\n"
    winners = {"tuned: case=logits, size=l1_h32_a2": WON}
    cells = list(expand.expand(outline(read(plain)), winners=winners))
    assert [(c.stage, c.table, c.seed) for c in cells] == [
        *[("tune", "tuned", 0)] * 16,
        ("confirm", "tuned", 1),
        *[("", "plain", 5)] * 2,
        ("confirm", "tuned", 2),
        *[("", "plain", 6)] * 2,
    ]
    assert [c.trial for c in cells[:4]] == [
        "train.lr=0.001 train.warmup=0.0",
        "train.lr=0.001 train.warmup=0.1",
        "train.lr=0.0001 train.warmup=0.0",
        "train.lr=0.0001 train.warmup=0.1",
    ]
    assert {c.trials for c in cells} == {4, 0}
    confirmed = cells[16]
    assert confirmed.overrides == (
        "task=synthetic",
        "size=l1_h32_a2",
        "knowledge=logits_kl",
        "train.lr=0.001",
        "train.warmup=0.1",
        "seed=1",
    )
    assert (confirmed.trial, confirmed.control) == (
        "train.lr=0.001 train.warmup=0.1",
        "none, size=l1_h32_a2",
    )


@pytest.mark.parametrize("teachers", TEACHERS)
def test_every_trial_and_winner_has_its_arm_without_knowledge(read, teachers):
    loaded = read(f"{TUNED}\n{TEACHERS[teachers]}\n")
    other = Winner(("train.lr=0.0001", "train.warmup=0.0"), {}, "")
    winners = {
        f"tuned: case={case}, size={size}": winner
        for size in ("l1_h32_a2", "l2_h32_a2")
        for case, winner in (("none", WON), ("logits", other))
    }
    cells = list(expand.expand(outline(loaded), winners=winners))
    place = {
        (c.row, c.seed, c.teacher_seed, c.trial if c.stage == "tune" else ""): c for c in cells
    }
    assert len(place) == len(cells)
    for c in cells:
        trial = c.trial if c.stage == "tune" else ""
        twin = place[c.control, c.seed, c.teacher_seed, trial]
        tuned_keys = {"train.lr", "train.warmup"}
        rests = [
            {
                said
                for said in overrides.shared_with_control(x.overrides)
                if trial or said[0] not in tuned_keys
            }
            for x in (c, twin)
        ]
        assert overrides.has_no_knowledge(twin.overrides)
        assert rests[0] == rests[1]
        assert c.stage == twin.stage


def test_confirming_cells_that_wait_are_counted(read):
    loaded = read(TUNED)
    assert expand.count_open(outline(loaded)) == 4 * 2
    assert (
        expand.count_open(outline(loaded), winners={"tuned: case=none, size=l1_h32_a2": WON})
        == 3 * 2
    )
    assert expand.count_open(outline(read(SIZES))) == 0


def test_a_winner_that_is_no_trial_any_more_is_refused(read):
    winners = {"tuned: case=none, size=l1_h32_a2": Winner(("train.lr=5.0",), {}, "")}
    with pytest.raises(BadInput, match="example: tuned: case=none, size=l1_h32_a2: the winner"):
        list(expand.expand(outline(read(TUNED)), winners=winners))


def groups(cells) -> list[str]:
    return list(dict.fromkeys(cell.group for cell in cells))


def test_a_winner_is_chosen_for_what_per_says(read):
    assert groups(expand.expand(outline(read(TUNED)))) == [
        "tuned: case=none, size=l1_h32_a2",
        "tuned: case=logits, size=l1_h32_a2",
        "tuned: case=none, size=l2_h32_a2",
        "tuned: case=logits, size=l2_h32_a2",
    ]
    assert groups(expand.expand(outline(read(tuned(TUNED, per="[size]"))))) == [
        "tuned: size=l1_h32_a2",
        "tuned: size=l2_h32_a2",
    ]
    assert groups(expand.expand(outline(read(tuned(TUNED, per="[]"))))) == ["tuned"]
    blocks = TUNED + TUNED.partition("blocks:\n")[2].replace("logits", "more")
    assert groups(expand.expand(outline(read(tuned(blocks, per="[case]"))))) == [
        "tuned (block 1): case=none",
        "tuned (block 1): case=logits",
        "tuned (block 2): case=none",
        "tuned (block 2): case=more",
    ]


def test_unequal_numbers_of_trials_need_a_reason(read):
    text = tuned(TUNED, also="{logits: {knowledge.logits_kl.weight: [0.1, 1, 10]}}")
    with pytest.raises(BadInput) as error:
        list(expand.expand(outline(read(text))))
    assert str(error.value).startswith(
        "example: tuned: tune: unequal numbers of trials (none 4, logits 12): "
    )
    cells = list(expand.expand(outline(read(tuned(text, unequal="the weight is what we study")))))
    assert {(c.row[:4], c.trials) for c in cells} == {("none", 4), ("logi", 12)}
    assert {c.unequal for c in cells} == {"the weight is what we study"}
    assert cells[4].trial == "train.lr=0.001 train.warmup=0.0 knowledge.logits_kl.weight=0.1"
    cells = list(expand.expand(outline(read(tuned(text, unequal="no reason", trials="4")))))
    assert {c.trials for c in cells} == {4}
    assert {c.unequal for c in cells} == {""}


def test_trials_that_a_rule_leaves_out_count_as_unequal(read):
    rule = "skip: [{name: hot, when: [%s], reason: diverges}]\n"
    one = TUNED + rule % "knowledge=logits_kl, train.lr=0.001, size=l1_h32_a2"
    with pytest.raises(BadInput, match="none 4, logits 2 or 4"):
        list(expand.expand(outline(read(one))))
    arm = read(TUNED + rule % "knowledge=logits_kl, size=l1_h32_a2")
    assert {c.trials for c in expand.expand(outline(arm)) if not c.excluded} == {4}
    assert expand.count_open(outline(arm)) == 3 * 2


def test_tuning_seeds_are_not_crossed_with_teachers(read):
    cells = expand.expand(outline(read(TUNED + "teachers: crossed\nteacher_seeds: [8, 9]\n")))
    assert seeds(cells) == [(0, 0)]
    cells = list(
        expand.expand(
            outline(read(TUNED + "teachers: crossed\nteacher_seeds: [8, 9]\n")),
            winners={"tuned: case=none, size=l1_h32_a2": WON},
        )
    )
    assert seeds(cells) == [(0, 0), (1, 8), (2, 8), (1, 9), (2, 9)]

"""What arms try: every combination, or a balanced part in which all values have an equal share."""

from collections import Counter
from itertools import combinations
from math import prod

import pytest

from sweeps.study import cells, folders, reading
from sweeps.study.outline import outline
from sweeps.study.schema import Tune
from sweeps.study.trials import trials

RATES = [1e-5, 2e-5, 3e-5, 5e-5, 1e-4, 2e-4]
CASES = [f"case {n}" for n in range(12)]
GOLDEN = ["lr=1e-05 weight=1", "lr=0.0001 weight=1", "lr=0.0001 weight=2", "lr=0.001 weight=2"]
SIZES = [(6, 4), (4, 6), (3, 3, 3), (2, 5, 3), (6,), (1, 4, 2)]


def tuned(sizes, number, cases=CASES, **more) -> Tune:
    """So many trials of keys with so many values: the first for all cases, the others for each."""
    over, *others = ([f"{key}{value}" for value in range(n)] for key, n in enumerate(sizes))
    also = {case: {f"own{n}": values for n, values in enumerate(others)} for case in cases}
    return Tune(over={"shared": over}, also=also, trials=number, seeds=[0], **more)


def counts(found, place) -> Counter:
    return Counter(trial[place] for trial in found)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_value_of_every_key_is_tried_equally_often_and_no_point_twice(sizes):
    for number in range(1, prod(sizes) + 1):
        tune = tuned(sizes, number)
        drawn = [trials(tune, case) for case in CASES[:3]]
        for found in drawn:
            assert len(set(found)) == len(found) == number
            for place, size in enumerate(sizes):
                often = sorted(counts(found, place).values())
                assert often == sorted(-(-(number - n) // size) for n in range(min(size, number)))
        assert len({frozenset(counts(found, 0).items()) for found in drawn}) == 1


def test_cases_try_other_pairs_and_keep_theirs_when_others_change():
    found = {case: trials(tuned((6, 4), 6), case) for case in CASES}
    assert len(set(map(tuple, found.values()))) > 6
    fewer = tuned((6, 4), 6, cases=CASES[3:5])
    assert trials(fewer, CASES[4]) == found[CASES[4]]
    pairs = Counter(pair for trials in found.values() for pair in trials)
    assert len(pairs) > 20  # of 24: none is out of reach, as all but six were


def test_the_arm_without_knowledge_tries_the_values_that_all_others_do():
    tune = tuned((6, 4), 4)
    assert {frozenset(counts(trials(tune, case), 0)) for case in ("none", *CASES)} == {
        frozenset(overrides for (overrides,) in trials(tune, "none"))
    }


def test_trials_are_in_the_files_order_and_fixed_for_good():
    tune = Tune(
        over={"lr": [1e-5, 1e-4, 1e-3]}, also={"a": {"weight": [1, 2]}}, trials=4, seeds=[0]
    )
    assert [" ".join(trial) for trial in trials(tune, "a")] == GOLDEN
    whole = trials(tuned((6, 4), None), CASES[0])
    assert trials(tuned((6, 4), 24), CASES[0]) == whole
    assert len(whole) == 24
    for number in (5, 6, 13):
        found = trials(tuned((6, 4), number), CASES[0])
        assert found == [trial for trial in whole if trial in found]


@pytest.mark.parametrize(
    ("per", "is_one"), [(["size"], True), ([], True), (["case"], False), (None, False)]
)
def test_cases_that_share_a_winner_share_the_draw(per, is_one):
    draws = {tuple(trials(tuned((6, 4), 6, per=per), case)) for case in CASES}
    assert (len(draws) == 1) is is_one


def test_columns_of_a_key_are_drawn_apart_from_those_of_another():
    """Keys of equal size do not go in step: their values meet in other ways from case to case."""
    found = [trials(tuned((5, 5, 5), 5), case) for case in CASES]
    for one, other in combinations(range(3), 2):
        met = {frozenset((trial[one], trial[other]) for trial in drawn) for drawn in found}
        assert len(met) > 6


def test_many_keys_are_drawn_without_listing_their_combinations():
    tune = tuned([10] * 12, 20)
    assert len(set(trials(tune, CASES[0]))) == 20


TEXT = """
question: Which?
blocks:
  - table: t
    cases: {logits: [knowledge=logits_kl], hidden: [knowledge=hidden_mse]}
    tune:
      over: {train.lr: [1e-5, 2e-5, 3e-5, 5e-5, 1e-4, 2e-4]}
      also: &also
        logits: {hard.weight: [0.01, 0.1, 1, 10]}
        hidden: {hard.weight: [0.01, 0.1, 1, 10]}
      trials: 6
      seeds: [0]
    confirm: {seeds: [1]}
"""


def test_a_study_gives_every_arm_its_own_balanced_trials(read):
    arms: dict[str, list] = {}
    for cell in cells.expand(outline(read(TEXT))):
        arms.setdefault(cell.case, []).append(cell.tuned)
    assert {case: len(found) for case, found in arms.items()} == {
        "none": 6,
        "logits": 6,
        "hidden": 6,
    }
    rates = {f"train.lr={rate}": 1 for rate in RATES}
    assert {frozenset(counts(found, 0).items()) for found in arms.values()} == {
        frozenset(rates.items())
    }
    assert arms["logits"] != arms["hidden"]
    for case in ("logits", "hidden"):
        assert sorted(counts(arms[case], 1).values()) == [1, 1, 2, 2]


@pytest.mark.parametrize("path", sorted(folders.STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_arms_of_the_projects_studies_try_common_values_equally_often(path):
    for block in (loaded := reading.load(path.stem)).blocks:
        if block.tune:
            cases = {
                cell.case for cell in cells.expand(outline(loaded)) if cell.table == block.table
            }
            for place in range(len(block.tune.over)):
                tried = [counts(trials(block.tune, case), place) for case in cases]
                assert all(found == tried[0] for found in tried)
                assert max(tried[0].values()) - min(tried[0].values()) <= 1

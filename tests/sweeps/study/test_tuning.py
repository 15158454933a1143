"""Trials are scored on select, winners chosen, frozen and confirmed."""

import json
import math
from dataclasses import replace
from typing import get_args

import pytest
from composed import compose
from flips import flipped

from kdlab import distill
from kdlab.config.compose import execution
from kdlab.errors import BadInput
from kdlab.record import Record
from kdlab.storage.ledger import records
from sweeps.plan import cohorts
from sweeps.study import cells as expand
from sweeps.study import reading, schema, tuning
from sweeps.study.cells import Cell
from sweeps.study.outline import outline

TEXT = """
question: Which?
base: [task=synthetic]
blocks:
  - table: tuned
    grid: {task: [rte, mrpc]}
    cases:
      logits: [knowledge=logits_kl]
    tune:
      over: {train.lr: [1e-3, 1e-4, 1e-5]}
      seeds: [0, 7]
    confirm: {seeds: [1, 2]}
"""
RTE, MRPC = "tuned: case=logits, task=rte", "tuned: case=logits, task=mrpc"


@pytest.fixture
def read(tmp_path):
    """The study of TEXT with a line added to its tune section."""

    def reader(line: str = ""):
        path = tmp_path / "example.yaml"
        path.write_text(TEXT.replace("      seeds: [0", f"{line}\n      seeds: [0"))
        return reading.load(str(path))

    return reader


def uid(cell: Cell) -> str | None:
    """A name for a cell's run, as a hash would be: of its overrides."""
    return None if cell.excluded else " ".join(cell.overrides)


def pairs(loaded, winners=None) -> list[tuple[Cell, str | None]]:
    return [(cell, uid(cell)) for cell in expand.expand(outline(loaded), winners=winners)]


def scored(by_trial: dict[str, float], otherwise: float | None = 0.5):
    """Scores of runs: the first part of the uid that is a key of `by_trial` says it."""

    def score_of(name: str) -> float | None:
        for key, value in by_trial.items():
            if all(part in name.split() for part in key.split()):
                return value
        return otherwise

    return score_of


def test_the_best_mean_wins_in_every_group_and_is_confirmed(read):
    loaded = read()
    score_of = scored(
        {
            "task=rte knowledge=logits_kl train.lr=0.001 seed=0": 0.9,
            "task=rte knowledge=logits_kl train.lr=0.001 seed=7": 0.5,
            "task=rte knowledge=logits_kl train.lr=1e-05": 0.8,
            "task=rte knowledge=none train.lr=0.0001": 0.6,
            "task=mrpc knowledge=none train.lr=1e-05": 0.51,
        }
    )
    winners = tuning.choose(pairs(loaded), score_of)
    assert {group: winner.overrides for group, winner in winners.items()} == {
        "tuned: case=none, task=rte": ("train.lr=0.0001",),
        RTE: ("train.lr=1e-05",),
        "tuned: case=none, task=mrpc": ("train.lr=1e-05",),
        MRPC: ("train.lr=0.001",),
    }
    assert winners[RTE].scores == {
        "train.lr=0.001": pytest.approx(0.7),
        "train.lr=0.0001": 0.5,
        "train.lr=1e-05": 0.8,
    }
    confirmed = [c for c in expand.expand(outline(loaded), winners=winners) if c.stage == "confirm"]
    assert expand.count_open(outline(loaded), winners=winners) == 0
    assert [(c.row, c.overrides[1], c.trial, c.seed) for c in confirmed] == [
        (row, task, trial, seed)
        for seed in (1, 2)
        for row, task, trial in (
            ("none", "task=rte", "train.lr=0.0001"),
            ("logits", "task=rte", "train.lr=1e-05"),
            ("none", "task=mrpc", "train.lr=1e-05"),
            ("logits", "task=mrpc", "train.lr=0.001"),
        )
    ]


def test_of_equals_the_first_in_the_file_wins(read):
    winners = tuning.choose(pairs(read()), scored({"train.lr=0.001": 0.4}, otherwise=0.6))
    assert winners[RTE].overrides == ("train.lr=0.0001",)


def test_a_group_waits_for_all_its_runs_and_for_no_other(read):
    missing = {"task=rte knowledge=logits_kl train.lr=1e-05 seed=7": None}
    winners = tuning.choose(pairs(read()), scored(missing))
    assert RTE not in winners
    assert len(winners) == 3
    assert tuning.choose(pairs(read()), scored({}, otherwise=None)) == {}


def test_a_trial_with_a_diverged_run_loses(read):
    hot = scored({"train.lr=0.001 seed=0": 1.0, "train.lr=0.001 seed=7": tuning.DIVERGED_SCORE})
    winners = tuning.choose(pairs(read()), hot)
    assert winners[RTE].overrides == ("train.lr=0.0001",)
    assert winners[RTE].scores["train.lr=0.001"] == -math.inf


def test_arms_may_share_a_winner(read):
    score_of = scored(
        {
            "knowledge=none train.lr=0.001": 0.9,
            "knowledge=logits_kl train.lr=0.001": 0.1,
            "knowledge=none train.lr=1e-05": 0.6,
            "knowledge=logits_kl train.lr=1e-05": 0.6,
        }
    )
    loaded = read("      per: [task]")
    winners = tuning.choose(pairs(loaded), score_of)
    assert winners["tuned: task=rte"].overrides == ("train.lr=1e-05",)
    assert len(winners) == 2
    assert len(pairs(loaded, winners)) == 24 + 8


def test_a_trial_that_not_all_arms_of_a_group_ran_does_not_win(read):
    loaded = read("      per: [task]\n      unequal: it diverges")
    rule = reading.parse(
        type(loaded),
        {
            **loaded.__dict__,
            "blocks": loaded.blocks,
            "skip": [
                {"name": "hot", "when": ["knowledge=logits_kl", "train.lr=1e-3"], "reason": "x"}
            ],
        },
    )
    winners = tuning.choose(pairs(rule), scored({"train.lr=0.001": 0.9, "train.lr=1e-05": 0.6}))
    assert winners["tuned: task=rte"].overrides == ("train.lr=1e-05",)


def test_a_study_names_a_rule(read):
    assert set(get_args(schema.Rule)) == set(tuning.RULES)
    score_of = scored({"train.lr=0.001 seed=0": 1.0, "train.lr=0.001 seed=7": 0.1})
    assert tuning.choose(pairs(read()), score_of)[RTE].overrides == ("train.lr=0.001",)
    loaded = read("      rule: best_worst")
    assert tuning.choose(pairs(loaded), score_of)[RTE].overrides == ("train.lr=0.0001",)


def test_a_run_counts_once_in_its_trial(read):
    """A run may stand in two cells, as of an arm without knowledge under two teachers."""
    found = pairs(read())
    twice = [*found, *((cell, name) for cell, name in found if cell.seed == 0)]
    means = [tuning.choose(some, scored({"seed=0": 1.0}, 0.0)) for some in (found, twice)]
    assert means[0] == means[1]


def result(**changes) -> Record:
    scores = {"select": {"accuracy": 0.7, "f1": 0.8}, "report": {"accuracy": 0.1, "f1": 0.2}}
    page = {"status": "done", "scores": scores, "degenerate": []} | changes
    return Record("u", {}, [], page, {}, {})


def test_a_score_is_the_mean_of_select_by_on_select():
    both = "[accuracy,f1]"
    task = compose(f"task.metrics={both}", f"task.select_by={both}", "knowledge=none").task
    assert tuning.score(result(), task) == pytest.approx(0.75)
    assert tuning.score(result(), replace(task, select_by=["f1"])) == 0.8
    assert tuning.score(result(degenerate=["report"]), task) == pytest.approx(0.75)
    assert tuning.score(result(degenerate=["report", "select"]), task) == 0.0
    assert tuning.score(Record("u", {}, [], {"status": "diverged"}, {}, {}), task) == -math.inf
    assert tuning.score(None, task) is None


def test_winners_are_frozen(read, tmp_path):
    path = tmp_path / "studies" / "example" / "winners.json"
    assert tuning.read_winners(path) == {}
    winners = tuning.choose(pairs(read()), scored({"train.lr=0.001": -math.inf}))
    some = {RTE: winners[RTE]}
    tuning.write_winners(path, some)
    assert tuning.read_winners(path) == some
    assert '"train.lr=0.001":null' in path.read_text()
    tuning.write_winners(path, winners)  # groups that were not complete before
    assert tuning.read_winners(path) == winners
    tuning.write_winners(path, some)
    assert tuning.read_winners(path) == winners
    others = tuning.choose(pairs(read()), scored({"task=rte train.lr=1e-05": 0.9}))
    with pytest.raises(BadInput, match="is frozen as 'train.lr=0.0001' and would now be"):
        tuning.write_winners(path, others)
    assert tuning.read_winners(path) == winners


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": {"overrides": []}}'])
def test_a_file_that_has_no_winners_is_refused(tmp_path, text):
    path = tmp_path / "winners.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"winners.json is not what was written; move it away"):
        tuning.read_winners(path)


def test_a_bit_anywhere_in_the_winners_is_refused(read, tmp_path):
    path = tmp_path / "winners.json"
    tuning.write_winners(path, tuning.choose(pairs(read()), scored({})))
    for _ in flipped(path):
        with pytest.raises(BadInput, match=r"winners.json is not what was written"):
            tuning.read_winners(path)


def test_winners_of_other_trials_than_the_studys_are_refused(read):
    winners = tuning.choose(pairs(read()), scored({}))
    tuning.verify(winners, pairs(read(), winners))
    other = pairs(replace(read(), base=["task=synthetic", "train.epochs=9"]))
    with pytest.raises(
        BadInput, match="the winner of 'tuned: case=none, task=rte' was chosen from"
    ):
        tuning.verify(winners, other)


def test_trials_train_and_their_winner_is_the_best_recorded(small, tmp_path):
    base = [text for text in small if not text.startswith("train.lr")]
    path = tmp_path / "real.yaml"
    path.write_text(
        f"""
question: Which?
base: {json.dumps([*base, "threads=1"])}
blocks:
  - table: real
    cases: {{logits: [knowledge=logits_kl]}}
    tune: {{over: {{train.lr: [1e-7, 1e-2]}}, seeds: [0]}}
    confirm: {{seeds: [1]}}
"""
    )
    loaded = reading.load(str(path))
    runs = {cell: compose(*cell.overrides) for cell in expand.expand(outline(loaded))}
    where = execution(*next(iter(runs)).overrides, f"root={tmp_path}")
    for cohort in cohorts.group(runs.values(), 8):
        distill(cohort, where)
    found, tasks = records(tmp_path), {run.uid: run.task for run in runs.values()}
    winners = tuning.choose(
        [(cell, run.uid) for cell, run in runs.items()],
        lambda name: tuning.score(found.get(name), tasks[name]),
    )
    assert len(winners) == 2
    for cell, run in runs.items():
        result = found[run.uid].result
        shown, is_degenerate = result["curves"]["select"][-1], result["select_degenerate"][-1]
        assert shown == result["scores"]["select"]["accuracy"] > 0.3
        counted = 0.0 if is_degenerate else shown
        assert winners[cell.group].scores[cell.trial] == pytest.approx(counted)
        assert is_degenerate is ("select" in result["degenerate"])
    assert any(found[run.uid].result["degenerate"] for run in runs.values())
    for winner in winners.values():
        best = max(winner.scores.values())
        assert winner.scores[" ".join(winner.overrides)] == best
    cells = list(expand.expand(outline(loaded), winners=winners))
    assert [cell.stage for cell in cells] == ["tune"] * 4 + ["confirm"] * 2

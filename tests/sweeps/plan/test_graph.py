"""Parents come first, cohorts share what they can, shards are filled in order."""

import pytest
from composed import compose

from kdlab.config.identity import batch_key
from kdlab.errors import BadInput
from sweeps.plan import cohorts, estimate, levels, packing, teachers


@pytest.fixture(scope="module")
def runs(small):
    arms = ["none", "logits_kl", "hidden_mse"]
    return [
        compose(*small, f"knowledge={arm}", f"seed={seed}", f"teacher.seed={teacher}")
        for seed in (1, 2)
        for teacher in (5, 6)
        for arm in arms
    ]


def test_teachers_come_before_their_students_and_controls_with_these(runs):
    family = list(levels.with_ancestors(runs).values())
    assert len(family) == 2 + 2 + 8  # teachers, none arms (which use no teacher), students
    first, second = levels.levels(family)
    assert {run.uid for run in first} == {run.teacher.uid for run in runs if run.teacher}
    assert {run.uid for run in second} == {run.uid for run in runs}
    assert levels.levels(runs[1:3]) == [runs[1:3]]  # teachers are elsewhere


def test_shards_are_filled_in_order_and_a_long_cohort_has_its_own(runs):
    unique = list({run.uid: run for run in runs}.values())
    grouped = cohorts.group(unique, 8)
    seconds = dict.fromkeys((run.uid for run in unique), 1.0)
    packed = packing.pack(grouped, seconds, 5.0)
    assert [run for shard in packed for cohort in shard for run in cohort] == [
        run for cohort in grouped for run in cohort
    ]
    for shard in packed:
        assert len(shard) == 1 or sum(len(cohort) for cohort in shard) <= 5
    assert all(len(shard) == 1 for shard in packing.pack(grouped, seconds, 0.5))


def test_runs_that_must_be_apart_are(runs):
    unique = list({run.uid: run for run in runs}.values())
    found = cohorts.group(unique, 8, {unique[2].uid})
    assert [unique[2]] in found
    assert sorted(run.uid for cohort in found for run in cohort) == sorted(r.uid for r in unique)


def test_a_cell_that_was_measured_lends_its_time_to_its_other_seeds(runs):
    from kdlab.storage.ledger import Entry

    unique = list({run.uid: run for run in runs}.values())
    one = next(run for run in unique if run.terms and run.seed == 1)
    found, _ = estimate.seconds(unique, {one.uid: Entry("done", 7.0, "f", 0, 1)}, 20, 8)
    same = [run for run in unique if run.choices["knowledge"] == one.choices["knowledge"]]
    assert len(same) == 4
    assert {found[run.uid] for run in same} == {7.0}
    # The others by their operations, at the speed that was measured.
    other = next(run for run in unique if not run.terms)
    ratio = estimate.training_flops(other, 8) / estimate.training_flops(one, 8)
    assert found[other.uid] == pytest.approx(7.0 * ratio)
    assert estimate.training_rows(one) == 270


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ([], 392_702 - 2000),
        (["data.rows=1000"], 1000),
        (["data.fold=[0,4]", "data.rows=1000"], 750),
        (["data=unlabelled", "data.rows=1000", "data.extra_rows=500"], 1500),
        (["protocol=pkd_legacy"], 392_702),
    ],
)
def test_rows_that_are_not_here_are_counted_by_what_is_published(monkeypatch, more, rows):
    monkeypatch.delenv("KDLAB_GLUE", raising=False)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: 1 / 0)
    run = compose("task=mnli", "task.path=nyu-mll/glue", "teacher=bert_base", *more)
    assert estimate.training_rows(run) == rows
    assert estimate.uncounted([run, compose("task=synthetic")]) == ["mnli"]
    elsewhere = compose("task=mnli", "task.path=other/glue", "teacher=bert_base")
    with pytest.raises(BadInput, match="not fetched"):
        estimate.training_rows(elsewhere)


def test_a_teacher_is_asked_once_for_all_seeds_and_arms(small):
    epochs = 2
    logits, states, tokens = (
        [compose(*small, f"knowledge={arm}", f"seed={seed}") for seed in (1, 2, 3)]
        for arm in ("logits_kl", "[logits_mse,cls_pkd]", "hidden_mse")
    )
    once = estimate.teacher_flops(logits[0])
    asking = teachers.asking([logits, states, tokens], [])
    assert (asking.teachers, asking.flops) == (1, once)
    assert asking.flops_in_steps == 2 * epochs * once  # of two cohorts
    assert asking.bytes == 270 * 4 * (2 + 3 * 32)  # float32: two logits, three layers of states
    # An earlier run has asked; and what is of tokens is asked in every step.
    assert teachers.asking([states, tokens], logits[:1]).flops == 0
    assert teachers.asking([tokens], []) == teachers.Asking(0, 0, 0, 0)
    beside = estimate.training_flops(tokens[0], 4) - estimate.training_flops(states[0], 4)
    assert beside == pytest.approx(epochs * once / 4)


def test_cohorts_share_batches_and_one_teacher(small):
    runs = [
        compose(*small, *arm, f"seed={seed}")
        for seed in (1, 2)
        for arm in (
            ["knowledge=none"],
            ["knowledge=logits_kl"],
            ["knowledge=hidden_mse"],
            ["knowledge=logits_kl", "teacher.seed=9"],
        )
    ]
    found = cohorts.group(runs, 8)
    assert sorted(run.uid for cohort in found for run in cohort) == sorted(run.uid for run in runs)
    for cohort in found:
        assert len({batch_key(run) for run in cohort}) == 1
        assert len({run.teacher.uid for run in cohort if run.teacher}) <= 1
    assert sorted(map(len, found)) == [1, 1, 3, 3]
    assert max(map(len, cohorts.group(runs, 2))) == 2
    alone = [run for run in runs if not run.teacher]
    assert sorted(map(len, cohorts.group(alone, 8))) == [1, 1]

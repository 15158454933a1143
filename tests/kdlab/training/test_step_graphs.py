"""The logic of recorded updates, on a CPU: a replay does anew what was recorded."""

from types import SimpleNamespace

import pytest

import kdlab
from kdlab.config.compose import compose
from kdlab.run import has_like_updates
from kdlab.training import loop, student_state
from kdlab.training.step_graphs import step_graphs

BASE = (
    "task.train_rows=300",
    "task.report_rows=60",
    "train.epochs=8",
    "teacher.epochs=1",
    "seed=1",
)
ARMS = (
    ("knowledge=none",),
    ("knowledge=logits_kl",),
    ("knowledge=[logits_kl,hidden_mse]", "matching=last"),
    ("knowledge=cls_pkd", "matching=last"),
    ("knowledge=attention_kl", "matching=last", "train.lr=3e-4"),
)


class Replayed:
    """In place of a CUDA graph: the function that was recorded is called anew."""

    def __init__(self, counts, random):
        self.counts, self.random = counts, random

    def record(self, body):
        def replay():
            self.counts["replays"] += 1
            body()

        self.counts["recorded"] += 1
        return replay

    def follow(self):
        pass

    join = follow


class Refused(Replayed):
    def record(self, body):
        raise RuntimeError("a tensor was read\nwhile it was recorded")


class RefusedOfTeacher(Replayed):
    def record(self, body):
        if self.random is None:
            raise RuntimeError("a teacher that waits")
        return super().record(body)


@pytest.fixture
def recording(monkeypatch):
    """Let cohorts record what they do, with a class in place of CUDA graphs; what is counted."""

    def record(kind):
        counts = {"recorded": 0, "replays": 0, "plain": 0}

        def graphs(students, teachers, execution):
            number = len(teachers.run.teachers)
            return step_graphs(students, number, lambda _, random: kind(counts, random))

        def update(*arguments):
            counts["plain"] += 1
            plain(*arguments)

        plain = student_state.update
        monkeypatch.setattr(loop, "_graphs", graphs)
        monkeypatch.setattr(student_state, "update", update)
        return counts

    return record


@pytest.fixture(scope="module")
def cohort():
    return [compose(*BASE, *arm) for arm in ARMS]


@pytest.fixture(scope="module")
def plain(cohort, tmp_path_factory):
    root = str(tmp_path_factory.mktemp("plain"))
    return [record.result for record in kdlab.distill(cohort, root=root, threads=1)]


def test_recorded_updates_give_the_results_of_plain_ones(cohort, plain, tmp_path, recording):
    counts = recording(Replayed)
    results = [record.result for record in kdlab.distill(cohort, root=str(tmp_path), threads=1)]
    assert results == plain
    # Not the first update of each of few shapes, and not those at which something is read.
    assert counts["replays"] > 2 * counts["plain"] > 0
    assert counts["recorded"] < counts["replays"] / 3


def test_a_student_whose_recording_fails_trains_as_usual(
    cohort, plain, tmp_path, recording, capsys
):
    counts = recording(Refused)
    record = kdlab.distill(cohort[1], root=str(tmp_path), threads=1)
    assert record.result == plain[1]
    assert counts["replays"] == 0
    said = "".join(capsys.readouterr())
    assert said.count(f"run {cohort[1].uid} trains without CUDA graphs: a tensor was read\n") == 1


def test_a_cohort_whose_teacher_cannot_be_recorded_trains_as_usual(
    cohort, plain, tmp_path, recording, capsys
):
    counts = recording(RefusedOfTeacher)
    results = [record.result for record in kdlab.distill(cohort, root=str(tmp_path), threads=1)]
    assert results == plain
    assert counts["plain"] > counts["replays"]  # those of the teacher, which has no teacher
    assert "".join(capsys.readouterr()).count("no CUDA graphs, as the teacher") == 1


@pytest.mark.parametrize(
    "more",
    [
        ("knowledge=logits_kl", "+schedule@knowledge.logits_kl.schedules.weight=growth"),
        ("knowledge=logits_annealed_mse",),
        ("knowledge=logits_kl", "+schedule@hard.schedules.weight=decay"),
        ("knowledge=hidden_mse", "matching=rail_kd"),
        ("knowledge=logits_kl", "train.bias_correction=false"),
    ],
)
def test_what_changes_with_time_is_not_recorded(more):
    assert not has_like_updates(compose(*BASE, *more))
    assert has_like_updates(compose(*BASE, *more[:1])) != (len(more) == 1)


def test_a_cohort_of_which_nothing_can_be_recorded_has_no_graphs():
    # Their batches need not even be alike: a language model's labels are of varying number.
    def graphs(*overrides, teachers=1):
        student = SimpleNamespace(run=compose(*BASE, *overrides), device=None, random=None)
        return step_graphs([student], teachers, lambda *_: None)

    assert graphs("knowledge=logits_kl") is not None
    assert graphs("knowledge=logits_kl", "train.bias_correction=false") is None
    assert graphs("knowledge=logits_kl", teachers=2) is None

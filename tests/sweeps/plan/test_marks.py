"""What a plan says that its tables could mark: families, seeds, and points from records."""

from types import SimpleNamespace

import numpy as np
import pytest

from kdlab import power
from kdlab.record import Record
from kdlab.storage import ledger
from sweeps.plan import marks
from sweeps.plan.row import Planned
from sweeps.study.cells import Cell

ARMS = ("logits", "hidden", "values", "attention")
STUDY = SimpleNamespace(
    blocks=[SimpleNamespace(table="tuned", confirm=SimpleNamespace(seeds=[1] * 5))]
)


def planned(table: str, seeds: range, tasks: tuple[str, ...], stage: str = "") -> list[Planned]:
    """Four arms and their control on some tasks."""
    return [
        Planned(
            Cell(
                table=table, case=row, row=row, control="none", seed=seed, teacher_seed=None,
                overrides=(), excluded="", stage=stage,
            ),
            SimpleNamespace(
                uid=f"{task}{row}{seed}",
                choices={"task": task},
                task=SimpleNamespace(report={"report": ""}, metrics=["accuracy"]),
            ),
        )
        for task in tasks
        for row in ("none", *ARMS)
        for seed in seeds
    ]  # fmt: skip


def lines(*told) -> list[str]:
    return [marks.text(of_table) for of_table in marks.of_tables(*told)]


@pytest.mark.parametrize(
    ("seeds", "tasks", "said"),
    [
        (6, ("rte", "mrpc"), "marks of main: 8 differences: with 6 seeds the first needs |t| > 4"),
        (3, ("rte",), "marks of main: 4 differences: with 3 seeds the first needs |t| > 8.9"),
        (3, ("rte", "mrpc"), "marks of main: 8 differences in 2 families of up to 4: with 3 seeds"),
        (2, ("rte",), "marks of main: 4 differences: none can be marked with 2 seeds: the first "
                      "would need |t| > 51; 3 seeds would do"),
        (1, ("rte",), "marks of main: 4 differences: none can be marked with 1 seed; 3 seeds"),
    ],
)  # fmt: skip
def test_a_table_says_what_its_first_step_needs_at_its_seeds(tmp_path, seeds, tasks, said):
    (line,) = lines(STUDY, planned("main", range(seeds), tasks), str(tmp_path), {})
    assert line.startswith(said)
    assert "points" not in line


def test_what_is_being_tuned_has_the_seeds_that_will_confirm_it(tmp_path):
    (line,) = lines(STUDY, planned("tuned", range(1), ("rte",), "tune"), str(tmp_path), {})
    assert line.startswith("marks of tuned: 4 differences: with 5 seeds")


def test_points_are_of_what_is_recorded_by_now(tmp_path):
    random, gaps = np.random.default_rng(0), []
    own = planned("main", range(6), ("rte",))
    for entry in own:
        if entry.cell.row in ("none", "logits") and entry.cell.seed < 4:
            score = 0.6 + 0.02 * random.random()
            gaps.append(score)
            result = {"status": "done", "scores": {"report": {"accuracy": score}}}
            ledger.append(tmp_path, Record(entry.run.uid, {}, [], result, {"seconds": 1.0}, {}))
    deviation = 100 * np.std(np.array(gaps[4:]) - np.array(gaps[:4]), ddof=1)
    expected = deviation * power.detectable(4, 5) / 6**0.5
    (line,) = lines(STUDY, own, str(tmp_path), ledger.index(tmp_path))
    assert f"over seeds ({expected:.1f} points by the records so far)" in line

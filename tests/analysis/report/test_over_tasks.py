"""A study's arms over its tasks: which are there, and of which runs their numbers are."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from analysis.read.frame import scores
from analysis.report.over_tasks import over_tasks
from analysis.tables import papers

SMALL, LARGE = ", size=l2_h64_a4", ", size=l3_h64_a4"


def test_arms_with_all_of_their_runs_are_aggregated_over_tasks(tables, runs):
    (found,) = over_tasks(tables, 1.0)
    assert found.tasks == ["mrpc", "rte", "qnli"]
    assert found.column == "average"
    # The control has no difference, and `unlucky` lacks runs.
    assert [arm.row for arm in found.arms] == [
        name + size for size in (SMALL, LARGE) for name in ("logits", "hidden")
    ]
    long = scores(runs).query("split == 'report' and seed > 0")
    # MRPC has two metrics and counts once, with their mean.
    mean = long.groupby(["row", "task", "seed"])["score"].mean()
    for arm in found.arms:
        control = arm.control
        pairs = {task: (mean[arm.row, task], mean[control, task]) for task in found.tasks}
        apart = np.concatenate([(own - other).to_numpy() for own, other in pairs.values()])
        assert len(apart) == arm.runs == 12
        assert arm.mean.value == pytest.approx(100 * trim_mean(apart, 0.25))
        shares = [mannwhitneyu(own, other).statistic / 16 for own, other in pairs.values()]
        assert arm.improvement.value == pytest.approx(np.mean(shares))
        assert arm.mean.low < arm.mean.value < arm.mean.high


def test_one_task_has_no_aggregate(tables, runs):
    one = runs[runs["task"] == "rte"]
    one.attrs = runs.attrs
    assert over_tasks(papers.of_study(one), 1.0) == []

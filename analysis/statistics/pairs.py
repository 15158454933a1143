"""Pairs of runs that share a seed: from two runs' scores to a contrast that can be tested.

Tables compare an arm with its control, effects two levels of an axis. Both come here with `Pairs`,
which effects take from a frame of one row a pair (`in_frame`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.read.frame import PERCENT
from analysis.statistics.contrasts import Contrast, Sample, Verdict, averaging, contrast, identity
from analysis.statistics.draws import Draws
from analysis.statistics.seed_tests import MARGIN

OTHER = "_other"  # ends the columns that are of a pair's second run
SEEDS = ["seed", "teacher_seed"]  # what the two runs of a pair have in common
COMPARED = [*Contrast._fields, "n", "degenerate", "key"]  # keys of what `compare` gives


@dataclass(frozen=True)
class Pairs:
    """Pairs of runs that share a seed, as columns of one length n.

    Not a frame: tables make one of these for each of thousands of cells, and for a few values
    pandas takes a hundred times as long as a list.

    Attributes:
        uids, others: of the first run and of the second.
        seeds, teachers: the seed and the teacher's seed that both have.
        differences: the first run's score minus the second's, in points.
        degenerate: whether one of the two predicts a single class for every row.
    """

    uids: Sequence[str]
    others: Sequence[str]
    seeds: Sequence[int]
    teachers: Sequence[int]
    differences: Sequence[float]
    degenerate: Sequence[bool]

    def __len__(self) -> int:
        return len(self.uids)


def in_frame(pairs: pd.DataFrame) -> Pairs:
    """The pairs of a frame that has one row each.

    Args:
        pairs: with `uid`, `score` and `degenerate` of the first run, the same of the second one
            with the ending `_other`, the `seed` and `teacher_seed` that both have, and
            `difference`, the first score minus the second in points.
    """
    return Pairs(
        uids=pairs["uid"].tolist(),
        others=pairs["uid" + OTHER].tolist(),
        seeds=pairs["seed"].tolist(),
        teachers=pairs["teacher_seed"].tolist(),
        differences=pairs["difference"].tolist(),
        degenerate=(pairs["degenerate"] | pairs["degenerate" + OTHER]).tolist(),
    )


@dataclass(frozen=True)
class Inference:
    """How the contrasts of one study are estimated and tested.

    Attributes:
        margin: points within which a difference counts as none.
        draws: scores on resampled examples, so that errors hold what comes from examples; None
            takes the examples as they are.
        verdicts: by the key of a contrast what was tested already. It grows with every family, so
            that each contrast of a study is tested once.
    """

    margin: float = MARGIN
    draws: Draws | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)


def compare(
    pairs: Pairs, split: str, metric: str, inference: Inference, sample: Sample | None = None
) -> dict[str, Any]:
    """The contrast of pairs before it is judged, as a row of what `contrasts.judged` takes.

    Args:
        pairs: one or more.
        split, metric: which score the pairs have.
        inference: the margin and the draws.
        sample: of the pairs, where it is at hand already.
    """
    sample = sample or sample_of(pairs, split, metric, inference.draws)
    return contrast(sample, inference.margin)._asdict() | {
        "n": len(pairs),
        "degenerate": sum(pairs.degenerate),
        "key": identity(pairs.uids, pairs.others, split, metric),
    }


def sample_of(pairs: Pairs, split: str, metric: str, draws: Draws | None) -> Sample:
    """The mean difference of the pairs of each seed and teacher, in points."""
    # Several pairs may share both seeds: an axis is compared under all levels of the others.
    both = list(zip(pairs.seeds, pairs.teachers, strict=True))
    keys = sorted(set(both))
    # `averaging` takes numbers; sorted keys make its rising order that of `keys`.
    means = averaging(np.array([keys.index(key) for key in both]))
    values = means @ np.array(pairs.differences, dtype=float)
    drawn = None if draws is None else _drawn(pairs, split, metric, draws) @ means.T
    seeds, teachers = np.array(keys, dtype=int).T
    return Sample(seeds, teachers, values, drawn)


def _drawn(pairs: Pairs, split: str, metric: str, draws: Draws) -> np.ndarray:
    """Each pair's difference in points on each draw of the examples [DRAWS, pairs]."""
    differences = []
    for uid, other in zip(pairs.uids, pairs.others, strict=True):
        (ids, scores), (other_ids, other_scores) = (
            draws(run, split, metric) for run in (uid, other)
        )
        # A draw takes rows by their place: the two runs must have the same rows in the same order.
        assert np.array_equal(ids, other_ids)
        differences.append(PERCENT * (scores - other_scores))
    return np.stack(differences, 1)

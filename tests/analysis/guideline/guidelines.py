"""Guidelines of scores that were never run, and what is in them."""

import re
from itertools import chain

import pandas as pd

from analysis import guideline
from analysis.guideline import (
    Guideline,
    Section,
)
from analysis.guideline.evidence import gathered
from analysis.statistics.pairs import Inference

LEVELS = ["knowledge", "matching", "init"]


def written(scores: pd.DataFrame, axes=LEVELS, margin: float = 1.0) -> Guideline:
    """The guideline of scores, which have no records."""
    runs = scores.assign(report="")
    runs.attrs = {"study": "simulated", "root": ""}
    return guideline.worded(runs, scores, gathered(scores, axes, Inference(margin)), margin, False)


def section(found: Guideline, axis: str) -> Section:
    return next(section for section in found.sections if section.axis == axis)


def sentences(found: Guideline) -> list[str]:
    """All that a guideline says."""
    said = [*found.data]
    for own in found.sections:
        said += [*own.recommended, *chain.from_iterable(own.parts.values())]
    return [*said, *found.limits]


def points(sentence: str) -> list[float]:
    """The differences that a sentence names, without their signs."""
    return [float(number) for number in re.findall(r"([\d.]+) points", sentence)]


def planted(levels) -> float:
    """Copying is worth 5, hidden states 3 but with the last layers 1; the last are worse only then.

    Of two tasks, only.
    """
    points = 5.0 * (levels["init"] == "teacher_first")
    if levels["knowledge"] == "hidden_mse":
        points += 1.0 if levels["matching"] == "last" else 3.0
    return points

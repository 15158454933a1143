"""Scores of studies that were never run, in the long form of `analysis.read.frame.scores`."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

KNOWLEDGE = ["none", "logits_kl", "hidden_mse"]
AXES = {
    "knowledge": KNOWLEDGE,
    "matching": ["skip", "last"],
    "init": ["random", "teacher_first"],
}
LAYERED = ("hidden", "cls", "attention")
STUDIES = 80
# Of 80 studies in which nothing is there, 5 % may find something: 4, and 10 with all but 0.6 %.
BY_CHANCE = 10


def study(
    axes: Mapping[str, Sequence[str]] = AXES,
    effect: Callable[[dict[str, str]], float] = lambda levels: 0.0,
    *,
    seeds: int = 5,
    spread: float = 1.0,
    tasks: Sequence[str] = ("rte",),
    draw: int = 0,
) -> pd.DataFrame:
    """Every combination of levels with every seed: 60 points, a seed's own, the effect, noise.

    Knowledge without layers has no matching. `effect` is in points, of the levels and the task.
    """
    random = np.random.default_rng(draw)
    rows = []
    for task in tasks:
        own = random.normal(0, 1, size=seeds)
        for levels in combinations(axes):
            for seed in range(seeds):
                points = 60 + own[seed] + effect({**levels, "task": task})
                rows.append(levels | run(task, seed, levels, points + random.normal(0, spread)))
    return pd.DataFrame(rows)


def combinations(axes: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    found = [dict(zip(axes, levels, strict=True)) for levels in product(*axes.values())]
    for levels in found:
        if "matching" in levels and not levels.get("knowledge", "hidden").startswith(LAYERED):
            levels["matching"] = "none"
    return [dict(key) for key in dict.fromkeys(tuple(levels.items()) for levels in found)]


def run(task: str, seed: int, levels: Mapping[str, str], points: float) -> dict[str, object]:
    row = ", ".join(levels.values())
    return {
        "study": "simulated",
        "question": "What matters?",
        "table": "main",
        "row": row,
        "stage": "",
        "trial": "",
        "trials": 0,
        "seed": seed,
        "teacher_seed": -1,
        "task": task,
        "split": "report",
        "metric": "accuracy",
        "state": "done",
        "degenerate": False,
        "uid": f"{task}, {row}, {seed}",
        "score": points / 100,
    }

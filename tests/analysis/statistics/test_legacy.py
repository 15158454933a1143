"""What would be claimed by choosing on the reported split, from trials written down here."""

import numpy as np
import pandas as pd
import pytest
from simulated import run

from analysis.statistics import legacy


def tuned() -> pd.DataFrame:
    """Two arms with two trials of two seeds; select and report disagree on which is better."""
    rows = []

    def add(arm: str, trial: str, seed: int, select: float, report: float, stage: str) -> None:
        scores = {"select/f1": select, "report/f1": report, "report/accuracy": report + 2}
        entry = run("mrpc", seed, {"knowledge": arm}, report) | {
            "stage": stage, "trial": trial, "row": arm, "select_by": '["f1", "accuracy"]',
            "reports": '["report", "report_other"]',
        }  # fmt: skip
        rows.append(entry | {name: value / 100 for name, value in scores.items()})

    for seed, shift in ((8, -1), (9, 1)):
        add("none", "train.lr=0.1", seed, 72, 70 + shift, "tune")
        add("none", "train.lr=0.2", seed, 70, 75 + shift, "tune")
        add("logits", "train.lr=0.1", seed, 74, 78 + shift, "tune")
        add("logits", "train.lr=0.2", seed, 71, 60 + shift, "tune")
    for seed in (1, 2):
        add("none", "train.lr=0.1", seed, 72, 70, "confirm")
    return pd.DataFrame(rows)


def test_the_best_trial_on_report_is_claimed_and_confirmation_is_of_the_winner_on_select():
    none, logits = legacy.claims(tuned()).to_dict("records")
    # The mean of F1 and accuracy, which is two points more: one more than F1.
    assert (none["row"], none["trials"]) == ("none", 2)
    assert none["claimed"] == pytest.approx(76)
    assert none["confirmed"] == pytest.approx(71)
    assert logits["claimed"] == pytest.approx(79)
    assert pd.isna(logits["confirmed"])


def test_what_did_not_end_claims_nothing():
    runs = tuned()
    is_worse = (runs["trial"] == "train.lr=0.2") & (runs["seed"] == 8)
    runs.loc[is_worse, ["state", "report/f1"]] = ["diverged", np.nan]
    assert legacy.claims(runs)["claimed"].tolist() == pytest.approx([71, 79])
    assert legacy.claims(runs[runs["stage"] != "tune"]).empty


def test_a_note_has_the_arms_that_were_confirmed():
    assert legacy.notes(tuned(), "main") == [
        "mrpc, chosen by the best trial on the split that is reported, as is often done, would "
        "read: none 76.0"
    ]
    assert legacy.notes(tuned(), "other") == []

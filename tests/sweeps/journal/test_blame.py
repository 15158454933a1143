"""Which hosts are blamed for trouble, and until when."""

import time

import pytest

from sweeps.journal import events, failures
from sweeps.submit import reconcile


def test_blame_expires_is_cleared_by_retry_and_trusts_no_clock(tmp_path, monkeypatch):
    def met(node, age, uid):
        monkeypatch.setattr("sweeps.journal.events.time.time", lambda: now - age)
        events.append(
            tmp_path, "trouble", uids=[uid], node=node, error="died", **{"class": "crashed"}
        )
        monkeypatch.undo()

    now = time.time()
    for node, ages in {"old": (2, 1.5), "half": (1.1, 0), "new": (0.5, 0), "far": (-9, -9)}.items():
        for number, age in enumerate(ages):
            met(node, age * failures.BLAME_SECONDS, f"{node}{number}")
    (blame,) = failures.blamed(events.fold(tmp_path))
    assert blame.host == "new"
    assert blame.until == pytest.approx(now + 0.5 * failures.BLAME_SECONDS, abs=1)
    reconcile.forgive(tmp_path, [])
    assert failures.blamed(events.fold(tmp_path)) == []
    met("new", 0, "new2")
    assert failures.blamed(events.fold(tmp_path)) == []  # one is no reason
    met("new", 0, "new3")
    assert [blame.host for blame in failures.blamed(events.fold(tmp_path))] == ["new"]

"""Schedules, by hand."""

from kdlab.objective.schedules import linear, stairs


def test_a_straight_line():
    assert [linear(p, start=0.0, end=1.0) for p in (0.0, 0.25, 1.0)] == [0.0, 0.25, 1.0]
    assert [linear(p, start=3.0, end=1.0) for p in (0.0, 0.5)] == [3.0, 2.0]


def test_stairs_are_annealing_kds_with_one_an_epoch():
    """Φ(t) = 1 − (t_max − t) / t_max in epoch t = 1 ... t_max of temperature falling to 1."""
    epochs, steps = 4, 10
    for epoch in range(1, epochs + 1):
        for step in range(steps):
            progress = ((epoch - 1) * steps + step) / (epochs * steps)
            assert stairs(progress, steps=epochs) == 1 - (epochs - epoch) / epochs

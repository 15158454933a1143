"""Where a student's encoder starts.

An init is a function

    (weights, student, source, *, knobs) -> weights of the student

`weights` is the source encoder's state dict under its own names (no classifier), `student` and
`source` are `Architecture`s. It raises `kdlab.errors.Misfit` when the two do not fit, also for an
empty state dict, so that a misfit is found before any work. What it does not return stays random,
from the run's own stream; the classifier always does.
"""

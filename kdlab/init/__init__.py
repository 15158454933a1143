"""Where a student's encoder starts.

An init is a function

    (weights, student, source, *, knobs) -> weights of the student

`weights` is the source encoder's state dict under its own names (no classifier), `student` and
`source` are `Architecture`s. It raises `kdlab.errors.Misfit` when the two do not fit together, even
if `weights` is empty: that is how a run is checked before any work. Tensors that it does not return
stay random, from the run's own stream; the classifier always does.
"""

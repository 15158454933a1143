"""From a task's source to batches of tokens.

A source is a function `(*, knobs) -> Source`; everything after it is the same for every task.
"""

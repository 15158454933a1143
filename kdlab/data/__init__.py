"""From a task's source to batches of tokens.

A source is a function `(*, knobs) -> Source`, which a task's option names; everything after it
(labels, splits, tokens, masks, batches) is the same for every task.
"""

"""How a weight, or a numeric knob of a loss, changes over training.

A schedule is a function `(progress, *, knobs) -> factor` of the share of the updates already made,
in [0, 1); the factor multiplies the value that the term's YAML has.
"""

import math
from typing import Annotated

from annotated_types import Ge, Gt


def linear(
    progress: float, *, start: Annotated[float, Ge(0)], end: Annotated[float, Ge(0)]
) -> float:
    """From `start` to `end` in a straight line.

    TextBrewer's linear growth and decay (Yang et al. 2020, arXiv 2002.12620) are 0 to 1 and 1 to 0.
    """
    return start + (end - start) * progress


def stairs(progress: float, *, steps: Annotated[int, Gt(0)]) -> float:
    """1/steps, 2/steps, ... 1, each for an equal share of training.

    Annealing-KD's Φ with one stair an epoch: Jafari et al. 2021, arXiv 2104.07163.
    """
    # Before the last update `progress` is below 1, so that the last stair is 1.
    return (math.floor(progress * steps) + 1) / steps

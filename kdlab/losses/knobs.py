"""Ranges of knobs that more than one loss has."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

Temperature = Annotated[float, Gt(0)]
Weight = Annotated[float, Ge(0)]  # of one part of a loss against another
Share = Annotated[float, Gt(0), Lt(1)]
Skew = Annotated[float, Ge(0), Lt(1)]
Reduction = Literal["sum", "mean"]  # over what the loss says
Classes = Annotated[int, Gt(0)]  # a number of them

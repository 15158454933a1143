"""The states in a view: one for each row [b, d], or one for each token [b, t, d].

Matchings that weigh by similarity need states. Other views, such as attention scores, have none.
"""

from torch import Tensor

from kdlab.errors import Misfit


def of_rows(view: Tensor) -> Tensor:
    """One state a row [b, d]: the row's own, or its first token's.

    Raises:
        Misfit: the view has other axes, such as heads.
    """
    _check(view)
    return view if view.ndim == 2 else view[:, 0]


def of_units(view: Tensor, mask: Tensor) -> Tensor:
    """The states [n, d] of all valid units of a view [b, d] or [b, t, d].

    Raises:
        Misfit: the view has other axes, such as heads.
    """
    _check(view)
    return view[mask]


def _check(view: Tensor) -> None:
    if view.ndim not in (2, 3):
        raise Misfit(
            "this matching looks at states of rows or tokens, not at heads or scores "
            f"of {view.ndim} axes"
        )

"""The best approximations of lower rank that `kdlab.init.projected` is made of, in float64.

Eckart and Young 1936: the truncated singular value decomposition is the best in Frobenius norm.
"""

import math

import torch
from torch import Tensor


def basis(moment: Tensor, width: int) -> Tensor:
    """P [D, width] for the sum of MᵀM [D, D] over matrices M, float64."""
    ours, theirs = _without_mean(width), _without_mean(len(moment))
    leading = torch.linalg.eigh(theirs.T @ moment @ theirs).eigenvectors[:, len(moment) - width :]
    space = theirs @ leading
    left, _, right = torch.linalg.svd(space[:width].T @ ours)
    mean = torch.full((len(moment), width), 1 / math.sqrt(len(moment) * width), dtype=moment.dtype)
    return mean + space @ left @ right @ ours.T


def _without_mean(width: int) -> Tensor:
    """Helmert's orthonormal basis [width, width - 1] of the vectors whose mean is 0."""
    steps = torch.arange(1, width, dtype=torch.float64)
    above = torch.ones(width, width - 1, dtype=torch.float64).triu()
    below = torch.diag_embed(-steps, offset=-1)[:, :-1]
    return (above + below) / (steps * (steps + 1)).sqrt()


def factors(left: Tensor, right: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors A [h, rank, m] and B [h, rank, n] of the best AᵀB for each leftᵀ right.

    Singular values are shared evenly; the largest entry of each row of A is positive.

    Args:
        left: [h, e, m].
        right: [h, e, n].
    """
    one, inner = torch.linalg.qr(left.transpose(1, 2))
    other, outer = torch.linalg.qr(right.transpose(1, 2))
    first, values, second = torch.linalg.svd(inner @ outer.transpose(1, 2))
    root = values[:, None, :rank].sqrt()
    first, second = (
        one @ first[..., :rank] * root,
        other @ second.transpose(1, 2)[..., :rank] * root,
    )
    peak = first.abs().argmax(1, keepdim=True)
    sign = torch.where(first.gather(1, peak) < 0, -1.0, 1.0)
    return (first * sign).transpose(1, 2), (second * sign).transpose(1, 2)

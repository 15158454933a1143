"""The best approximations of lower rank that `kdlab.init.projected` is made of, in float64.

Eckart and Young 1936: the truncated singular value decomposition is the best in Frobenius norm.
"""

import math

import torch
from torch import Tensor


def basis(moment: Tensor, width: int) -> Tensor:
    """P [D, width] of `kdlab.init.projected`.

    Args:
        moment: the sum of MᵀM over the matrices M on the stream [D, D], float64.
        width: of the student.
    """
    # Of `width` columns the mean's direction takes one; the others are chosen from what is left of
    # the space, width - 1 of D - 1 directions.
    student, source = _without_mean(width), _without_mean(len(moment))
    # The eigenvalues ascend: the last directions hold most of the matrices.
    leading = torch.linalg.eigh(source.T @ moment @ source).eigenvectors[:, len(moment) - width :]
    space = source @ leading
    left, _, right = torch.linalg.svd(space[:width].T @ student)  # orthogonal Procrustes
    # (1, ..., 1) / √D times (1, ..., 1)ᵀ / √d: the mean's direction to itself.
    mean = torch.full((len(moment), width), 1 / math.sqrt(len(moment) * width), dtype=moment.dtype)
    return mean + space @ left @ right @ student.T


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
    # With both sides as Q R, the decomposition is of the small matrices [e, e] alone.
    left_q, left_r = torch.linalg.qr(left.transpose(1, 2))
    right_q, right_r = torch.linalg.qr(right.transpose(1, 2))
    u, values, v = torch.linalg.svd(left_r @ right_r.transpose(1, 2))
    # √σ to both sides, or one would be large and the other small, and train unlike.
    root = values[:, None, :rank].sqrt()
    a, b = left_q @ u[..., :rank] * root, right_q @ v.transpose(1, 2)[..., :rank] * root
    # Singular vectors have no sign of their own.
    peak = a.abs().argmax(1, keepdim=True)
    sign = torch.where(a.gather(1, peak) < 0, -1.0, 1.0)
    return (a * sign).transpose(1, 2), (b * sign).transpose(1, 2)

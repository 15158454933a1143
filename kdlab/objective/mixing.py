"""Weights over all pairs of matched layers: on the losses, or on the teacher's features.

`weights` are [S, T] over the S student and T teacher layers of a matching, or [b, S, T] where they
differ by row.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kdlab.errors import Misfit
from kdlab.matching.inputs import MatchingInputs
from kdlab.run import Matching


def fixed_weights(
    matching: Matching,
    student_layers: Sequence[int],
    teacher_layers: Sequence[int],
    device: torch.device,
) -> Tensor:
    """The weights [S, T] of a matching whose pairs all count alike; zero where there is no pair."""
    weights = torch.zeros(len(student_layers), len(teacher_layers), device=device)
    for student_layer, teacher_layer in matching.pairs:
        position = student_layers.index(student_layer), teacher_layers.index(teacher_layer)
        weights[position] = matching.pair_weight
    return weights


def over_losses(weights: Tensor, inputs: MatchingInputs) -> Tensor:
    """The weighted sum of the losses of all pairs.

    Raises:
        Misfit: the weights differ by row, while a loss is of the whole batch.
    """
    if weights.ndim == 3:
        raise Misfit("weights that differ by row are for matching.mix=features")
    # Only pairs with weight: the loss of each costs time.
    pairs = weights.nonzero().tolist()
    return torch.stack([weights[i, j] * inputs.cost(i, j) for i, j in pairs]).sum()


def over_features(
    weights: Tensor, inputs: MatchingInputs, loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """Each student layer compared with the weighted mean of the teacher's views, then summed."""
    by_layer = []
    for position, view in enumerate(inputs.student):
        mixture, mass = _mixture(weights[..., position, :], inputs.teacher)
        by_layer.append(mass * loss(view, mixture, inputs.mask))
    return torch.stack(by_layer).sum()


def _mixture(weights: Tensor, views: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The weighted mean of T views [b, ...] by weights [T] or [b, T], and the mean total weight."""
    # A mean, not a sum: a mixture of weights that sum to 1/S would be S times smaller than a state.
    # The total comes back as the weight of the loss.
    total = weights.sum(-1, keepdim=True)
    share = weights / total
    share = share.reshape(*share.shape, *[1] * (views[0].ndim - 1))
    # Over the stacked views [T, b, ...]: without rows of its own a weight holds for every row.
    share = share.unsqueeze(1) if weights.ndim == 1 else share.transpose(0, 1)
    return (share * torch.stack(views)).sum(0), total.mean()

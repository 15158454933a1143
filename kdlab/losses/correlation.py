"""Losses on correlations of probabilities, in place of divergences."""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from kdlab.losses.classes import log_distributions
from kdlab.losses.knobs import Temperature, Weight
from kdlab.losses.mean import centred, over_valid


def dist(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    *,
    temperature: Temperature,
    row_weight: Weight,
    class_weight: Weight,
) -> Tensor:
    """T² (β (1 − ρ within units) + γ (1 − ρ within classes)) of probabilities at temperature T.

    ρ is Pearson's correlation of p and q: over the classes of a unit, mean over valid units (β,
    `row_weight`), and over the batch's valid units for a class, mean over classes (γ,
    `class_weight`). Huang et al. 2022, arXiv 2205.10536. γ's part belongs to a batch: it is not
    the mean of its parts, and zero below two valid units (their code has 1 there). A constant
    vector has ρ = 0, as in their code, even with itself.

    Args:
        student, teacher: logits [..., c]; with c = 2, ρ within a unit is only a sign.
        mask: [...], true where the unit counts.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    q, p = log_q.exp(), log_p.exp()
    # Pearson's correlation is the cosine of centred vectors.
    rows = over_valid(1 - cosine_similarity(_centred_classes(q), _centred_classes(p), dim=-1), mask)
    classes = (1 - cosine_similarity(centred(q, mask), centred(p, mask), dim=0)).mean()
    # One unit alone has no variance in any class: ρ would be 0, and its loss a constant 1.
    return temperature**2 * (row_weight * rows + class_weight * classes * (mask.sum() > 1))


def _centred_classes(values: Tensor) -> Tensor:
    return values - values.mean(-1, keepdim=True)

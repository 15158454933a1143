"""The linear maps that a term learns: the student's projections, the teacher's pseudo-classifiers.

Where widths differ, a projection maps the student's states to the teacher's width (Romero et al.
2015, arXiv 1412.6550). With `projection: classes` both sides are mapped to logits of the task's
classes, the teacher's layers by pseudo-classifiers that learn from the labels (Wu et al. 2021,
Universal-KD, EMNLP 2021 main 603).
"""

from collections.abc import Sequence

import torch
from torch import nn

from kdlab import streams
from kdlab.run import Term

DEVIATION = 0.02  # of initial weights, as BERT's
SHARED = "shared"  # the name of the projection of all layers, or of a view without layers


def projections(term: Term, layers: Sequence[int], hidden: int, seed: int) -> nn.ModuleDict:
    """The student's projections, by layer or under SHARED; empty if the term learns none.

    Args:
        term: what is compared.
        layers: of the student, that are in the term's pairs.
        hidden: the student's width.
        seed: of the run.
    """
    maps = nn.ModuleDict()
    if term.projection:
        # Streams are named by layer, so that a layer has the same map whichever others are matched.
        for name in [SHARED] if term.projection.shared else map(str, layers):
            stream = term.key if name == SHARED else f"{term.key}_{name}"
            maps[name] = _linear(hidden, term.projection.width, seed, stream)
    return maps


def pseudo_classifiers(term: Term, layers: Sequence[int], hidden: int, seed: int) -> nn.ModuleDict:
    """The teacher's maps to the task's classes, by layer; empty unless the term compares those.

    Arguments as those of `projections`, of the teacher.
    """
    maps = nn.ModuleDict()
    if term.projection and term.projection.to_classes:
        for layer in layers:
            stream = f"{term.key}_teacher_{layer}"
            maps[str(layer)] = _linear(hidden, term.projection.width, seed, stream)
    return maps


def _linear(width: int, width_out: int, seed: int, name: str) -> nn.Linear:
    """A linear map with bias, drawn from a stream of its own: no other term changes it."""
    generator = torch.Generator().manual_seed(streams.key(seed, f"projection/{name}"))
    # nn.Linear would draw weights of its own first, from the process's generator, and so shift all
    # that is drawn from it later.
    linear = nn.utils.skip_init(nn.Linear, width, width_out)
    nn.init.normal_(linear.weight, std=DEVIATION, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear

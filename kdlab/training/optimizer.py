"""The optimiser's step: clipping, then AdamW with bias correction or without."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from kdlab.options.schema import Train


def adamw(groups: list[dict[str, Any]], train: Train) -> torch.optim.AdamW:
    """PyTorch's AdamW over groups of parameters (Loshchilov and Hutter 2019, arXiv 1711.05101)."""
    return torch.optim.AdamW(groups, lr=train.lr, betas=train.betas, eps=train.eps, fused=True)


def keep_rates_on_device(optimizer: torch.optim.Optimizer) -> None:
    """On a GPU, hold learning rates as tensors [] there, which a schedule fills with its values.

    A recorded update reads them there: a number would be recorded as it was.
    """
    for group in optimizer.param_groups:
        device = group["params"][0].device if group["params"] else torch.device("cpu")
        if device.type == "cuda":
            group["lr"] = torch.tensor(float(group["lr"]), device=device)


def step(optimizer: torch.optim.Optimizer, train: Train, updates: int, is_skipped: Tensor) -> None:
    """Clip the gradients and make one update.

    Args:
        optimizer: as `adamw` makes it.
        train: how gradients are clipped, and whether the moments' bias is corrected.
        updates: made so far, this one included; every parameter has had a gradient in each.
        is_skipped: [], on the device; true leaves all parameters and moments as they are.
    """
    # As a GradScaler says it: the fused kernel looks at the flag, the CPU never does.
    optimizer.found_inf = is_skipped.float()  # type: ignore[attr-defined]
    _clip([p for group in optimizer.param_groups for p in group["params"]], train)
    with nullcontext() if train.bias_correction else _uncorrected(optimizer, updates):
        optimizer.step()


def _clip(parameters: list[Tensor], train: Train) -> None:
    """Scale gradients down to norm `clip`: all of them together, or each tensor's by itself."""
    if train.clip is None:
        return
    # Together is today's usage; each by itself is how BERT's PyTorch port of 2018 clipped.
    groups = [parameters] if train.clip_scope == "model" else [[p] for p in parameters]
    for group in groups:
        nn.utils.clip_grad_norm_(group, train.clip)


@contextmanager
def _uncorrected(optimizer: torch.optim.Optimizer, updates: int) -> Iterator[None]:
    """Change every group's settings so that AdamW's next step is BertAdam's, and put them back.

    BertAdam (Devlin et al. 2019, arXiv 1810.04805; the PyTorch port of 2018) has the moments m and
    v as they are: p - lr (m / (√v + eps) + decay p). AdamW divides them by a = 1 - β1^t and
    b = 1 - β2^t: p - lr' decay' p - lr' (m / a) / (√v / √b + eps'). The two are equal at
    lr' = lr a / √b, eps' = eps / √b and decay' = decay √b / a.
    """
    # AdamW has no option for this, and an optimiser of our own would lack the fused kernel.
    settings = [
        (group["lr"], group["eps"], group["weight_decay"]) for group in optimizer.param_groups
    ]
    for group in optimizer.param_groups:
        first, second = (1 - beta**updates for beta in group["betas"])
        scale = first / math.sqrt(second)
        group["lr"] *= scale
        group["weight_decay"] /= scale  # AdamW decays by lr times this, and that is to stay
        group["eps"] /= math.sqrt(second)
    try:
        yield
    finally:
        for group, values in zip(optimizer.param_groups, settings, strict=True):
            group["lr"], group["eps"], group["weight_decay"] = values

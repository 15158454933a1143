"""What is counted of a student at every update, where it trains: nobody waits until it is read."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Tallies:
    """What is counted at every update, on the student's device: to read it, the CPU waits for that.

    Attributes:
        loss_sums: [losses], float64, of every loss since the last evaluation.
        zero_steps: [losses], the updates in a row at which a loss was exactly zero.
        steps: updates until the total loss was not finite, that one included.
        diverged: whether it ever was not.
    """

    loss_sums: Tensor
    zero_steps: Tensor
    steps: Tensor
    diverged: Tensor

    def add(self, values: Tensor, total: Tensor) -> None:
        """Count an update whose losses have these values [losses], and this total."""
        # In place: a recorded update goes on with the tensors that it was recorded with.
        self.loss_sums += values
        self.zero_steps += 1
        self.zero_steps *= values == 0
        self.steps += ~self.diverged
        self.diverged |= ~total.isfinite()


def no_tallies(losses: int, device: torch.device) -> Tallies:
    """Of so many losses, before the first update."""
    sums = torch.zeros(losses, dtype=torch.float64, device=device)
    steps = torch.zeros((), dtype=torch.int64, device=device)
    return Tallies(sums, torch.zeros_like(sums, dtype=torch.int64), steps, steps.bool())

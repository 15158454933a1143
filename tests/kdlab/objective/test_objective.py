"""The objective adds up what its terms say."""

import pytest
import torch
from composed import compose

from kdlab.config.rehearsal import _trace
from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput
from kdlab.models import costs
from kdlab.objective.objective import Objective, matched_layers, task_loss


def objective(*overrides: str) -> tuple[Objective, dict[str, torch.Tensor]]:
    run = compose(*overrides)
    made = Objective(run, run.teacher.student, steps=100)
    labels = torch.tensor([0, 1])
    found = made(_trace(run.student, 2), _trace(run.teacher.student, 2), labels, 0)
    return made, {name: loss.detach() for name, loss in found.items()}


LAYERED = ("size=l3_h48_a4", "knowledge=[hidden_mse,value_relation]")


def test_a_term_is_the_mean_over_its_pairs_or_their_sum():
    singles = [
        objective(*LAYERED, "matching=custom", f"matching.pairs=[[{s},{t}]]")[1]
        for s, t in ((1, 1), (2, 3), (3, 4))
    ]
    pairs = "matching.pairs=[[1,1],[2,3],[3,4]]"
    _, mean = objective(*LAYERED, "matching=custom", pairs)
    _, summed = objective(*LAYERED, "matching=custom", pairs, "matching.mass=pairs")
    for key in ("hidden_mse", "value_relation"):
        total = sum(float(single[key]) for single in singles)
        assert float(summed[key]) == pytest.approx(total, rel=1e-5)
        assert float(mean[key]) == pytest.approx(total / 3, rel=1e-5)


def test_the_total_is_the_weighted_sum():
    made, losses = objective(
        "knowledge=[logits_kl,hidden_mse]", "knowledge.hidden_mse.weight=10", "hard.weight=0.5"
    )
    expected = 0.5 * losses["hard"] + losses["logits_kl"] + 10 * losses["hidden_mse"]
    torch.testing.assert_close(made.total(losses, 0), expected)


def test_only_matched_layers_are_traced():
    run = compose("size=l3_h64_a4", "knowledge=[hidden_mse,logits_kl]", "matching=pkd_last")
    assert matched_layers(run.terms) == (frozenset({1, 2}), frozenset({2, 3}))


@pytest.mark.parametrize("name", ["attention_kl", "attention_ce", "attention_mse"])
def test_head_means_meet_where_head_counts_differ(name):
    sizes = ("size=l3_h64_a2", "teacher.size=l3_h64_a4", "matching=last")
    with pytest.raises(BadInput, match=f"knowledge.{name}: unequal heads: .* 2, the teacher 4"):
        compose(*sizes, f"knowledge={name}")
    _, losses = objective(*sizes, f"knowledge={name}_mean")
    assert losses[f"{name}_mean"] > 0


def test_the_hard_loss_ignores_rows_without_a_label():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    known = task_loss(logits[:2], torch.tensor([0, 1]), "classification")
    assert task_loss(logits, torch.tensor([0, 1, -100]), "classification") == known
    assert task_loss(logits, torch.full((3,), -100), "classification") == 0
    nan = float("nan")
    assert task_loss(torch.tensor([[1.0], [9.0]]), torch.tensor([3.0, nan]), "regression") == 4.0
    assert task_loss(torch.tensor([[1.0]]), torch.tensor([nan]), "regression") == 0


def test_bert_base_has_the_flops_that_the_literature_gives_it():
    assert costs.inference_flops(Architecture("bert", 12, 768, 12, 3072)) / 1e9 == pytest.approx(
        22.4, abs=0.06
    )
    # TinyBERT4: 1.2 G (Jiao et al. 2020, arXiv 1909.10351, table 1).
    assert costs.inference_flops(Architecture("bert", 4, 312, 12, 1200)) / 1e9 == pytest.approx(
        1.2, abs=0.05
    )

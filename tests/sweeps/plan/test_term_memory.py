"""What a term of knowledge takes: counted without values, against tensors that have some."""

from dataclasses import replace

import pytest
import torch
from composed import compose
from saved_tensors import counting
from torch import Tensor

from kdlab.objective.term_loss import Moment, TermLoss
from kdlab.options.callables import Call
from sweeps.plan import term_memory
from sweeps.plan.activations import Pass
from sweeps.plan.term_memory import term_bytes

BATCH = Pass(rows=8, tokens=32, on_gpu=False, is_bf16=False)
OUTPUTS = (8, 2)
SIZES = ("teacher.size=l3_h128_a4", "size=l3_h64_a4")


def asks_for_values(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    gap = (student - teacher).abs().mean()
    return gap if gap.item() > 0 else 0 * gap


def term_of(*overrides):
    run = compose(*SIZES, *overrides)
    return run.terms[0], run.student, run.teacher.student


def saved(term, student, teacher) -> int:
    """Bytes of the tensors that a term's loss keeps for its backward pass."""
    shape = (BATCH, OUTPUTS)
    with torch.device("cpu"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_memory, "META", torch.device("cpu"))
        pairs = term.matching.pairs if term.matching else ()
        layers = [[pair[side] for pair in pairs] for side in (0, 1)]
        learner = term_memory._trace(student, *shape, layers[0], learns=True)
        traces = learner, term_memory._trace(teacher, *shape, layers[1], learns=False)
    loss = TermLoss(term, student, teacher, seed=0)
    given = [x for of in traces for x in (*of.hidden, of.logits, of.mask)]
    given += [x for of in traces for h in of.heads.values() for x in (h.query, h.key, h.value)]
    pack, sizes = counting((*given, *loss.parameters()))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss(*traces, Moment(0, 0, 0.0), torch.sum)
    return sum(sizes.values())


@pytest.mark.parametrize(
    "overrides",
    [
        ("knowledge=attention_kl", "matching=last"),
        ("knowledge=attention_mse", "matching=skip"),
        ("knowledge=hidden_mse", "matching=skip"),
        ("knowledge=value_relation", "matching=last1"),
        ("knowledge=ckd_word_triple", "matching=last1"),
    ],
)
def test_a_term_keeps_what_it_keeps_on_tensors_with_values(overrides):
    term, student, teacher = term_of(*overrides)
    counted = term_bytes(term, student, teacher, BATCH, OUTPUTS)
    assert counted.kept == pytest.approx(saved(term, student, teacher), rel=0.1)
    assert counted.peak > counted.kept > 0


def test_what_is_counted_of_one_pair_is_there_for_each():
    one, student, teacher = term_of("knowledge=hidden_mse", "matching=last1")
    three, *_ = term_of("knowledge=hidden_mse", "matching=last")
    assert (len(one.matching.pairs), len(three.matching.pairs)) == (1, 3)
    first = term_bytes(one, student, teacher, BATCH, OUTPUTS)
    every = term_bytes(three, student, teacher, BATCH, OUTPUTS)
    assert every.kept == 3 * first.kept
    assert every.peak == first.peak + 2 * first.kept
    assert every.learned == 3 * first.learned == 3 * (64 + 1) * 128
    shared, *_ = term_of(
        "knowledge=hidden_mse", "matching=last", "+knowledge.hidden_mse.projection_shared=true"
    )
    assert term_bytes(shared, student, teacher, BATCH, OUTPUTS).learned == first.learned


def test_a_matching_that_weighs_takes_the_losses_of_all_pairs():
    weighed, student, teacher = term_of("knowledge=hidden_mse", "matching=emd")
    assert weighed.matching.weigh
    one, *_ = term_of("knowledge=hidden_mse", "matching=last1")
    first = term_bytes(one, student, teacher, BATCH, OUTPUTS)
    assert term_bytes(weighed, student, teacher, BATCH, OUTPUTS).kept == 9 * first.kept
    mixed, *_ = term_of("knowledge=hidden_mse", "matching=alp_kd")
    assert term_bytes(mixed, student, teacher, BATCH, OUTPUTS).kept > first.kept


def test_a_loss_that_asks_for_values_counts_by_the_size_of_its_views():
    term, student, teacher = term_of("knowledge=hidden_mse", "matching=last")
    own = replace(term, loss=Call(f"{__name__}.asks_for_values", {}))
    found = term_bytes(own, student, teacher, BATCH, OUTPUTS)
    views = 4 * 8 * 32 * (64 + 128)
    assert found.kept == found.peak == 3 * term_memory.VIEWS * views

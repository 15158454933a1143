"""What a run costs: rows seen, and the time of a forward pass."""

import pytest
import torch
from composed import compose
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

import kdlab
from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES, configuration
from kdlab.models import costs
from kdlab.models.attention_heads import implementation
from kdlab.training import loop, stopping

TRANSFER = ("data=unlabelled", "data.rows=90", "data.extra_rows=70", "knowledge=logits_kl")


@pytest.fixture
def seen(monkeypatch):
    """The rows of every batch that a student is trained on."""
    counted = []
    original = loop.student_state.update

    def update(learner, batch, *rest):
        counted.append((learner.run.uid, len(batch.labels)))
        original(learner, batch, *rest)
        if len(counted) == 12:  # in the middle of the student, after its teacher if it has one
            stopping.stop.set()

    monkeypatch.setattr(loop.student_state, "update", update)
    yield counted
    stopping.stop.clear()


@pytest.mark.parametrize("more", [("knowledge=none",), ("train.stop=0.9", *TRANSFER)])
def test_examples_seen_are_the_rows_of_the_batches_through_stop_and_resume(
    small, tmp_path, seen, more
):
    run = compose(*small, "threads=1", "train.batch_size=17", *more)
    where = {"root": str(tmp_path), "threads": 1}
    with pytest.raises(stopping.Stopped):
        kdlab.distill(run, **where)
    stopping.stop.clear()
    found = kdlab.distill(run, **where)
    rows = [rows for uid, rows in seen if uid == run.uid]
    assert len(rows) == found.result["steps"]
    assert min(rows) < 17, "no smaller batch: steps times batch size would be right too"
    assert found.result["examples_seen"] == sum(rows)


def test_a_diverged_run_says_what_it_saw(small, tmp_path):
    run = compose(*small, "threads=1", "knowledge=none", "train.lr=1e30", "train.clip=1e30")
    found = kdlab.distill(run, root=str(tmp_path), threads=1)
    assert found.result["status"] == "diverged"
    assert found.result["examples_seen"] == 16 * found.result["steps"] > 0
    assert found.cost["latency"] > 0


def model_of(family: str, layers: int, kind=AutoModelForSequenceClassification):
    special = {name: 1 for name in FAMILIES[family].ids}
    shape = configuration(Architecture(family, layers, 64, 2, 256))
    config = AutoConfig.for_model(family, vocab_size=40, **special, **shape)
    return kind.from_config(config, attn_implementation=implementation(family)).train()


@pytest.mark.parametrize("kind", [AutoModelForSequenceClassification, AutoModelForMaskedLM])
@pytest.mark.parametrize("family", FAMILIES)
def test_latency_leaves_a_model_and_the_random_streams_as_they_were(family, kind):
    model = model_of(family, 2, kind)
    given = []
    model.register_forward_hook(
        lambda own, _, inputs, __: given.append((own.training, inputs["input_ids"].shape)),
        with_kwargs=True,
    )
    before = torch.get_rng_state()
    found = costs.measured_latency(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert found > 0
    assert set(given) == {(False, (1, costs.FLOP_TOKENS))}
    assert 2 <= len(given) <= 1 + costs.PASSES
    assert all(parameter.grad is None for parameter in model.parameters())


def test_latency_is_the_median_in_milliseconds_after_a_first_pass(monkeypatch):
    model = model_of("bert", 1)
    # The first pass takes 7 s; one alone is timed after it, whatever it takes.
    clock = iter([0.0, 7.0, 10.0, 10.25])
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(clock))
    assert costs.measured_latency(model) == 250.0
    clock = iter([0, 0.1, 1, 1.001, 2, 2.002, 3, 3.009, 4, 4.003, 5, 5.002, 6])
    assert costs.measured_latency(model) == 2.0


def test_latency_is_measured_once_for_an_architecture_and_a_machine(monkeypatch, tmp_path):
    """Students that differ in their weights alone have one number, whichever process measures."""
    times = iter(range(1, 99))
    monkeypatch.setattr(costs, "measured_latency", lambda model, tokens: float(next(times)))
    one, other = (Architecture("bert", depth, 64, 2, 256) for depth in (1, 2))

    def latency(own, kind=AutoModelForSequenceClassification, root=tmp_path):
        return costs.latency(model_of("bert", own.layers, kind), own, root)

    assert [latency(one), latency(one), latency(other), latency(one)] == [1.0, 1.0, 2.0, 1.0]
    assert latency(one, AutoModelForMaskedLM) == 3.0  # with every token's outputs
    assert latency(one, root=tmp_path / "elsewhere") == 4.0
    monkeypatch.setattr(costs, "machine", lambda device: "another")
    assert [latency(one), latency(one)] == [5.0, 5.0]
    monkeypatch.setattr(costs.torch, "get_num_threads", lambda: 99)
    assert latency(one) == 6.0
    for path in (tmp_path / "latency").glob("*.json"):
        path.write_text('{"latency": null}')
    assert [latency(one), latency(one)] == [7.0, 7.0]

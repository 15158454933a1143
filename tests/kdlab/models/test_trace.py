"""The trace sees what the model computes."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES, configuration
from kdlab.losses import attention, hidden, relation
from kdlab.models.attention_heads import NAME, implementation
from kdlab.models.trace import PredictedTokens, Trace, inference_logits, trace
from kdlab.objective import views

ENCODERS = sorted(FAMILIES)
DECODERS = {  # no families yet: what looks at a model must take them all the same
    "gpt2": {"n_layer": 3, "n_embd": 32, "n_head": 4},
    "llama": {"num_key_value_heads": 2},
    "mistral": {"num_key_value_heads": 1, "sliding_window": 4},
}
WINDOW = {"modernbert": {"local_attention": 6}}  # three tokens to each side


def build(family: str, attention: str | None = None) -> torch.nn.Module:
    torch.manual_seed(0)
    model = Architecture(family if family in FAMILIES else "bert", 3, 32, 4, 64)
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0)
    ids |= {"cls_token_id": 1, "sep_token_id": 2, "vocab_size": 50, "num_labels": 3}
    page = configuration(model) | ids | DECODERS.get(family, {}) | WINDOW.get(family, {})
    config = AutoConfig.for_model(family, **page)
    return AutoModelForSequenceClassification.from_config(
        config, attn_implementation=attention or implementation(family)
    ).eval()


def batch() -> dict[str, torch.Tensor]:
    ids = torch.arange(1, 21).view(2, 10)
    mask = torch.ones(2, 10, dtype=torch.long)
    mask[1, 6:] = 0
    return {"input_ids": ids.masked_fill(mask == 0, 0), "attention_mask": mask}


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_scores_are_those_of_eager_attention(family):
    """Rows are longer than a window, and one ends long before the batch does."""
    eager = build(family, "eager")(**batch(), output_attentions=True, output_hidden_states=True)
    with torch.no_grad():
        found = trace(build(family), batch(), frozenset({1, 2, 3}))
    assert set(found.heads) == {1, 2, 3}
    torch.testing.assert_close(found.logits, eager.logits, atol=1e-5, rtol=1e-5)
    assert len(found.hidden) == 4
    for layer in (1, 2, 3):
        scores, mask = views.attention_scores(found, layer)
        assert scores.shape == (2, 4, 10, 10)
        scores = scores.masked_fill(~mask[:, None, None, :], -1e30)
        ours, theirs = (
            x.transpose(1, 2)[mask] for x in (scores.softmax(-1), eager.attentions[layer - 1])
        )
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
        assert (ours == 0).equal(theirs == 0)
        states, _ = views.tokens(found, layer)
        torch.testing.assert_close(
            states[mask], eager.hidden_states[layer][mask], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_layers_above_those_looked_at_are_not_computed(family):
    """States are the same bits, outputs are no numbers, and afterwards the model is whole."""
    model = build(family)
    with torch.no_grad():
        whole = trace(model, batch(), frozenset({1}))
        part = trace(model, batch(), frozenset({1}), depth=1)
        again = trace(model, batch(), frozenset({1}), depth=2)
    assert len(part.hidden) == 3
    assert torch.equal(part.hidden[1], whole.hidden[1])
    assert torch.equal(part.heads[1].query, whole.heads[1].query)
    assert part.logits.isnan().all()
    assert torch.equal(again.logits, whole.logits)


@pytest.mark.parametrize(
    ("family", "seen"),
    [
        ("bert", [[10, 10], [10, 10], [10, 10]]),
        ("modernbert", [[10, 10], [4, 7], [4, 7]]),
        ("llama", [[1, 6], [1, 6], [1, 6]]),
        ("mistral", [[1, 4], [1, 4], [1, 4]]),
    ],
)
def test_a_query_sees_what_its_layer_lets_it_see(family, seen):
    """The keys that the first and the sixth token of an unpadded row see, layer by layer."""
    row = {name: tensor[:1] for name, tensor in batch().items()}
    with torch.no_grad():
        found = trace(build(family), row, frozenset({1, 2, 3}))
    scores = [views.attention_scores(found, layer)[0] for layer in (1, 2, 3)]
    assert [[int((x[0, 0, q] > views.UNSEEN).sum()) for q in (0, 5)] for x in scores] == seen


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_stock_attention_gives_the_same_bits(family):
    as_published = "sdpa" if implementation(family) == NAME else "eager"
    stock = build(family, as_published)(**batch(), output_hidden_states=True)
    with torch.no_grad():
        found = trace(build(family), batch(), frozenset({2}))
    assert torch.equal(found.logits, stock.logits)
    assert all(map(torch.equal, found.hidden, stock.hidden_states))


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_losses_take_every_family_and_train_it(family):
    """Also where a window leaves a padded query nothing to see: its gradient is no NaN."""
    teacher, student = build(family), build(family)
    with torch.no_grad():
        same, shown = (trace(model, batch(), frozenset({2})) for model in (student, teacher))
        for parameter in student.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    found = trace(student, batch(), frozenset({2}))

    def losses(one: Trace) -> torch.Tensor:
        def compare(view, loss, **knobs):
            (ours, mask), (theirs, _) = view(one, 2), view(shown, 2)
            return loss(ours, theirs, mask, **knobs)

        return torch.stack([
            compare(views.attention_scores, attention.kl),
            compare(views.attention_scores, attention.mse),
            compare(views.values, relation.kl, relation_heads=2),
            compare(views.tokens, hidden.mse),
        ])  # fmt: skip

    assert losses(same).tolist() == [0.0] * 4
    assert (losses(found) > 0).all()
    losses(found).sum().backward()
    gradients = [p.grad for p in student.base_model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


def test_keys_that_query_heads_share_are_repeated_for_each():
    with torch.no_grad():
        heads = trace(build("llama"), batch(), frozenset({1})).heads[1]
    for states in (heads.key, heads.value):
        assert states.shape == heads.query.shape == (2, 4, 10, 8)
        assert torch.equal(states[:, 0], states[:, 1])
        assert torch.equal(states[:, 2], states[:, 3])
        assert not torch.equal(states[:, 1], states[:, 2])


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_a_model_is_given_segments_only_if_it_knows_two(family):
    """A tokenizer's segments reach BERT and ELECTRA, whatever other model shares the batch."""
    model = build(family)
    split = batch() | {"token_type_ids": torch.ones(2, 10, dtype=torch.long)}
    with torch.no_grad():
        plain, segments = (trace(model, x, frozenset()).logits for x in (batch(), split))
        assert torch.equal(inference_logits(model, split), segments)
    assert torch.equal(plain, segments) == (family not in ("bert", "electra"))


def test_padding_changes_nothing():
    model = build("bert")
    short = {name: tensor[1:, :6] for name, tensor in batch().items()}
    with torch.no_grad():
        alone, padded = trace(model, short, frozenset({2})), trace(model, batch(), frozenset({2}))
    torch.testing.assert_close(alone.logits[0], padded.logits[1], atol=1e-6, rtol=1e-5)
    for view in (views.cls, views.mean_tokens):
        one, other = view(alone, 2)[0][0], view(padded, 2)[0][1]
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_two_models_in_turn_do_not_mix():
    first, second = build("bert"), build("roberta")
    with torch.no_grad():
        one, two = trace(first, batch(), frozenset({1})), trace(second, batch(), frozenset({2}))
        again = trace(first, batch(), frozenset({1}))
    assert set(two.heads) == {2}
    assert torch.equal(one.heads[1].value, again.heads[1].value)


def test_attention_that_is_not_seen_is_an_error():
    with pytest.raises(RuntimeError, match=r"attention of layers \[2\] was not seen"):
        trace(build("bert", "eager"), batch(), frozenset({2}))


def test_views_of_embeddings_first_token_and_mean():
    hidden = torch.tensor([[[2.0], [4.0], [100.0]]])
    mask = torch.tensor([[True, True, False]])
    made = Trace(torch.zeros(1, 2), (hidden, -hidden), {}, mask)
    assert views.embeddings(made)[0].tolist() == hidden.tolist()
    assert views.embeddings(made)[1].tolist() == mask.tolist()
    assert views.mean_tokens(made, 0)[0].tolist() == [[3.0]]
    assert views.cls(made, 0)[0].tolist() == [[2.0]]


def test_the_view_of_embeddings_is_what_enters_the_first_layer():
    model = build("bert")
    with torch.no_grad():
        found, _ = views.embeddings(trace(model, batch(), frozenset()))
        assert torch.equal(found, model.bert.embeddings(batch()["input_ids"]))


def test_views_of_queries_and_keys_give_the_attention_scores():
    with torch.no_grad():
        made = trace(build("bert"), batch(), frozenset({2}))
    (query, mask), (key, _) = views.queries(made, 2), views.keys(made, 2)
    scores, _ = views.attention_scores(made, 2)
    torch.testing.assert_close(query @ key.transpose(2, 3) / query.shape[-1] ** 0.5, scores)
    mean, total = (
        f(made, 2)[0] for f in (views.mean_attention_scores, views.summed_attention_scores)
    )
    assert mean.shape == total.shape == (2, 1, 10, 10)
    torch.testing.assert_close(total, sum(scores[:, [head]] for head in range(4)))
    torch.testing.assert_close(4 * mean, total)
    assert torch.equal(mask, made.mask)
    assert not torch.equal(query, key)


def test_scores_of_a_family_with_relative_positions_have_their_bias():
    model = build("mpnet")
    with torch.no_grad():
        made = trace(model, batch(), frozenset({2}))
        bias = model.mpnet.encoder.compute_position_bias(made.hidden[1])
    (query, _), (key, _) = views.queries(made, 2), views.keys(made, 2)
    scores, mask = views.attention_scores(made, 2)
    plain = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    keys = mask[:, None, None, :].expand_as(scores)
    torch.testing.assert_close(scores[keys], (plain + bias)[keys])
    assert (scores[~keys] == views.UNSEEN).all()
    assert (bias.abs() > 1e-3).any()


def test_a_model_is_as_it_was_after_its_attention_was_watched():
    """Also where the pass ends in an error; a layer whose attention was not called is missing."""
    model = build("deberta-v2")
    forwards = [type(module).__name__ for module in model.modules() if "forward" in vars(module)]
    model.deberta.encoder.layer[1].attention.self.register_forward_pre_hook(_stop)
    with pytest.raises(OSError, match="stop"):
        trace(model, batch(), frozenset({1, 2}))
    assert forwards == [type(m).__name__ for m in model.modules() if "forward" in vars(m)]
    assert not any(m._forward_hooks for m in model.modules() if isinstance(m, torch.nn.Linear))


def _stop(module, arguments):
    raise OSError("stop")


def test_stacked_views_have_the_layers_in_the_order_given():
    with torch.no_grad():
        made = trace(build("bert"), batch(), frozenset())
    found, mask = views.stacked_tokens(made, [3, 1])
    assert found.shape == (2, 10, 2, 32)
    assert torch.equal(found[:, :, 0], made.hidden[3])
    assert torch.equal(found[:, :, 1], made.hidden[1])
    assert torch.equal(mask, made.mask)
    longer, _ = views.stacked_with_embedding(made, [3, 1])
    assert torch.equal(longer[:, :, 0], made.hidden[0])
    assert torch.equal(longer[:, :, 1:], found)


@pytest.mark.parametrize("family", ENCODERS)
def test_a_language_model_answers_only_where_it_is_asked(family):
    config = build(family).config
    model = AutoModelForMaskedLM.from_config(
        config, attn_implementation=implementation(family)
    ).eval()
    whole = model(**batch(), output_hidden_states=True)
    some = torch.zeros(2, 10, dtype=torch.bool)
    some[0, [2, 7]] = some[1, 3] = True
    real = batch()["attention_mask"].bool()
    for at in (some, real):
        asked = PredictedTokens(at.flatten().nonzero()[:, 0], some[at])
        found = trace(model, batch(), frozenset(), asked)
        torch.testing.assert_close(found.logits, whole.logits[at], atol=1e-5, rtol=1e-5)
        assert torch.equal(found.logits, inference_logits(model, batch(), asked))
        for ours, theirs in zip(found.hidden, whole.hidden_states, strict=True):
            assert torch.equal(ours, theirs)
        (logits, mask), (_, everywhere) = views.logits(found), views.token_logits(found)
        torch.testing.assert_close(logits[mask], whole.logits[some], atol=1e-5, rtol=1e-5)
        assert everywhere.all()
    found.logits.sum().backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0
    assert torch.equal(model(**batch()).logits, whole.logits), "something stayed behind"

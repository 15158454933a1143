"""The trace sees what the model computes."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from kdlab import views
from kdlab.trace import NAME, Asked, Trace, outputs, trace

DIMENSIONS = {
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 50,
    "num_labels": 3,
    "pad_token_id": 0,
}


def build(family: str, attention: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **DIMENSIONS)
    return AutoModelForSequenceClassification.from_config(
        config, attn_implementation=attention
    ).eval()


def batch() -> dict[str, torch.Tensor]:
    ids = torch.arange(1, 21).view(2, 10)
    mask = torch.ones(2, 10, dtype=torch.long)
    mask[1, 6:] = 0
    return {"input_ids": ids.masked_fill(mask == 0, 0), "attention_mask": mask}


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_scores_are_those_of_eager_attention(family):
    eager = build(family, "eager")(**batch(), output_attentions=True, output_hidden_states=True)
    with torch.no_grad():
        found = trace(build(family, NAME), batch(), frozenset({1, 3}))
    assert set(found.heads) == {1, 3}
    torch.testing.assert_close(found.logits, eager.logits, atol=1e-5, rtol=1e-5)
    assert len(found.hidden) == 4
    for layer in (1, 3):
        scores, mask = views.attention_scores(found, layer)
        scores = scores.masked_fill(~mask[:, None, None, :], -1e30)
        expected = eager.attentions[layer - 1]
        torch.testing.assert_close(scores.softmax(-1), expected, atol=1e-5, rtol=1e-4)
        hidden, _ = views.tokens(found, layer)
        torch.testing.assert_close(
            hidden[mask], eager.hidden_states[layer][mask], atol=1e-5, rtol=1e-4
        )


def test_padding_changes_nothing():
    model = build("bert", NAME)
    short = {name: tensor[1:, :6] for name, tensor in batch().items()}
    with torch.no_grad():
        alone, padded = trace(model, short, frozenset({2})), trace(model, batch(), frozenset({2}))
    torch.testing.assert_close(alone.logits[0], padded.logits[1], atol=1e-6, rtol=1e-5)
    for view in (views.cls, views.mean_tokens):
        one, other = view(alone, 2)[0][0], view(padded, 2)[0][1]
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_two_models_in_turn_do_not_mix():
    first, second = build("bert", NAME), build("roberta", NAME)
    with torch.no_grad():
        one, two = trace(first, batch(), frozenset({1})), trace(second, batch(), frozenset({2}))
        again = trace(first, batch(), frozenset({1}))
    assert set(two.heads) == {2}
    assert torch.equal(one.heads[1].value, again.heads[1].value)


def test_attention_that_is_not_seen_is_an_error():
    with pytest.raises(RuntimeError, match=r"attention of layers \[2\] was not seen"):
        trace(build("bert", "eager"), batch(), frozenset({2}))


def test_views_of_values_and_mean():
    hidden = torch.tensor([[[2.0], [4.0], [100.0]]])
    mask = torch.tensor([[True, True, False]])
    made = Trace(torch.zeros(1, 2), (hidden,), {}, mask)
    assert views.mean_tokens(made, 0)[0].tolist() == [[3.0]]
    assert views.cls(made, 0)[0].tolist() == [[2.0]]


def test_views_of_queries_and_keys_give_the_attention_scores():
    with torch.no_grad():
        made = trace(build("bert", NAME), batch(), frozenset({2}))
    (query, mask), (key, _) = views.queries(made, 2), views.keys(made, 2)
    scores, _ = views.attention_scores(made, 2)
    torch.testing.assert_close(query @ key.transpose(2, 3) / query.shape[-1] ** 0.5, scores)
    assert torch.equal(mask, made.mask)
    assert not torch.equal(query, key)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "modernbert"])
def test_a_language_model_answers_only_where_it_is_asked(family):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **DIMENSIONS)
    model = AutoModelForMaskedLM.from_config(config, attn_implementation=NAME).eval()
    whole = model(**batch(), output_hidden_states=True)
    some = torch.zeros(2, 10, dtype=torch.bool)
    some[0, [2, 7]] = some[1, 3] = True
    real = batch()["attention_mask"].bool()
    for at in (some, real):
        asked = Asked(at, some[at])
        found = trace(model, batch(), frozenset(), asked)
        torch.testing.assert_close(found.logits, whole.logits[at], atol=1e-5, rtol=1e-5)
        assert torch.equal(found.logits, outputs(model, batch(), asked))
        for ours, theirs in zip(found.hidden, whole.hidden_states, strict=True):
            assert torch.equal(ours, theirs)
        (logits, mask), (_, everywhere) = views.logits(found), views.token_logits(found)
        torch.testing.assert_close(logits[mask], whole.logits[some], atol=1e-5, rtol=1e-5)
        assert everywhere.all()
    found.logits.sum().backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0
    assert torch.equal(model(**batch()).logits, whole.logits), "something stayed behind"

"""The real MPNet, where `KDLAB_MPNET` is the folder of all-mpnet-base-v2; its family's other tests
have random weights."""

import os

import pytest
import torch
from composed import compose
from test_families import built

from kdlab.data import tokens
from kdlab.models import heads
from kdlab.models.trace import trace
from kdlab.objective import views

FOLDER = os.environ.get("KDLAB_MPNET")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="KDLAB_MPNET is not set")
TEXTS = [
    "A man is playing a guitar.",
    "Someone plays an instrument with strings.",
    "The committee rejected the budget.",
]


@pytest.fixture(scope="module")
def run():
    return compose(
        "task=cola", "task.path=glue", "teacher=mpnet_base", f"teacher.checkpoint={FOLDER}",
        "knowledge=attention_kl", "size=l3_h768", "init=teacher_skip",
    )  # fmt: skip


def test_a_student_copies_every_fourth_layer(run, tmp_path):
    source = heads.pretrained(heads.AutoModelForSequenceClassification, FOLDER)[0].mpnet.encoder
    student = built(run, tmp_path).mpnet.encoder
    assert torch.equal(
        student.relative_attention_bias.weight, source.relative_attention_bias.weight
    )
    for copied, layer in zip(student.layer, source.layer[3::4], strict=True):
        of_student, of_source = copied.state_dict(), layer.state_dict()
        assert all(torch.equal(of_student[name], of_source[name]) for name in of_source)


def test_its_sentences_and_its_attention_are_those_of_the_published_model():
    """Mean states of like sentences are near each other; attention is that of stock code."""
    model = heads.pretrained(heads.AutoModelForSequenceClassification, FOLDER)[0].eval()
    inputs = dict(tokens.pretrained(FOLDER)(TEXTS, padding=True, return_tensors="pt"))
    with torch.no_grad():
        made = trace(model, inputs, frozenset(range(1, 13)))
        stock = model(**inputs, output_attentions=True)
    assert torch.equal(made.logits, stock.logits)
    for layer in range(1, 13):
        scores, mask = views.attention_scores(made, layer)
        seen = scores.masked_fill(~mask[:, None, None, :], -1e30).softmax(-1)
        torch.testing.assert_close(seen, stock.attentions[layer - 1], atol=1e-6, rtol=1e-5)
    mean = torch.nn.functional.normalize(views.mean_tokens(made, 12)[0], dim=-1)
    like, unlike = float(mean[0] @ mean[1]), float(mean[0] @ mean[2])
    assert like > 0.5 > 0.2 > unlike

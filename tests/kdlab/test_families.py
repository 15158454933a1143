"""A RoBERTa teacher and student, with random weights (no hub here) and a tokenizer of its kind."""

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, RobertaTokenizerFast

import kdlab
from kdlab import models
from kdlab.config import compose
from kdlab.data.synthetic import generate

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.fixture(scope="module")
def roberta(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("roberta")
    text = generate("train", 200, words=8, length=10, sharpness=3.0)[0]["sentence"]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(list(text), vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    RobertaTokenizerFast(tokenizer_object=bpe._tokenizer, model_max_length=512).save_pretrained(
        folder
    )
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "roberta", num_hidden_layers=4, hidden_size=32, num_attention_heads=2,
        intermediate_size=128, vocab_size=300, num_labels=2, **models.FAMILIES["roberta"],
    )  # fmt: skip
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return str(folder)


def test_roberta_teaches_roberta(roberta, small, tmp_path):
    run = compose(
        *[text for text in small if not text.startswith("teacher")], "task.max_length=64",
        "teacher=checkpoint", "teacher.family=roberta", f"teacher.checkpoint={roberta}",
        "init=teacher_skip", "init.weights=finetuned", "knowledge=[attention_kl,hidden_mse]",
        "matching=skip", "threads=1",
    )  # fmt: skip
    assert run.student.family == "roberta"
    record = kdlab.distill(run, root=str(tmp_path), save=True, threads=1)
    assert record.result["status"] == "done"
    losses = record.result["curves"]["attention_kl"]
    assert 0 < losses[-1] < losses[0]
    stock = AutoModelForSequenceClassification.from_pretrained(models.folder(tmp_path, run.uid))
    assert type(stock).__name__ == "RobertaForSequenceClassification"


def test_a_teacher_that_is_trained_keeps_its_family(roberta, small):
    run = compose(
        *[text for text in small if not text.startswith(("teacher", "size"))],
        "teacher=roberta_base", f"teacher.checkpoint={roberta}", "teacher.size=l4_h32_a2",
        "size=l2_h32_a2", "init=teacher_first", "knowledge=hidden_mse",
    )  # fmt: skip
    assert run.teacher.student.family == "roberta"
    assert run.teacher.init.checkpoint == run.init.checkpoint == roberta
    assert run.tokenizer == run.teacher.tokenizer == roberta

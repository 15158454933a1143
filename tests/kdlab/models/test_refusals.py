"""Models that do not fit are refused by name when they are read, if no plan could have known it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from composed import compose
from transformers import AutoConfig, AutoModelForSequenceClassification

from kdlab.data import splits, tokens
from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import configuration
from kdlab.errors import BadInput
from kdlab.models import checkpoints
from kdlab.models.heads import load_with_head
from kdlab.models.student import build_student
from kdlab.models.teacher import load_teachers


def words(*texts: str):
    rows = splits.Rows(np.arange(len(texts)), [(text,) for text in texts], np.zeros(len(texts)))
    return tokens.word_level(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier of two classes that knows six words."""
    path = tmp_path_factory.mktemp("checkpoint")
    tokenizer = words("one two three", "four five six")
    tokenizer.save_pretrained(path)
    shape = configuration(Architecture("bert", 3, 32, 2, 128))
    config = AutoConfig.for_model("bert", vocab_size=len(tokenizer), **shape)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(path)
    return path


@pytest.fixture
def run(folder, small):
    own = [text for text in small if not text.startswith("teacher")]
    return compose(
        *own, "teacher=checkpoint", f"teacher.checkpoint={folder}", "teacher.insist=true",
        "knowledge=logits_kl", "init=teacher_first", "init.weights=finetuned",
    )  # fmt: skip


def test_a_teacher_with_other_classes_or_fewer_words(run, folder, tmp_path):
    def load(run, tokenizer):
        return load_teachers(run, tokenizer, None, str(tmp_path), torch.device("cpu"))

    known = tokens.pretrained(str(folder))
    assert len(load(run, known)) == 1
    with pytest.raises(BadInput, match="teacher: 2 outputs, synthetic has 3"):
        load(replace(run, task=replace(run.task, classes=3)), known)
    more = words("one two three four five six seven")
    with pytest.raises(BadInput, match="teacher: it knows 11 tokens, the tokenizer has 12"):
        load(run, more)


def test_weights_with_other_words(run, tmp_path):
    with pytest.raises(BadInput, match=r"\[11, 32\] in the source and \[7, 32\] in the student"):
        build_student(replace(run, tokenizer=None), words("one two"), str(tmp_path))


def test_a_classifier_is_no_language_model(run, folder):
    text = replace(run.task, masked=0.15)
    with pytest.raises(BadInput, match="has no masked-LM head .* is missing"):
        load_with_head(text, folder)


def test_a_folder_without_safe_weights_or_with_odd_names(tmp_path):
    page = {"model_type": "bert", "id2label": {"first": "no", "second": "yes"}}
    (tmp_path / "config.json").write_text(json.dumps(page))
    with pytest.raises(BadInput, match="no .safetensors file"):
        checkpoints.identity(str(tmp_path))
    with pytest.raises(BadInput, match="id2label in config.json is not numbered"):
        checkpoints.output_names(str(tmp_path))

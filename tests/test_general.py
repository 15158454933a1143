"""General distillation from end to end on real prose with a real pre-trained encoder."""

import pytest
import torch
from composed import compose
from transformers import AutoModel

import kdlab
from kdlab.models import checkpoints

pytestmark = pytest.mark.minilm


@pytest.fixture(scope="module")
def few(corpus, tmp_path_factory):
    """The first texts only: all of them take long to pack."""
    import pandas as pd

    path = tmp_path_factory.mktemp("corpus") / "few.parquet"
    pd.read_parquet(corpus)[:800].to_parquet(path)
    return (
        "task=corpus", f"task.path={path}", "task.document=doc", "task.words=24",
        "task.max_length=32", "task.report_rows=32", "protocol.select_max=16",
        "protocol.evaluations=2", "data.rows=192", "train.batch_size=16", "threads=1",
    )  # fmt: skip


@pytest.mark.long
def test_a_teacher_learns_its_head_and_teaches_text(few, tmp_path):
    run = compose(
        *few, "teacher=minilm_l6", "teacher.lr=1e-3", "teacher.epochs=1", "size=l3_h384",
        "init=teacher_skip", "train.epochs=1", "train.lr=3e-4", "seed=3", "matching=skip",
        "knowledge=[logits_kl,hidden_mse,attention_kl]", "knowledge.logits_kl.temperature=2",
    )  # fmt: skip
    result = kdlab.distill(run, root=str(tmp_path), save=True, threads=1).result
    curves = result["curves"]
    assert all(0 < curves[name][1] < curves[name][0] for name in ("hard", "logits_kl"))
    assert set(result["shares"]["0.5"]) == {"hard", "logits_kl", "hidden_mse", "attention_kl"}
    assert min(result["shares"]["0.5"].values()) > 0
    assert set(result["scores"]) == {"select", "report"}
    assert set(result["scores"]["report"]) == {"mlm_accuracy", "mlm_likelihood"}
    teacher = kdlab.load(run.teacher, root=str(tmp_path))
    stock = AutoModel.from_pretrained(checkpoints.locate(run.teacher.init.origin.name))
    for name, parameter in teacher.bert.named_parameters():
        assert torch.equal(parameter, stock.get_parameter(name)), name
    taught = kdlab.records(tmp_path)[run.teacher.uid].result
    assert taught["curves"]["hard"][-1] < taught["curves"]["hard"][0]


def test_a_language_model_from_nothing_learns_real_text(few, tmp_path):
    run = compose(
        *few, "teacher=none", "knowledge=none", "tokenizer=null", "size=l2_h64_a4",
        "train.epochs=6", "train.lr=5e-3",
    )  # fmt: skip
    result = kdlab.distill(run, root=str(tmp_path), threads=1).result
    assert result["curves"]["hard"][-1] < result["curves"]["hard"][0] - 0.3
    assert result["scores"]["report"]["mlm_likelihood"] > 1 / 500

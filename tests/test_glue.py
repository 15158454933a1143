"""End to end on real rows with a real pre-trained encoder, a few dozen rows of each."""

import numpy as np
import pytest
import torch
from composed import compose
from transformers import AutoModel

import kdlab
from kdlab.errors import BadInput
from kdlab.models import checkpoints, saved_files
from kdlab.models.student import build_student

pytestmark = pytest.mark.minilm
FEW = (
    "teacher=minilm_l6", "teacher.epochs=1", "data.rows=32", "train.epochs=1", "train.batch_size=8",
    "size=l3_h384", "task.max_length=32", "protocol.select=0.01", "threads=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def small_glue(glue, tmp_path_factory):
    """Real rows, but only forty to score: dev sets take too long on two cores."""
    import pandas as pd

    root = tmp_path_factory.mktemp("glue")
    for task in ("RTE", "STS-B", "MRPC", "SST-2"):
        (root / task).mkdir()
        for split, rows in (("train", 2000), ("dev", 40), ("test", 40)):
            table = pd.read_parquet(f"{glue}/{task}/{split}.parquet")
            table[:rows].to_parquet(root / task / f"{split}.parquet")
    return str(root)


def test_the_readmes_run_trains_a_missing_teacher_and_scores(small_glue, tmp_path):
    run = compose(
        *FEW, "task=sst2", f"task.path={small_glue}", "init=teacher_first", "seed=3",
        "knowledge=[logits_kl,cls_pkd]", "matching=skip",
    )  # fmt: skip
    record = kdlab.distill(run, root=str(tmp_path), threads=1)
    assert set(record.result["scores"]["report"]) == {"accuracy"}
    assert set(kdlab.records(tmp_path)) == {run.uid, run.teacher.uid}
    assert saved_files.folder(tmp_path, run.teacher.uid).is_dir()
    assert record.cost["parameters"]["embeddings"] == (30522 + 512 + 2) * 384 + 2 * 384


def test_a_regression_task_and_a_task_of_two_metrics(small_glue, tmp_path):
    stsb = compose(*FEW, "task=stsb", f"task.path={small_glue}", "knowledge=logits")
    assert stsb.choices["knowledge"] == "logits_mse"
    result = kdlab.distill(stsb, root=str(tmp_path), threads=1).result
    assert set(result["scores"]["report"]) == {"pearson", "spearman"}
    assert "mse" in result["agreement"]["report"]
    mrpc = compose(*FEW, "task=mrpc", f"task.path={small_glue}", "knowledge=none", "teacher=none",
                   "init=random", "tokenizer=null")  # fmt: skip
    result = kdlab.distill(mrpc, root=str(tmp_path), threads=1).result
    assert set(result["scores"]["report"]) == {"f1", "accuracy"}


def test_the_test_split_as_transfer_set(small_glue, tmp_path):
    run = compose(
        *FEW, "task=rte", f"task.path={small_glue}", "init=teacher_first", "hard.weight=0",
        "knowledge=logits_kl", "data=unlabelled", "data.rows=32", "data.extra_split=test",
    )  # fmt: skip
    result = kdlab.distill(run, root=str(tmp_path), threads=1).result
    assert result["curves"]["hard"] != []
    assert result["steps"] == 4


def test_students_start_with_the_teachers_own_tensors(small_glue, tmp_path):
    folder = checkpoints.locate(compose(*FEW, "task=rte", f"task.path={small_glue}",
                                        "init=teacher_last").init.origin.name)  # fmt: skip
    source = AutoModel.from_pretrained(folder).state_dict()
    from kdlab.data import tokens

    tokenizer = tokens.pretrained(str(folder))
    for init, layers in (("first", [0, 1, 2]), ("last", [3, 4, 5]), ("skip", [1, 3, 5])):
        runs = [
            compose(
                *FEW, "task=rte", f"task.path={small_glue}", f"init=teacher_{init}", f"seed={s}"
            )
            for s in (1, 2)
        ]
        built = [build_student(run, tokenizer, str(tmp_path)) for run in runs]
        own = built[0].base_model.state_dict()
        for position, layer in enumerate(layers):
            for name in ("attention.self.query.weight", "output.dense.bias"):
                assert torch.equal(
                    own[f"encoder.layer.{position}.{name}"], source[f"encoder.layer.{layer}.{name}"]
                )
        assert torch.equal(
            own["embeddings.word_embeddings.weight"], source["embeddings.word_embeddings.weight"]
        )
        heads = [model.classifier.weight for model in built]
        assert not torch.equal(*heads)
        assert np.isclose(heads[0].std().item(), 0.02, rtol=0.1)
        random = compose(*FEW, "task=rte", f"task.path={small_glue}", "init=random", "seed=1")
        assert torch.equal(
            build_student(random, tokenizer, str(tmp_path)).classifier.weight, heads[0]
        )


def test_unequal_width_is_refused_by_name(small_glue):
    with pytest.raises(
        BadInput, match="init=teacher_first: unequal hidden: the student has 128, the"
    ):
        compose(*FEW, "task=rte", f"task.path={small_glue}", "size=tiny", "init=teacher_first")


def test_a_finished_checkpoint_serves_as_teacher(small_glue, tmp_path):
    first = compose(*FEW, "task=rte", f"task.path={small_glue}", "knowledge=logits_kl")
    kdlab.distill(first, root=str(tmp_path), threads=1)
    folder = saved_files.folder(tmp_path, first.teacher.uid)
    given = [text for text in FEW if not text.startswith("teacher")]
    run = compose(
        *given, "task=rte", f"task.path={small_glue}", "teacher=checkpoint",
        f"teacher.checkpoint={folder}", "knowledge=hidden_mse", "matching=last",
    )  # fmt: skip
    assert run.teacher is None
    assert run.terms[0].matching.pairs == ((1, 4), (2, 5), (3, 6))
    assert kdlab.distill(run, root=str(tmp_path), threads=1).result["status"] == "done"

"""A student trains with the words of its task alone, and is what it would have been."""

import pytest
import torch
from composed import compose
from safetensors.torch import load_file

import kdlab
from kdlab.models import saved_files
from kdlab.training import task_vocabulary

PARTS = ("threads=1", "knowledge=[logits_kl,cls_pkd]", "matching=skip", "train.weight_decay=0.3")
SEVERAL = ("protocol.evaluations=4", "protocol.checkpoint=best_select")


@pytest.fixture
def many_words(monkeypatch):
    """Let embeddings be nearly all of words that the task does not have."""
    from kdlab.models import student

    monkeypatch.setattr(student, "_vocabulary", lambda *_: 500)


@pytest.mark.parametrize("more", [(), SEVERAL, ("train=bert_adam", "train.lr=1e-3")])
def test_a_student_is_what_it_would_have_been(small, tmp_path, monkeypatch, many_words, more):
    run = compose(*small, *PARTS, *more)
    folders, results, shrunk = [], [], []
    decay = task_vocabulary._decay
    monkeypatch.setattr(task_vocabulary, "_decay", lambda *of: shrunk.append(1) or decay(*of))
    for share in (0.0, 0.5):
        monkeypatch.setattr(task_vocabulary, "SHARE", share)
        root = str(tmp_path / str(share))
        results.append(kdlab.distill(run, root=root, threads=1, save=True).result)
        folders.append(saved_files.folder(root, run.uid))
    assert len(shrunk) == 2  # the teacher and the student, once each
    whole, part = (load_file(folder / "model.safetensors") for folder in folders)
    assert whole.keys() == part.keys()
    for name, tensor in whole.items():
        assert torch.allclose(tensor, part[name], rtol=1e-4, atol=1e-6), name
    assert results[0]["scores"] == results[1]["scores"]
    for name, losses in results[0]["curves"].items():
        assert results[1]["curves"][name] == pytest.approx(losses, rel=1e-4)
    shares = zip(results[0]["shares"].values(), results[1]["shares"].values(), strict=True)
    for one, other in shares:
        assert other == pytest.approx(one, rel=1e-4)

"""Every family teaches and learns: random weights (no hub here), tokenizers of their kinds."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from composed import compose
from safetensors.torch import load_file
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, RobertaTokenizerFast

import kdlab
from kdlab.data import splits, tokens
from kdlab.data.synthetic import generate
from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES, configuration
from kdlab.errors import BadInput, NotApplicable
from kdlab.models import checkpoints, costs, saved_files
from kdlab.models.student import build_student
from kdlab.models.teacher import load_teachers
from kdlab.storage import example_outputs
from kdlab.training.scoring import predict

PADS_WITH_1 = ("roberta", "mpnet")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
OPTIONS = {  # a teacher of each family that is a run
    "bert": "bert_base",
    "roberta": "roberta_base",
    "distilbert": "distilbert_base",
    "electra": "electra_base",
    "modernbert": "modernbert_base",
    "mpnet": "mpnet_base",
    "deberta-v2": "deberta_v3_base",
}
CLASSES = {name: f"{stem}ForSequenceClassification" for name, stem in [
    ("bert", "Bert"), ("roberta", "Roberta"), ("distilbert", "DistilBert"),
    ("electra", "Electra"), ("modernbert", "ModernBert"), ("mpnet", "MPNet"),
    ("deberta-v2", "DebertaV2"),
]}  # fmt: skip


@pytest.fixture(scope="module")
def text() -> list[str]:
    return list(generate("train", 200, words=8, length=10, sharpness=3.0)[0]["sentence"])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, text):
    """The folder of a random classifier of a family, four layers, with its tokenizer; each once."""
    room = tmp_path_factory.mktemp("checkpoints")

    def folder(family: str) -> str:
        path = room / family
        if not path.exists():
            _write(path, family, _bpe(text) if family in PADS_WITH_1 else _words(text, family))
        return str(path)

    return folder


def _bpe(text):
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(text, vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    return RobertaTokenizerFast(tokenizer_object=bpe._tokenizer, model_max_length=512)


def _words(text, family):
    rows = splits.Rows(np.arange(len(text)), [(x,) for x in text], np.zeros(len(text)))
    tokenizer = tokens.word_level(rows)
    if family in ("distilbert", "modernbert"):  # theirs know no segments
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def _write(path: Path, family: str, tokenizer, **own) -> None:
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    # Weights so large that attention is far from uniform.
    page = configuration(Architecture(family, 4, 32, 2, 128)) | {"initializer_range": 0.2} | own
    ids = {key: getattr(tokenizer, key) for key in FAMILIES[family].ids}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), num_labels=2, **ids, **page)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(path)


def finished(family: str, path: str) -> list[str]:
    """The overrides of a finished teacher; with random weights it is no better than chance."""
    own = ["teacher=checkpoint", f"teacher.family={family}", f"teacher.checkpoint={path}"]
    return [*own, "teacher.insist=true"]


def without_teacher(small) -> list[str]:
    return [text for text in small if not text.startswith("teacher")]


def test_the_families_are_those_that_a_page_may_name():
    assert set(OPTIONS) == set(FAMILIES) == set(CLASSES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_teaches_itself(family, checkpoint, small, tmp_path):
    """Attention and hidden states come closer, and stock transformers reads what comes out."""
    run = compose(
        *without_teacher(small), "task.max_length=64", *finished(family, checkpoint(family)),
        "knowledge=[attention_kl,attention_mse,hidden_mse,value_relation]", "matching=skip",
        "train.epochs=4", "hard.weight=0",
    )  # fmt: skip
    assert run.student == Architecture(family, 2, 32, 2, 128)
    found = kdlab.distill(run, root=str(tmp_path), save=True, threads=1)
    assert found.result["status"] == "done"
    for name in ("attention_kl", "attention_mse", "hidden_mse", "value_relation"):
        losses = found.result["curves"][name]
        assert 0 < losses[-1] < losses[0], name
    folder = saved_files.folder(tmp_path, run.uid)
    stock = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert type(stock).__name__ == CLASSES[family]
    assert "kdlab" not in (folder / "config.json").read_text()
    assert set(load_file(folder / "model.safetensors")) == set(stock.state_dict())
    rows = splits.split(run.task, run.source.bind()(), run.protocol)["report"]
    data = tokens.encode(rows, tokens.pretrained(str(folder)), 64, 2)
    again = predict(stock, data, torch.device("cpu")).astype(np.float16)
    assert np.array_equal(again, example_outputs.read_outputs(tmp_path, found, "report"))


def test_modernbert_teaches_on_rows_longer_than_its_window(checkpoint, small, tmp_path):
    run = compose(
        *without_teacher(small), "task.length=150", "task.max_length=160", "task.train_rows=100",
        *finished("modernbert", checkpoint("modernbert")), "matching=first", "train.lr=3e-3",
        "knowledge=[attention_kl,hidden_mse]", "hard.weight=0",
    )  # fmt: skip
    result = kdlab.distill(run, root=str(tmp_path), threads=1).result
    assert result["status"] == "done"
    assert 0 < result["curves"]["attention_kl"][-1] < result["curves"]["attention_kl"][0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_teacher_that_is_trained_starts_from_its_checkpoint(family, checkpoint, small, tmp_path):
    path = checkpoint(family)
    run = compose(
        *without_teacher(small), f"teacher={OPTIONS[family]}", f"teacher.checkpoint={path}",
        "teacher.size=l4_h32_a2", "init=teacher_first", "knowledge=hidden_mse",
    )  # fmt: skip
    assert run.teacher.student == Architecture(family, 4, 32, 2, 128)
    assert run.teacher.init.origin.name == run.init.origin.name == path
    assert run.tokenizer == run.teacher.tokenizer == path
    source = AutoModelForSequenceClassification.from_pretrained(path).base_model.state_dict()
    teacher, student = built(run.teacher, tmp_path), built(run, tmp_path)
    assert same_tensors(teacher.base_model.state_dict(), source) == set(source)
    # Names of layers say which: those of the student's two are the source's first two.
    assert same_tensors(student.base_model.state_dict(), source) == set(
        student.base_model.state_dict()
    )


def built(run, root):
    return build_student(run, tokens.pretrained(run.tokenizer), str(root))


def same_tensors(one, other) -> set[str]:
    return {name for name in one if torch.equal(one[name], other[name])}


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "modernbert"])
def test_the_last_layers_are_copied_as_they_are(family, checkpoint, small, tmp_path):
    run = compose(
        *without_teacher(small), *finished(family, checkpoint(family)), "init=teacher_last",
        "init.weights=finetuned", "knowledge=logits_kl",
    )  # fmt: skip
    (teacher,) = load_teachers(
        run, tokens.pretrained(run.tokenizer), None, str(tmp_path), torch.device("cpu")
    )
    layers = [repeated(model.base_model) for model in (built(run, tmp_path), teacher)]
    assert len(layers[0]) == 2
    for ours, theirs in zip(layers[0], layers[1][2:], strict=True):
        assert same_tensors(ours.state_dict(), theirs.state_dict()) == set(ours.state_dict())


def repeated(base) -> torch.nn.ModuleList:
    return next(m for m in base.modules() if isinstance(m, torch.nn.ModuleList))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_classifier_is_of_the_seed_and_not_of_the_init(family, checkpoint, small, tmp_path):
    teacher = finished(family, checkpoint(family))
    heads = []
    for own in (["init=random"], ["init=teacher_first", "init.weights=finetuned"], ["seed=1"]):
        run = compose(*without_teacher(small), *teacher, "knowledge=logits_kl", *own)
        model = built(run, tmp_path)
        inner = {id(p) for p in model.base_model.parameters()}
        heads.append({n: p for n, p in model.named_parameters() if id(p) not in inner})
    matrices = [name for name, tensor in heads[0].items() if tensor.ndim > 1]
    assert same_tensors(heads[0], heads[1]) == set(heads[0]) >= set(matrices) > set()
    assert not same_tensors(heads[0], heads[2]) & set(matrices)


@pytest.mark.parametrize("family", [x for x in FAMILIES if x not in ("bert", "mpnet")])
def test_bert_teaches_another_family_that_reads_with_its_tokenizer(family, small, tmp_path):
    """The tokenizer has segments; only the teacher, and ELECTRA, are given them."""
    run = compose(
        *small, f"family={family}", "knowledge=[logits_kl,attention_kl,hidden_mse]",
        "matching=last", "train.epochs=4",
    )  # fmt: skip
    assert (run.teacher.student.family, run.student.family) == ("bert", family)
    result = kdlab.distill(run, root=str(tmp_path), threads=1).result
    assert result["status"] == "done"
    for name in ("logits_kl", "attention_kl", "hidden_mse"):
        assert 0 < result["curves"][name][-1] < result["curves"][name][0], name


def test_other_families_teach_bert(checkpoint, small, tmp_path):
    for family in ("roberta", "modernbert"):
        run = compose(
            *without_teacher(small), "task.max_length=64", *finished(family, checkpoint(family)),
            "family=bert", "knowledge=[logits_mse,value_relation]", "matching=last",
        )  # fmt: skip
        assert run.student.family == "bert"
        curves = kdlab.distill(run, root=str(tmp_path), threads=1).result["curves"]
        assert 0 < curves["value_relation"][-1] < curves["value_relation"][0]


def test_families_side_by_side_are_as_alone(small, tmp_path):
    families = [name for name in FAMILIES if name != "mpnet"]  # which reads no words of a task
    runs = [compose(*small, f"family={family}", "knowledge=logits_kl") for family in families]
    together = kdlab.distill(runs, root=str(tmp_path / "a"), threads=1)
    alone = [kdlab.distill(run, root=str(tmp_path / "b"), threads=1) for run in reversed(runs)]
    assert [x.result for x in together] == [x.result for x in reversed(alone)]
    assert len({x.result["weights"] for x in together}) == len(families)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_and_flops_are_those_of_the_layers_matrices(family, checkpoint):
    path = checkpoint(family)
    found = checkpoints.architecture(path)
    assert found == Architecture(family, 4, 32, 2, 128)
    model = AutoModelForSequenceClassification.from_pretrained(path)
    counts = costs.parameters(model)
    layers = [p for n, p in model.base_model.named_parameters() if ".layer." in n or "layers." in n]
    assert counts["transformer"] == sum(p.numel() for p in layers)
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Embedding))
    assert tables < counts["embeddings"] <= tables + 2 * 64  # and a norm or two
    assert counts["embeddings"] + counts["transformer"] < counts["total"]
    matrices = sum(p.numel() for p in layers if p.ndim == 2)
    products = 4 * 2 * 10 * 32  # of scores and of values, at ten tokens
    assert costs.inference_flops(found, 10) == 2 * 10 * (matrices + products)


def test_modernbert_base_is_a_size():
    run = compose("teacher=none", "knowledge=none", "family=modernbert", "size=modernbert_base")
    assert run.student == Architecture("modernbert", 22, 768, 12, 1152)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(
            AutoConfig.for_model("modernbert", vocab_size=50368, **configuration(run.student))
        )
    assert costs.parameters(model)["total"] == pytest.approx(149e6, rel=0.01)  # as published


def test_layers_of_another_kind_are_not_copied(checkpoint, small):
    """ModernBERT's third layer sees a window, its fourth the whole row, its first has no norm."""
    teacher = finished("modernbert", checkpoint("modernbert"))
    overrides = [*without_teacher(small), *teacher, "init.weights=finetuned", "knowledge=logits_kl"]
    with pytest.raises(BadInput, match="source's layer 3 is local, the student's layer 1 first"):
        compose(*overrides, "init=teacher_last")
    with pytest.raises(BadInput, match="source's layer 2 is local, the student's layer 1 first"):
        compose(*overrides, "init=teacher_skip")


@pytest.mark.parametrize(
    ("family", "own", "what"),
    [
        ("electra", {"embedding_size": 16}, "embedding_size is 16 in the source, not its width"),
        ("distilbert", {"activation": "relu"}, "activation is relu in the source, gelu here"),
        ("modernbert", {"local_attention": 64}, "local_attention is 64 in the source, 128 here"),
        ("modernbert", {"layer_types": ["full_attention"] * 4}, "layer_types is"),
    ],
)
def test_weights_of_another_making_are_not_copied(family, own, what, text, small, tmp_path):
    """They may still teach: a finished model is read with its own configuration."""
    _write(tmp_path / "odd", family, _words(text, family), **own)
    teacher = [*without_teacher(small), *finished(family, str(tmp_path / "odd"))]
    with pytest.raises(NotApplicable, match=f"init=teacher_first: {what}"):
        compose(*teacher, "init=teacher_first", "init.weights=finetuned", "knowledge=logits_kl")
    run = compose(*teacher, "knowledge=[logits_kl,hidden_mse]")
    assert kdlab.distill(run, root=str(tmp_path), threads=1).result["status"] == "done"


def test_another_familys_weights_are_not_copied(small):
    with pytest.raises(BadInput, match="unequal family: the student has distilbert, the source"):
        compose(*small, "family=distilbert", "init=teacher_first", "init.weights=finetuned")


def test_mpnet_refuses_a_tokenizer_that_pads_with_another_token(checkpoint, small, tmp_path):
    """Its code takes token 1 for padding: of another token it would count no position."""
    with pytest.raises(BadInput, match="family=mpnet: pads with token 1, tokenizer=null .* with 0"):
        compose(*small, "family=mpnet")
    teacher = [*without_teacher(small), *finished("bert", checkpoint("bert"))]
    with pytest.raises(BadInput, match="family=mpnet: pads with token 1, tokenizer=.* with 0"):
        compose(*teacher, "family=mpnet", "knowledge=logits_kl")
    run = compose(*without_teacher(small), *finished("mpnet", checkpoint("mpnet")),
                  "knowledge=logits_kl")  # fmt: skip
    with pytest.raises(BadInput, match="family=mpnet: pads with token 1, the tokenizer with 0"):
        build_student(run, tokens.pretrained(checkpoint("bert")), str(tmp_path))


def test_a_family_whose_attention_is_not_seen_is_refused_by_name(small, tmp_path):
    with pytest.raises(BadInput, match="family='deberta': input should be 'bert', 'roberta'"):
        compose(*small, "family=deberta")
    page = {"model_type": "deberta", "hidden_size": 32}
    (tmp_path / "config.json").write_text(json.dumps(page))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="model_type deberta; known: bert, roberta, distilbert"):
        compose(*without_teacher(small), "teacher=checkpoint", f"teacher.checkpoint={tmp_path}",
                "knowledge=logits_kl")  # fmt: skip


def test_weights_with_other_positions_are_not_copied(text, small, tmp_path):
    """DeBERTa's kinds of positions are a list, which is no item a layer; a key may be missing."""
    for own in ({"pos_att_type": ["p2c"]}, {"position_buckets": -1}):
        path = tmp_path / next(iter(own))
        _write(path, "deberta-v2", _words(text, "deberta-v2"), **own)
        teacher = [*without_teacher(small), *finished("deberta-v2", str(path))]
        with pytest.raises(NotApplicable, match=f"init=teacher_first: {next(iter(own))} is"):
            compose(*teacher, "init=teacher_first", "init.weights=finetuned", "knowledge=logits_kl")

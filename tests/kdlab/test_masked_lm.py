"""Masked-LM from end to end, on a walk through words where neighbours tell the hidden one."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import killed
import numpy as np
import pytest
import torch
from composed import compose
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertModel,
)

import kdlab
from kdlab.config.compose_many import compose_each
from kdlab.config.frozen import freeze, thaw
from kdlab.config.identity import batch_key
from kdlab.config.option_files import option as page_of
from kdlab.config.option_files import options
from kdlab.data import tokens
from kdlab.data.splits import Rows
from kdlab.data.task_data import task_data
from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES, configuration
from kdlab.errors import BadInput
from kdlab.models import saved_files
from kdlab.models.student import HEAD_DEVIATION, _fresh_head, build_student
from kdlab.models.teacher import load_teachers
from kdlab.storage import example_outputs
from kdlab.training import scoring

PLACES, ROWS, LENGTH = 31, 900, 10
SIZES = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 128}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    """A walk round a circle of words: mostly to the next one, else anywhere."""
    draw = np.random.default_rng(0)
    leaps = np.where(draw.random(ROWS * LENGTH) < 0.3, draw.integers(PLACES, size=ROWS * LENGTH), 1)
    words = [f"w{place}" for place in np.cumsum(leaps) % PLACES]
    lines = [" ".join(words[i : i + LENGTH]) for i in range(0, len(words), LENGTH)]
    path = tmp_path_factory.mktemp("corpus") / "walks.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def tiny(text) -> tuple[str, ...]:
    return (
        "task=corpus", f"task.path={text}", f"task.words={LENGTH}", "task.report_rows=96",
        "task.max_length=16", "teacher.size=l3_h32_a2", "size=l2_h32_a2", "train.epochs=2",
        "train.batch_size=32", "train.lr=2e-3", "threads=1",
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Callable[[type], str]:
    """A folder with a random BERT of 4 layers, with or without a head, and its tokenizer."""

    def make(kind: type) -> str:
        folder = tmp_path_factory.mktemp(kind.__name__)
        words = " ".join(f"w{i}" for i in range(PLACES))
        tokenizer = tokens.word_level(Rows(np.arange(1), [(words,)], np.zeros(1)))
        torch.manual_seed(1)
        model = kind(BertConfig(num_hidden_layers=4, vocab_size=len(tokenizer), **SIZES))
        with torch.no_grad():  # biases and norms that a fresh head does not have
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return make


def built(run, root="nowhere"):
    return build_student(run, tokens.pretrained(run.tokenizer), str(root))


def weights(model) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters())


def head(model) -> dict[str, torch.Tensor]:
    return {name: p for name, p in weights(model).items() if name.startswith("cls.")}


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


FREE = "teacher.overrides=['init=pretrained','train.freeze_encoder=false']"
ARMS = [
    ("knowledge=none",),
    ("knowledge=logits_kl",),
    ("knowledge=[logits_kl,hidden_mse,value_relation]", "matching=last", "size=l2_h48_a3"),
    ("knowledge=attention_kl", "hard.weight=0"),
]


@pytest.mark.long
def test_a_cohort_gives_the_results_of_its_students_alone(tiny, tmp_path):
    runs = [compose(*tiny, "seed=1", *arm) for arm in ARMS]
    together = kdlab.distill(runs, root=str(tmp_path / "a"), threads=1)
    alone = [kdlab.distill(run, root=str(tmp_path / "b"), threads=1) for run in reversed(runs)]
    assert [r.result for r in together] == [r.result for r in reversed(alone)]
    assert len({r.result["weights"] for r in together}) == len(ARMS)
    for arm in together[1:]:
        assert all(curve[0] > 0 for name, curve in arm.result["curves"].items())
        assert all(min(shares.values()) >= 0 for shares in arm.result["shares"].values())


def test_neighbours_tell_the_hidden_word(tiny, tmp_path):
    run = compose(*tiny, "knowledge=none", "train.epochs=30", "train.lr=5e-3")
    result = kdlab.distill(run, root=str(tmp_path), threads=1).result
    curve = result["curves"]["hard"]
    assert curve[0] > 3.2  # log(31) is 3.4
    assert curve[-1] < 2.2
    assert result["scores"]["report"]["mlm_accuracy"] > 0.5
    assert result["scores"]["report"]["mlm_likelihood"] > 4 / PLACES
    assert result["degenerate"] == []
    assert result["agreement"] == {}


def test_what_is_kept_of_a_row_is_two_numbers_that_give_the_scores_again(tiny, tmp_path):
    run = compose(*tiny, "knowledge=none")
    found = kdlab.distill(run, root=str(tmp_path), save=True, threads=1)
    outputs = example_outputs.read_outputs(tmp_path, found, "report").astype(np.float64)
    ids, counts = example_outputs.read_examples(tmp_path, found, "report")
    assert outputs.shape == (96, 2)
    assert len(set(ids.tolist())) == 96
    assert set(counts.tolist()) == {2.0}  # 15 % of 10 words, rounded
    scored = found.result["scores"]["report"]
    assert outputs[:, 1].mean() == pytest.approx(scored["mlm_accuracy"], abs=1e-3)
    assert np.exp(-outputs[:, 0].mean()) == pytest.approx(scored["mlm_likelihood"], rel=1e-3)


def test_scores_are_transformers_own_loss_on_masks_that_are_the_same_for_every_seed(tiny, tmp_path):
    run = compose(*tiny, "knowledge=none")
    found = kdlab.distill(run, root=str(tmp_path), save=True, threads=1)
    stock = AutoModelForMaskedLM.from_pretrained(saved_files.folder(tmp_path, run.uid)).eval()
    task = task_data(run, False)
    other = task_data(compose(*tiny, "knowledge=none", "seed=9"), False)
    data = task.scored["report"]
    first = scoring.predict(stock, data, CPU)
    assert np.array_equal(first, scoring.predict(stock, data, CPU))
    assert np.array_equal(first, scoring.predict(stock, other.scored["report"], CPU))
    total, every = 0.0, tokens.scoring_batches(tuple(data.lengths.tolist()), scoring.SCORING_ROWS)
    for number, positions in enumerate(every):
        key = scoring.streams.key(0, f"masks/scored/{number}")
        inputs, labels, asked = tokens.examples(data, positions, CPU, key, all_tokens=False)
        answers = torch.full(inputs["input_ids"].shape, -100)
        answers.view(-1)[asked.positions] = labels
        with torch.no_grad():
            total += float(stock(**inputs, labels=answers).loss) * len(labels)
    likelihood = found.result["scores"]["report"]["mlm_likelihood"]
    assert likelihood == pytest.approx(np.exp(-total / data.labels.sum()), rel=1e-5)


def test_a_saved_student_is_read_as_language_model_and_as_encoder(tiny, tmp_path):
    run = compose(*tiny, *ARMS[2])  # narrower than its teacher: it has projections
    kdlab.distill(run, root=str(tmp_path), save=True, threads=1)
    folder = saved_files.folder(tmp_path, run.uid)
    ours = weights(kdlab.load(run, root=str(tmp_path)))
    stock, loading = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert equal(weights(stock), ours)
    assert stock.cls.predictions.decoder.weight is stock.bert.embeddings.word_embeddings.weight
    encoder, loading = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert all(name.startswith("pooler.") for name in loading["missing_keys"])
    own = {name: p for name, p in weights(encoder).items() if not name.startswith("pooler.")}
    assert equal(own, {n.removeprefix("bert."): p for n, p in ours.items() if n.startswith("bert")})
    # The general student is where a student of a task may start.
    task = compose("teacher=none", "knowledge=none", "init=pretrained", f"tokenizer={folder}",
                   f"++init.checkpoint={folder}", "size=l2_h48_a3")  # fmt: skip
    start = built(task).base_model
    names = [name for name in own if name in weights(start)]
    assert len(names) == len(own)
    assert all(torch.equal(weights(start)[name], own[name]) for name in names)


@pytest.mark.long
def test_a_killed_cohort_ends_in_the_result_it_would_have_had(tiny, tmp_path):
    overrides = (*tiny, "seed=2")
    arms = ["knowledge=none", "knowledge=[logits_kl,hidden_mse] size=l2_h48_a3"]
    runs = [compose(*overrides, *arm.split()) for arm in arms]
    whole = kdlab.distill(runs, root=str(tmp_path / "whole"), threads=1)
    root = str(tmp_path / "killed")
    steps = whole[0].result["steps"]
    for at in (5, steps // 2 + 20, 7):  # in the teacher, then in the students
        assert killed.after(at, runs, root) == -signal.SIGKILL
    assert list((tmp_path / "killed" / "checkpoints").iterdir())
    resumed = [kdlab.distill(run, root=root, threads=1) for run in runs]
    assert [r.result for r in resumed] == [r.result for r in whole]


def responses() -> list[str]:
    pages = {name: page_of("knowledge", name) for name in options("knowledge") if name != "logits"}
    return [n for n, page in pages.items() if page.get("view") == "kdlab.objective.views.logits"]


def test_every_response_loss_learns_from_a_vocabulary(tiny, tmp_path):
    runs = [
        compose(*tiny, f"knowledge={name}", "train.epochs=1", "hard.weight=0")
        for name in responses()
    ]
    assert len(runs) > 10
    for run, found in zip(runs, kdlab.distill(runs, root=str(tmp_path), threads=1), strict=True):
        (term,) = run.terms
        curve = found.result["curves"][term.key]
        assert found.result["status"] == "done"
        assert np.isfinite(curve).all()
        assert found.result["shares"]["0.9"][term.key] == 1.0, term.key


def test_outputs_at_every_token_are_another_term_and_another_cohort(tiny, tmp_path):
    at_masks, everywhere = (
        compose(
            *tiny, "knowledge=logits_kl", f"knowledge.logits_kl.view=kdlab.objective.views.{view}"
        )
        for view in ("logits", "token_logits")
    )
    assert at_masks.uid == compose(*tiny, "knowledge=logits_kl").uid != everywhere.uid
    assert batch_key(at_masks) != batch_key(everywhere)
    with pytest.raises(BadInput, match="must share"):
        kdlab.distill([at_masks, everywhere], root=str(tmp_path))
    found = [kdlab.distill(run, root=str(tmp_path), threads=1) for run in (at_masks, everywhere)]
    assert found[0].result["weights"] != found[1].result["weights"]
    curves = [record.result["curves"] for record in found]
    assert curves[0]["hard"][0] == pytest.approx(curves[1]["hard"][0], rel=0.05)


def test_a_teacher_without_a_head_learns_one_and_its_encoder_stays(tiny, checkpoint, tmp_path):
    given = checkpoint(BertModel)
    own = ("teacher=minilm_l6", f"teacher.checkpoint={given}", "teacher.size=l4_h32_a2",
           "teacher.lr=3e-3", "knowledge=[logits_kl,hidden_mse]")  # fmt: skip
    rest = [text for text in tiny if not text.startswith("teacher")]
    run = compose(*rest, *own)
    assert run.teacher.train.freeze_encoder
    assert not run.train.freeze_encoder
    found = kdlab.distill(run, root=str(tmp_path), threads=1)
    assert found.result["status"] == "done"
    first = built(run.teacher)
    taught = kdlab.load(run.teacher, root=str(tmp_path))
    encoder = BertModel.from_pretrained(given, add_pooling_layer=False)
    assert equal(weights(taught.bert), weights(encoder))
    for name, parameter in head(taught).items():
        assert not torch.equal(parameter, head(first)[name]), name
    curve = kdlab.records(tmp_path)[run.teacher.uid].result["curves"]["hard"]
    assert curve[-1] < curve[0]
    free = compose(*rest, *own, FREE)
    assert not free.teacher.train.freeze_encoder
    assert free.teacher.uid != run.teacher.uid
    kdlab.distill(free.teacher, root=str(tmp_path), threads=1, save=True)
    assert not equal(weights(kdlab.load(free.teacher, root=str(tmp_path)).bert), weights(encoder))


def test_a_head_comes_along_where_the_source_has_one_that_fits(tiny, checkpoint, tmp_path):
    with_head, without = checkpoint(BertForMaskedLM), checkpoint(BertModel)
    stock = AutoModelForMaskedLM.from_pretrained(with_head)
    rest = [text for text in tiny if not text.startswith(("teacher", "size"))]

    def student(given, *changed):
        return built(
            compose(*rest, "teacher=none", "knowledge=none", f"tokenizer={given}", *changed)
        )

    whole = ("init=pretrained", "size=l4_h32_a2")
    taken = student(with_head, *whole, f"++init.checkpoint={with_head}")
    assert equal(weights(taken), weights(stock))
    fresh = student(without, *whole, f"++init.checkpoint={without}")
    random = student(without, "init=random", "size=l4_h32_a2")
    assert equal(head(fresh), head(random))
    embedding = AutoModel.from_pretrained(without).get_input_embeddings().weight
    assert torch.equal(fresh.get_input_embeddings().weight, embedding)
    dense = head(random)["cls.predictions.transform.dense.weight"]
    assert dense.std().item() == pytest.approx(HEAD_DEVIATION, rel=0.1)
    finished = ("teacher=checkpoint", f"teacher.checkpoint={with_head}", "knowledge=logits_kl")
    halved = compose(
        *rest, *finished, "init=teacher_skip", "init.weights=finetuned", "size=l2_h32_a2"
    )
    assert equal(head(built(halved)), head(stock))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_fresh_head_leaves_the_embeddings_that_it_is_tied_to(family):
    page = configuration(Architecture(family, 1, 32, 2, 64)) | dict.fromkeys(
        FAMILIES[family].ids, 0
    )
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(family, vocab_size=50, **page))
    before = {name: p.detach().clone() for name, p in weights(model).items()}
    _fresh_head(model, 0)
    changed = [name for name, p in weights(model).items() if not torch.equal(p, before[name])]
    assert changed
    assert not [name for name in changed if name.startswith(f"{model.base_model_prefix}.")]
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_finished_language_model_teaches_as_it_is(tiny, checkpoint, tmp_path):
    given = checkpoint(BertForMaskedLM)
    rest = [text for text in tiny if not text.startswith("teacher")]
    run = compose(*rest, "teacher=checkpoint", f"teacher.checkpoint={given}", "knowledge=logits_kl")
    assert run.teacher is None
    (teacher,) = load_teachers(run, tokens.pretrained(given), None, str(tmp_path), CPU)
    stock = AutoModelForMaskedLM.from_pretrained(given)
    assert equal(weights(teacher), weights(stock))
    assert kdlab.distill(run, root=str(tmp_path), threads=1).result["status"] == "done"
    bare = checkpoint(BertModel)
    run = compose(*rest, "teacher=checkpoint", f"teacher.checkpoint={bare}", "knowledge=logits_kl")
    with pytest.raises(BadInput, match="has no masked-LM head"):
        kdlab.distill(run, root=str(tmp_path), threads=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("data=unlabelled",), "text has no labels"),
        (("task.metrics=[accuracy]", "task.select_by=[accuracy]"), "does not fit masked tokens"),
        (("task.masked=0",), "task.masked=0"),
        (("+task.classes=2",), "either classes or masked tokens"),
    ],
)
def test_what_does_not_fit_text_is_refused(tiny, wrong, message):
    with pytest.raises(BadInput, match=message):
        compose(*tiny, "knowledge=logits_kl", *wrong)


def test_what_does_not_fit_classes_is_refused(small):
    with pytest.raises(BadInput, match="mlm_accuracy does not fit task.classes=2"):
        compose(*small, "task.metrics=[mlm_accuracy]", "task.select_by=[mlm_accuracy]")
    with pytest.raises(BadInput, match="a classifier has no outputs at tokens"):
        compose(*small, "knowledge=logits_kl",
                "knowledge.logits_kl.view=kdlab.objective.views.token_logits")  # fmt: skip


def test_runs_on_text_are_assembled_as_hydra_composes_them_and_survive_freezing(tiny, checkpoint):
    given = checkpoint(BertModel)
    own = (*tiny[:-6], "teacher=minilm_l6", f"teacher.checkpoint={given}", "teacher.size=l4_h32_a2",
           "knowledge=logits_kl", "size=l2_h32_a2")  # fmt: skip
    pages = [(*own, f"seed={seed}") for seed in range(11)]
    runs = list(compose_each(pages))
    assert runs == [compose(*page) for page in pages]
    frozen = json.loads(json.dumps(freeze(runs[:1])))
    assert thaw(frozen, runs[0].uid) == runs[0]
    assert thaw(frozen, runs[0].uid).teacher.train.freeze_encoder


def test_every_key_of_masked_text_names_another_run(tiny):
    base = compose(*tiny, "knowledge=none")
    changed = ["task.masked=0.2", "task.words=9", "task.report_rows=48", "task.max_length=12",
               "train.freeze_encoder=true", "task.select_by=[mlm_accuracy]"]  # fmt: skip
    uids = {compose(*tiny, "knowledge=none", change).uid for change in changed}
    assert len(uids | {base.uid}) == len(changed) + 1
    assert compose(*tiny, "knowledge=none", "task.label=other").uid == base.uid

"""Recipes say what their papers say, give way to any axis, and train."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from composed import compose
from recipes_said import (
    ADAMW,
    GENERAL,
    GROWTH,
    KEEPS,
    NARROW,
    OPTIMIZERS,
    PAIRS,
    SAYS,
    SCHEDULES,
    SIZES,
    STAGES,
    SUMMED,
    TEACHERS,
    TINYBERTS,
    WEIGHED,
)

import kdlab
from kdlab.config import compose_many
from kdlab.config.identity import batch_key, teacher_key
from kdlab.config.option_files import options
from kdlab.config.parents import quoted
from kdlab.data import tokens
from kdlab.data.splits import Rows
from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput
from kdlab.models import checkpoints
from kdlab.objective.objective import Objective
from kdlab.options.memo import files_unchanged
from kdlab.run import Run
from sweeps.plan import plan
from sweeps.study import reading

RECIPES = [name for name in options("recipe") if name != "none"]


@pytest.fixture(scope="module")
def berts(tmp_path_factory) -> dict[int, Path]:
    """By depth a folder with the configuration of a BERT 768 wide, and no weights."""
    found = {}
    for layers in (4, 6, 12):
        folder = tmp_path_factory.mktemp(f"bert{layers}")
        page = {
            "model_type": "bert", "num_hidden_layers": layers, "hidden_size": 768,
            "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522,
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(page))
        (folder / "model.safetensors").write_bytes(b"")
        found[layers] = folder
    return found


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Iterator[str]:
    """A corpus in which each word tells the next."""
    random = np.random.Generator(np.random.PCG64(5))
    walks = np.cumsum(np.where(random.random((300, 8)) < 0.2, 5, 1), axis=1) % 19
    path = tmp_path_factory.mktemp("corpus") / "walks.txt"
    path.write_text("\n".join(" ".join(f"w{place}" for place in row) for row in walks))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLAB_CORPUS", str(path))
        yield f"task.path={path}"


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> str:
    """A tokenizer for both texts, so that one may start from the other."""
    folder = tmp_path_factory.mktemp("words")
    row = (" ".join(f"w{i}" for i in range(24)),)
    tokens.word_level(Rows(np.arange(1), [row], np.zeros(1))).save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> tuple[str, ...]:
    """A small task of three classes, and models for it."""
    folder = tmp_path_factory.mktemp("three")
    random = np.random.Generator(np.random.PCG64(3))
    for split, rows in (("train", 240), ("validation", 40)):
        words = random.integers(24, size=(rows, 8))
        labels = [int(np.bincount(row % 3, minlength=3).argmax()) for row in words]
        texts = [" ".join(f"w{word}" for word in row) for row in words]
        frame = pd.DataFrame({"text": texts, "label": labels, "idx": np.arange(rows)})
        frame.to_parquet(folder / f"{split}.parquet")
    return (
        "task=table", f"task.path={folder}", "task.text=[text]", "task.classes=3",
        "task.max_length=16",
    )  # fmt: skip


LITTLE = (
    "teacher=scratch", "teacher.size=l6_h48_a4", "teacher.epochs=8", "teacher.lr=3e-3",
    "size=l3_h48_a4",
)  # fmt: skip
OWN = {
    "takd": (
        "teacher.assistants=[l4_h48_a4]",
        "teacher.assistant_overrides=['recipe=kd','init=random']",
    ),
}  # fmt: skip
FEW = ("task.words=8", "task.max_length=16", "task.report_rows=32", "protocol.select_max=32")
BRIEF = ("train.epochs=8", "train.batch_size=16", "train.lr=2e-3")
# First steps without bias correction are thrice as large; the rate of bert_emd is constant, too.
CALM = dict.fromkeys(("bert_emd", "tinybert"), ("train.lr=3e-4",))


@pytest.fixture(scope="module")
def little(three, text, words) -> Callable[..., tuple[str, ...]]:
    """A recipe's overrides for little models on little data, from a run if its paper's does."""

    def made(name: str, init: str = "random", *, stages: bool = True) -> tuple[str, ...]:
        data = (text, *FEW) if name in GENERAL else three
        own = (f"recipe={name}", *data, *LITTLE, f"teacher.tokenizer={words}", *OWN.get(name, ()))
        if stages and name in STAGES:
            before = STAGES[name][0]
            told = [*made(before), *BRIEF, *(["task=corpus"] if before in GENERAL else [])]
            return (*own, f"init.run=[{','.join(map(quoted, told))}]")
        gone = ["init.run"] * (name in STAGES) + ["init.head"] * (name in KEEPS)
        return (*own, f"init={init}", *(f"~{key}" for key in gone))

    return made


@pytest.fixture(scope="module")
def whole(berts, text) -> Callable[..., tuple[str, ...]]:
    """A recipe's overrides at the paper's own sizes, files of the hub replaced by folders."""

    def made(name: str, *overrides: str) -> tuple[str, ...]:
        own = [text] if name in GENERAL else NARROW.get(name, [])
        init = [text for text in overrides if text.startswith("init=")]
        if SAYS[name][1] == "pretrained" and not init:
            own = [*own, f"init.checkpoint={berts[SIZES[SAYS[name][0]][0]]}"]
        return (f"recipe={name}", f"teacher.checkpoint={berts[12]}", *own, *overrides)

    return made


def test_every_recipe_is_in_the_table():
    assert set(SAYS) == set(RECIPES)


def teachers(run: Run) -> list[Run]:
    """Its teacher, its teacher's teacher, and so on."""
    return [run.teacher, *teachers(run.teacher)] if run.teacher else []


@pytest.mark.parametrize("name", SAYS)
def test_a_recipe_says_what_its_paper_says(name, whole):
    size, init, _, hard, terms, (epochs, batch, lr), (warmup, decay) = SAYS[name]
    run = compose(*whole(name))
    assert run.student == Architecture("bert", *SIZES[size])
    usual = ("bert_base_lm" if name in GENERAL else "bert_base", 3e-5, 3, ADAMW)
    option, *trained, optimizer = TEACHERS.get(name, usual)
    assert run.choices["teacher"] == option
    if name in GENERAL:
        assert run.task.masked == 0.15
        assert checkpoints.architecture(run.teacher_checkpoint).layers == 12
    elif run.terms:
        chain = teachers(run)
        assert [one.student.layers for one in chain] == ([6, 12] if name == "takd" else [12])
        assert (chain[-1].init.name, chain[-1].terms) == ("pretrained", ())
        assert [chain[-1].train.lr, chain[-1].train.epochs] == trained
        assert optimizer.items() <= vars(chain[-1].train).items()
    weights = {"pretrained": "checkpoint", "random": "none", "run": "run"}.get(init, "pretrained")
    assert (run.init.name, run.init.weights) == (init, weights)
    assert run.hard_weight == pytest.approx(hard, rel=1e-6)
    assert {term.name for term in run.terms} == terms.keys()
    for term in run.terms:
        knobs, said = {"weight": term.weight, **term.loss.knobs}, terms[term.name]
        assert knobs.pop("reduction", None) == said.get("reduction")
        assert knobs == pytest.approx({k: v for k, v in said.items() if k != "reduction"}, rel=1e-4)
    train = run.train
    assert (train.epochs, train.batch_size, train.lr) == (epochs, batch, lr)
    assert (train.warmup, train.weight_decay) == (warmup, decay)
    assert train.schedule == SCHEDULES.get(name, "linear")
    assert OPTIMIZERS.get(name, ADAMW).items() <= vars(train).items()


@pytest.mark.parametrize("name", STAGES)
def test_a_recipe_starts_from_the_runs_of_other_recipes(name, whole, berts):
    run = compose(*whole(name, "seed=7"))
    assert run.init.head == ("keep" if name in KEEPS else "fresh")
    for before in STAGES[name]:
        own = (f"size={SAYS[before][0]}", "teacher=bert_base_lm") if before in GENERAL else ()
        alone = compose(*whole(before, *own, f"seed={0 if before in GENERAL else 7}"))
        run = run.init.stage
        assert run.uid == alone.uid
        assert run.tokenizer == str(berts[12])


def test_the_steps_between_twelve_layers_and_three(whole):
    assistant, teacher = teachers(compose(*whole("takd")))
    (taught,) = assistant.terms
    assert (taught.name, taught.loss.knobs, assistant.hard_weight) == (
        "logits_kl", {"temperature": 10.0, "reduction": "mean"}, 0.5,
    )  # fmt: skip
    assert (assistant.init.name, assistant.init.weights) == ("teacher_first", "pretrained")
    assert (assistant.train.epochs, assistant.train.lr) == (4, 2e-5)
    assert not assistant.train.bias_correction
    assert teacher.terms == ()


def test_a_student_that_reads_fewer_tokens_than_its_teacher_was_trained_on(whole):
    run = compose(*whole("bert_emd"))
    assert (run.task.max_length, run.teacher.task.max_length) == (64, 32)  # the default task's
    weighs = [term.matching.weigh for term in run.terms if term.matching]
    assert [weigh.knobs for weigh in weighs if weigh] == [{"temperature": None}] * 2
    assert compose(*whole("bert_emd"), "task.max_length=16").teacher.task.max_length == 16


def test_a_weight_that_falls_from_four_to_one(whole):
    run = compose(*whole("fitnets"))
    weights = [Objective(run, run.teacher.student, 100).weights(step) for step in (0, 50, 100)]
    assert [w["logits_ce"] * 9 for w in weights] == pytest.approx([4, 2.5, 1])


@pytest.mark.parametrize("layers", [6, 4])
@pytest.mark.parametrize("name", SAYS)
def test_a_recipe_matches_what_its_paper_matches(name, layers, whole):
    matching = SAYS[name][2]
    run = compose(
        *whole(name, f"size=l{layers}_h768", *([] if name in STAGES else ["init=random"]))
    )
    matchings = [term.matching for term in run.terms if term.matching]
    assert bool(matchings) == (matching != "none")
    for made in matchings:
        assert list(made.pairs) == PAIRS[matching][layers]
        total = len({pair[0] for pair in made.pairs}) if name in SUMMED else 1
        assert made.pair_weight * (1 if made.weigh else len(made.pairs)) == pytest.approx(total)
        weigh = made.weigh.target.rpartition(".")[2] if made.weigh else None
        assert weigh == WEIGHED.get(matching)
        assert made.mix == ("features" if matching == "alp_kd" else "losses")


def test_what_recipes_look_at(whole):
    terms = {(name, term.name): term for name in SAYS for term in compose(*whole(name)).terms}
    views = {key: term.view.rpartition(".")[2] for key, term in terms.items()}
    assert views["alp_kd", "hidden_mse"] == views["pkd_skip", "cls_pkd"] == "cls"
    assert views["rail_kd", "mean_pkd"] == "mean_tokens"
    assert views["ckd", "ckd_layer_pair"] == views["ckd", "ckd_layer_triple"]
    assert views["ckd", "ckd_layer_pair"] == "stacked_with_embedding"
    assert views["distilbert", "logits_kl"] == "token_logits"
    shared = {
        key: term.projection.shared
        for key, term in terms.items()
        if term.projection_rule == "always"
    }
    assert shared == {
        ("fitnets_hint", "hidden_mse"): False,
        **{(name, "embedding_mse"): True for name in TINYBERTS},  # a view without layers
        **{(name, "hidden_mse"): True for name in TINYBERTS},
    }
    stairs = terms["annealing_kd_logits", "logits_annealed_mse"].schedules["teacher_scale"]
    assert (stairs.target, stairs.knobs) == ("kdlab.objective.schedules.stairs", {"steps": 7})


@pytest.mark.parametrize("name", RECIPES[::2])
def test_a_recipe_gives_way_to_every_axis(name, little):
    base = little(name, stages=False)
    last = compose(*little(name, "teacher_last", stages=False), "init.weights=finetuned")
    assert (last.init.name, last.init.stage) == ("teacher_last", None)
    assert compose(*base, "size=l2_h96_a4").student.hidden == 96
    assert compose(*base, "shape=standard", "train.epochs=9").train.epochs == 9
    run = compose(*base, "matching=first")
    assert run.choices["matching"] == "first"
    pairs = {term.matching.pairs for term in run.terms if term.matching}
    assert pairs <= {((1, 1), (2, 2), (3, 3))}
    none = compose(*base, "knowledge=none", "hard.weight=1")
    assert (none.terms, none.choices["knowledge"]) == ((), "none")


@pytest.mark.parametrize("name", RECIPES[1::3])
def test_a_knob_of_a_term_that_is_gone_is_refused_until_it_is_dropped(name, little):
    base = little(name, stages=False)
    terms = [term.key for term in compose(*base).terms]
    other = [*base, "knowledge=contrastive", "matching=last1"]
    for key in terms:
        with pytest.raises(BadInput, match="a knob for a term that is not selected") as error:
            compose(*other)
        assert f"drop it with ~knowledge.{key}" in str(error.value)
        other.append(f"~knowledge.{key}")
    assert [term.name for term in compose(*other).terms] == ["contrastive"]


@pytest.mark.long
def test_recipes_are_composed_together_as_they_are_alone(whole, little, monkeypatch):
    monkeypatch.setattr(compose_many, "CHECKS", 1000)  # all are compared with Hydra's
    pages = [whole(name) for name in RECIPES]
    pages += [(*little(name), "matching=first", "train.lr=1e-4", "seed=3") for name in RECIPES[::5]]
    runs = list(compose_many.compose_each(pages))
    assert [run.choices["recipe"] for run in runs] == [*RECIPES, *RECIPES[::5]]
    with files_unchanged({}):  # a value within a text is left to Hydra
        left_out = [name for name in RECIPES if compose_many._assembled(whole(name)) is None]
    assert sorted(left_out) == ["bert_emd", "tinybert_intermediate"]


@pytest.mark.parametrize("name", STAGES)
def test_the_run_that_a_recipe_starts_from_is_dropped_with_its_init(name, little):
    gone = "~init.run ~init.head" if name in KEEPS else "~init.run"
    with pytest.raises(BadInput, match=rf"init.run, init.head: init=random .* {gone}$"):
        compose(*[text for text in little(name, stages=False) if not text.startswith("~")])


def test_the_teacher_of_a_recipe_has_the_recipes_task(little):
    run = compose(*little("minilm"))
    assert run.teacher.task == run.task
    assert run.teacher.source == run.source


@pytest.mark.long
def test_every_recipe_trains(little, tmp_path):
    runs = {name: compose(*little(name), *BRIEF, *CALM.get(name, ())) for name in RECIPES}
    cohorts: dict[Any, dict[str, Run]] = defaultdict(dict)  # at one size two recipes may be one run
    for name, run in sorted(runs.items(), key=lambda item: len(STAGES.get(item[0], ()))):
        cohorts[batch_key(run), teacher_key(run), len(STAGES.get(name, ()))][run.uid] = run
    results = {
        record.uid: record.result
        for cohort in cohorts.values()
        for record in kdlab.distill(list(cohort.values()), root=str(tmp_path), threads=1)
    }
    for name, run in runs.items():
        curves = results[run.uid]["curves"]
        weights = {"hard": run.hard_weight} | {term.key: term.weight for term in run.terms}
        first, last = (sum(weights[k] * curves[k][at] for k in weights) for at in (0, -1))
        assert 0 < last < first * GROWTH.get(name, 1), name
        assert all(results[run.uid]["shares"]["0.5"][term.key] > 0 for term in run.terms)


@pytest.mark.long
def test_recipes_are_cases_of_a_study_with_their_arms_without_knowledge(little, tmp_path):
    cases = "".join(f"      {x}: {json.dumps([*little(x), *BRIEF])}\n" for x in RECIPES)
    page = f"question: Which?\nseeds: [1]\nblocks:\n  - table: t\n    cases:\n{cases}"
    (tmp_path / "mine.yaml").write_text(page)
    planned = plan.plan(reading.load(str(tmp_path / "mine.yaml")))
    rows = {entry.cell.row: entry for entry in planned}
    assert set(rows) == {*RECIPES, *(f"none, {name}" for name in RECIPES)}
    for name in RECIPES:
        assert rows[name].cell.control == f"none, {name}"
        run, none = rows[name].run, rows[f"none, {name}"].run
        assert none.hard_weight == 1
        assert none.terms == ()
        assert (none.student, none.init, none.train) == (run.student, run.init, run.train)

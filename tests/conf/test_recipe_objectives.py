"""What a recipe minimises is what its paper's code does: anew in float64, without padding."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import ot
import pytest
import torch
from composed import compose

from kdlab.config.run_keys import keys
from kdlab.matching.random_draw import RandomDraw
from kdlab.models.trace import Heads, Trace
from kdlab.objective.objective import Objective

ROWS, TOKENS, WIDTH, HEADS, VOCABULARY = 3, 5, 24, 4, 17
LABELS = [1, 0, 1]
STEPS = 70
SMALL = ("teacher=scratch", f"teacher.size=l12_h{WIDTH}_a{HEADS}", "init=random")


def bert(folder: Path, layers: int) -> Path:
    page = {
        "model_type": "bert", "num_hidden_layers": layers, "hidden_size": WIDTH,
        "num_attention_heads": HEADS, "intermediate_size": 4 * WIDTH, "vocab_size": VOCABULARY,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(page))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def trace(layers: int, outputs: int, width: int = WIDTH, masked=None, seed: int = 0) -> Trace:
    """A forward pass over whole rows, every number drawn by itself."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    shape = (ROWS, HEADS, TOKENS, width // HEADS)
    heads = {
        layer: Heads(drawn(*shape), drawn(*shape), drawn(*shape), shape[-1] ** -0.5)
        for layer in range(1, layers + 1)
    }
    return Trace(
        drawn(ROWS if masked is None else len(masked), outputs) * 2,
        tuple(drawn(ROWS, TOKENS, width) for _ in range(layers + 1)),
        heads,
        torch.ones(ROWS, TOKENS, dtype=torch.bool),
        masked,
    )


def double(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def soft(student: Trace, teacher: Trace, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """log q and p of the outputs."""
    log_q, log_p = (log_softmax(double(x.logits) / temperature) for x in (student, teacher))
    return log_q, np.exp(log_p)


def entropic(student: Trace, teacher: Trace, temperature: float) -> np.ndarray:
    """−p log q by unit and class."""
    log_q, p = soft(student, teacher, temperature)
    return -p * log_q


def divergent(student: Trace, teacher: Trace, temperature: float) -> np.ndarray:
    """p log(p / q) by unit and class."""
    log_q, p = soft(student, teacher, temperature)
    return p * (np.log(p) - log_q)


def hard(student: Trace, labels=LABELS) -> float:
    log_q = log_softmax(double(student.logits))
    return -float(np.mean([row[label] for row, label in zip(log_q, labels, strict=True)]))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def mse(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(one - other).mean())


def scores(heads: Heads) -> np.ndarray:
    return double(heads.query) @ double(heads.key).swapaxes(2, 3) * heads.scaling


def minimised(run, student: Trace, teacher: Trace, step: int = 0, labels=LABELS):
    """The weighted sum of a run's losses, and its objective."""
    source = run.teacher.student if run.teacher else run.student
    objective = Objective(run, source, STEPS)
    answers = torch.tensor(labels)
    total = objective.total(objective(student, teacher, answers, step), step)
    return total.item(), objective


def pair(classes: int = 2, layers: int = 6) -> tuple[Trace, Trace]:
    return trace(layers, classes, seed=1), trace(12, classes, seed=2)


def run_of(name: str, *own: str, layers: int = 6):
    return compose(f"recipe={name}", *SMALL, f"size=l{layers}_h{WIDTH}_a{HEADS}", *own)


@pytest.mark.parametrize("classes", [2, 3])
def test_kd_is_pkds_code_whatever_the_classes(classes):
    student, teacher = pair(classes)
    expected = 0.5 * hard(student) + 0.5 * 100 * divergent(student, teacher, 10).mean()
    found, _ = minimised(run_of("kd", f"task.classes={classes}"), student, teacher)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("width", [WIDTH, 2 * WIDTH])
@pytest.mark.parametrize(
    ("name", "layers"), [("pkd_skip", [2, 4, 6, 8, 10]), ("pkd_last", [7, 8, 9, 10, 11])]
)
def test_pkd_is_its_code_whatever_the_classes_and_the_width(name, layers, width, classes):
    student, teacher = trace(6, classes, width, seed=1), trace(12, classes, width, seed=2)
    states = [
        np.stack([unit(double(x.hidden[layer])[:, 0]) for layer in own], 1)
        for x, own in ((student, [1, 2, 3, 4, 5]), (teacher, layers))
    ]
    logits = 10**2 * divergent(student, teacher, 10).mean()
    expected = 0.5 * hard(student) + 0.5 * logits + 100 * mse(*states)
    wide = (f"teacher.size=l12_h{width}_a{HEADS}", f"size=l6_h{width}_a{HEADS}")
    found, _ = minimised(run_of(name, *wide, f"task.classes={classes}"), student, teacher)
    assert found == pytest.approx(expected, rel=1e-5)


def test_ckds_layers_and_logits_are_its_code():
    student, teacher = pair()
    run = run_of("ckd")
    objective = Objective(run, run.teacher.student, STEPS)
    losses = objective(student, teacher, torch.tensor(LABELS), 0)
    weights = objective.weights(0)
    ours, theirs = (
        np.stack([double(x.hidden[layer]) for layer in layers], 2).reshape(-1, 7, WIDTH)
        for x, layers in ((student, range(7)), (teacher, (0, 2, 4, 6, 8, 10, 12)))
    )
    off = ~np.eye(7, dtype=bool)
    total = 0.0
    for one, other in zip(ours, theirs, strict=True):
        cosines = [unit(x) @ unit(x).T for x in (one, other)]
        for i in range(7):
            log_q, log_p = (log_softmax(c[i][off[i]]) for c in cosines)
            total += (np.exp(log_p) * (log_p - log_q)).sum()
    pairs = 100 * total / (len(ours) * 49)
    found = weights["ckd_layer_pair"] * losses["ckd_layer_pair"].item()
    assert found == pytest.approx(pairs, rel=1e-5)
    angles = []
    for x in (ours, theirs):
        edges = x[:, None] - x[:, :, None]
        norms = np.linalg.norm(edges, axis=-1, keepdims=True)
        edges = edges / np.where(norms == 0, 1, norms)
        angles.append(edges @ edges.swapaxes(-1, -2))
    found = weights["ckd_layer_triple"] * losses["ckd_layer_triple"].item()
    assert found == pytest.approx(1000 * mse(*angles), rel=1e-4)
    found = weights["logits_ce"] * losses["logits_ce"].item()
    assert found == pytest.approx(0.9 * entropic(student, teacher, 4).sum(-1).mean(), rel=1e-5)
    assert weights["hard"] == 0.1


# Every twentieth of the lengths of SST-2's training rows, with [CLS] and [SEP].
SST2 = [3, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 19, 22, 25, 30, 39]
PADDED, WINDOW, WIDE = 64, 21, 96


def word_relations(x: np.ndarray, tokens: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """By token of a padded row [t, d] its cosines to the others, and the angles in its window."""
    pairs, angles = [], []
    for j in range(tokens):
        others = [i for i in range(tokens) if i != j]
        pairs.append(unit(x[others]) @ unit(x[j]))
        # The code repeats the row's ends beyond them, and takes padding as tokens.
        near = np.clip(np.arange(j - WINDOW // 2, j + WINDOW // 2 + 1), 0, len(x) - 1)
        edges = x[j] - x[near]
        norms = np.linalg.norm(edges, axis=-1, keepdims=True)
        edges = edges / np.where(norms == 0, 1, norms)
        angles.append(edges @ edges.T)
    return pairs, angles


def test_ckds_words_weigh_as_its_code_does_on_rows_like_those_of_sst2():
    random = np.random.default_rng(8)
    ours, theirs = random.normal(size=(2, len(SST2), PADDED, WIDE))
    divergence = gaps = 0.0
    for one, other, tokens in zip(ours, theirs, SST2, strict=True):
        (pairs, angles), (taught, aims) = (word_relations(x, tokens) for x in (one, other))
        for x, y in zip(pairs, taught, strict=True):
            log_q, log_p = log_softmax(x), log_softmax(y)
            divergence += (np.exp(log_p) * (log_p - log_q)).sum()
        gaps += sum(np.square(x - y).sum() for x, y in zip(angles, aims, strict=True))
    expected = {
        "ckd_word_pair": 100 * divergence / np.square(SST2).sum(),
        "ckd_word_triple": 1000 * gaps / (sum(SST2) * WINDOW**2),
    }
    mask = torch.arange(PADDED) < torch.tensor(SST2)[:, None]
    for term in run_of("ckd").terms:
        if term.name in expected:
            loss = term.loss.bind()(torch.tensor(ours), torch.tensor(theirs), mask).item()
            found = term.weight * 7 / 6 * loss  # it has the embedding beside six layers
            assert found == pytest.approx(expected[term.name], rel=0.03), term.name


@pytest.mark.parametrize("depth", [6, 3])
def test_alp_kd_is_what_glmkds_readme_says(depth):
    student, teacher = pair(layers=depth)
    ours, theirs = (
        np.stack([double(x.hidden[layer])[:, 0] for layer in range(1, len(x.hidden))], 1)
        for x in (student, teacher)
    )
    attention = np.exp(log_softmax(ours @ theirs.swapaxes(1, 2)))
    layers = sum(mse(ours[:, i], (attention @ theirs)[:, i]) for i in range(depth))
    logits = entropic(student, teacher, 20).sum(-1).mean()
    found, _ = minimised(run_of("alp_kd", layers=depth), student, teacher)
    assert found == pytest.approx(0.1 * hard(student) + 0.7 * logits + 0.2 * layers, rel=1e-5)


@pytest.mark.parametrize("width", [384, 768, 1024])
@pytest.mark.parametrize("classes", [2, 3])
def test_pkd_differs_from_kd_in_the_patience_alone_and_in_itself_by_the_layers_alone(
    classes, width
):
    sizes = (f"teacher.size=l12_h{width}", f"size=l6_h{width}", f"task.classes={classes}")
    made = {
        name: compose(f"recipe={name}", *SMALL[:1], *SMALL[2:], *sizes)
        for name in ("kd", "pkd_skip", "pkd_last")
    }
    found = {name: keys(run) for name, run in made.items()}
    patience = {key for key in found["pkd_skip"] if key.startswith("knowledge.cls_pkd.")}
    assert patience
    assert {**found["kd"], **{key: found["pkd_skip"][key] for key in patience}} == found["pkd_skip"]
    assert found["pkd_skip"] == found["pkd_last"]
    skip, last = (made[name].terms for name in ("pkd_skip", "pkd_last"))
    assert skip != last
    paired = [replace(skip[0], matching=replace(skip[0].matching, pairs=last[0].matching.pairs))]
    assert [*paired, *skip[1:]] == list(last)


def test_rail_kd_is_a_third_of_each_and_the_sum_over_the_layers_drawn():
    student, teacher = pair()
    found, objective = minimised(run_of("rail_kd"), student, teacher)
    weigh = objective.terms["mean_pkd"].weigh
    assert isinstance(weigh, RandomDraw)
    drawn = [layer + 1 for layer in weigh._draw(0)]
    assert sorted(set(drawn)) == drawn
    layers = sum(
        np.square(
            unit(double(student.hidden[i]).mean(1)) - unit(double(teacher.hidden[j]).mean(1))
        ).sum(-1).mean()
        for i, j in zip(range(1, 6), drawn, strict=True)
    )  # fmt: skip
    logits = entropic(student, teacher, 10).sum(-1).mean()
    assert found == pytest.approx((hard(student) + logits + layers) / 3, rel=1e-5)


@pytest.mark.parametrize(("step", "stair"), [(0, 1), (9, 1), (11, 2), (69, 7)])
def test_annealing_kd_is_its_code(step, stair):
    student, teacher = pair()
    expected = mse(double(student.logits), double(teacher.logits) * stair / 7)
    found, _ = minimised(run_of("annealing_kd_logits"), student, teacher, step)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["pd", "born_again"])
def test_soft_labels_alone(name):
    student, teacher = pair()
    expected = entropic(student, teacher, 1).sum(-1).mean()
    assert minimised(run_of(name), student, teacher)[0] == pytest.approx(expected, rel=1e-5)


# ---- on a corpus ---------------------------------------------------------------------------------


@pytest.fixture
def general(tmp_path):
    """A recipe's run on a corpus, its teacher of 12 layers a folder."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(f"w{i} w{i + 1} w{i + 2}" for i in range(900)))
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    bert(teacher, 12)
    return lambda name, *own: compose(
        f"recipe={name}", f"task.path={corpus}", f"teacher.checkpoint={teacher}", *own
    )


def corpus_pair(layers: int, width: int = WIDTH) -> tuple[Trace, Trace, list[int]]:
    masked = torch.tensor([True, False] * 7 + [False])
    student = trace(layers, VOCABULARY, width, masked, seed=3)
    teacher = trace(12, VOCABULARY, WIDTH, masked, seed=4)
    labels = [3 if is_masked else -100 for is_masked in masked.tolist()]
    return student, teacher, labels


def of_teacher(run, student, teacher, labels):
    from kdlab.architecture import Architecture

    objective = Objective(run, Architecture("bert", 12, WIDTH, HEADS, 4 * WIDTH), STEPS)
    return objective.total(objective(student, teacher, torch.tensor(labels), 0), 0), objective


def test_distilbert_is_its_code(general):
    student, teacher, labels = corpus_pair(6)
    run = general("distilbert", f"size=l6_h{WIDTH}_a{HEADS}")
    log_q = log_softmax(double(student.logits))
    mlm = -np.mean([row[3] for row, label in zip(log_q, labels, strict=True) if label == 3])
    soft_labels = 4 * divergent(student, teacher, 2).sum(-1).mean()  # at every token
    states = (unit(double(x.hidden[-1])) for x in (student, teacher))
    cosine = (1 - np.multiply(*states).sum(-1)).mean()
    found, _ = of_teacher(run, student, teacher, labels)
    assert found.item() == pytest.approx(5 * soft_labels + 2 * mlm + cosine, rel=1e-5)


def relation(one: np.ndarray, other: np.ndarray) -> float:
    """KL of row softmaxes, mean over heads and queries."""
    log_q, log_p = log_softmax(one), log_softmax(other)
    return float((np.exp(log_p) * (log_p - log_q)).sum(-1).mean())


def products(states: torch.Tensor, heads: int) -> np.ndarray:
    """X Xᵀ / √d of [b, h, t, d / h], split anew."""
    merged = double(states).swapaxes(1, 2).reshape(ROWS, TOKENS, heads, -1).swapaxes(1, 2)
    return merged @ merged.swapaxes(2, 3) / np.sqrt(merged.shape[-1])


def test_minilm_is_its_paper(general):
    student, teacher, labels = corpus_pair(3, width=16)
    ours, theirs = student.heads[3], teacher.heads[12]
    expected = relation(scores(ours), scores(theirs))
    expected += relation(products(ours.value, HEADS), products(theirs.value, HEADS))
    run = general("minilm", f"size=l3_h16_a{HEADS}")
    assert of_teacher(run, student, teacher, labels)[0].item() == pytest.approx(expected, rel=1e-5)


def test_minilmv2_is_its_paper(general):
    student, teacher, labels = corpus_pair(3, width=16)
    expected = sum(
        relation(
            products(getattr(student.heads[3], x), 8), products(getattr(teacher.heads[12], x), 8)
        )
        for x in ("query", "key", "value")
    )
    heads = [f"knowledge.{x}_relation.relation_heads=8" for x in ("query", "key", "value")]
    run = general("minilmv2", f"size=l3_h16_a{HEADS}", *heads)
    assert of_teacher(run, student, teacher, labels)[0].item() == pytest.approx(expected, rel=1e-5)


def tinybert_layers(student: Trace, teacher: Trace, objective: Objective, pairs) -> tuple:
    """The embeddings' loss, and by pair those of states and scores; each through its map."""
    maps = {
        key: (double(m.weight), double(m.bias))
        for key in ("embedding_mse", "hidden_mse")
        for m in [objective.terms[key].projections["shared"]]
    }

    def state(key: str, i: int, j: int) -> float:
        weight, bias = maps[key]
        return mse(double(student.hidden[i]) @ weight.T + bias, double(teacher.hidden[j]))

    states = {(i, j): state("hidden_mse", i, j) for i, j in pairs}
    attention = {(i, j): mse(scores(student.heads[i]), scores(teacher.heads[j])) for i, j in pairs}
    return state("embedding_mse", 0, 0), states, attention


@pytest.mark.parametrize("width", [16, WIDTH])
def test_tinyberts_layers_are_its_code(general, width):
    student, teacher, labels = corpus_pair(4, width)
    run = general("tinybert_general", f"size=l4_h{width}_a{HEADS}")
    found, objective = of_teacher(run, student, teacher, labels)
    pairs = [(1, 3), (2, 6), (3, 9), (4, 12)]
    embedding, states, attention = tinybert_layers(student, teacher, objective, pairs)
    expected = embedding + sum(states.values()) + sum(attention.values())
    assert found.item() == pytest.approx(expected, rel=1e-5)


def reweighed(weights: np.ndarray, paid: np.ndarray) -> np.ndarray:
    """BERT-EMD's code since 2021: h / Σh of h = Σ unit costs / unit cost."""
    unit_costs = paid / weights
    return (cheapness := unit_costs.sum() / unit_costs) / cheapness.sum()


def test_bert_emd_is_its_code_at_the_first_two_steps():
    student, teacher = pair(layers=4)
    run = compose(
        "recipe=bert_emd", *SMALL, f"size=l4_h{WIDTH}_a{HEADS}", "init=random", "~init.run"
    )
    objective = Objective(run, run.teacher.student, STEPS)
    every = [(i, j) for i in range(1, 5) for j in range(1, 13)]
    embedding, *layers = tinybert_layers(student, teacher, objective, every)
    costs = [np.array([list(x.values())]).reshape(4, 12) for x in layers]
    logits = entropic(student, teacher, 1).mean()
    weights = [(np.full(4, 1 / 4), np.full(12, 1 / 12)) for _ in costs]
    for step in range(2):
        flows = [ot.emd(*own, cost) for own, cost in zip(weights, costs, strict=True)]
        paid = [flow * cost for flow, cost in zip(flows, costs, strict=True)]
        losses = objective(student, teacher, torch.tensor(LABELS), step)
        expected = 0.001 * (sum(x.sum() for x in paid) + embedding) + logits
        assert objective.total(losses, step).item() == pytest.approx(expected, rel=1e-5)
        weights = [
            (reweighed(own[0], x.sum(1)), reweighed(own[1], x.sum(0)))
            for own, x in zip(weights, paid, strict=True)
        ]


@pytest.mark.parametrize(("step", "weight"), [(0, 4), (35, 2.5)])
def test_fitnets_is_its_paper(step, weight):
    student, teacher = pair()
    run = run_of("fitnets", "~init.run")
    logits = entropic(student, teacher, 3).sum(-1).mean()
    found, _ = minimised(run, student, teacher, step)
    assert found == pytest.approx(hard(student) + weight * logits, rel=1e-5)

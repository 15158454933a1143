"""A wrong name gets the names that are near it, and whoever follows an advice is not refused."""

import re

import composed
import pytest

from kdlab.config.compose import compose
from kdlab.config.option_files import options
from kdlab.errors import BadInput
from kdlab.options import spelling

LAYERED = "knowledge=hidden_mse"
NO_TEACHER = ("knowledge=none",)
# What is wrong, the advice, and what follows from it.
ADVICE = [
    (("train.learning_rate=1e-3",), "did you mean train.lr=...?", ("train.lr=1e-3",)),
    (("+train.learning_rate=1e-3",), "did you mean train.lr=...?", ("train.lr=1e-3",)),
    (("lr=1e-3",), "did you mean train.lr=... or teacher.lr=...?", ("teacher.lr=1e-3",)),
    (("matchin=last",), "did you mean matching=...?", ("matching=last",)),
    (("knowledge=logit_kl",), "did you mean logits_kl, ", ("knowledge=logits_kl",)),
    (("knowledge=logits_kl", "knowledge.logits_kl.temp=2"),
     "did you mean knowledge.logits_kl.temperature=...?",
     ("knowledge=logits_kl", "knowledge.logits_kl.temperature=2")),
    (("knowledge=logits_kl", "+knowledge.logits_kl.temprature=2"),
     "did you mean knowledge.logits_kl.temperature=...?",
     ("knowledge=logits_kl", "knowledge.logits_kl.temperature=2")),
    (("knowledge.logit.weight=2",), "did you mean logits?", ("knowledge.logits.weight=2",)),
    (("knowledge.cls_pkdd.weight=2",), "cls_pkd would be one, if added to knowledge=[...]",
     ("knowledge=[logits,cls_pkd]", "knowledge.cls_pkd.weight=2")),
    (("knowledge.cls_pkd.weight=2",), "cls_pkd is not selected; add it to knowledge=[...]",
     ("knowledge=[logits,cls_pkd]", "knowledge.cls_pkd.weight=2")),
    (("+knowledge=hidden_mse",), "without the plus another takes its place", (LAYERED,)),
    (("matching@knowledge.hidden_mse.matching=last", LAYERED),
     "a plus adds it: +matching@knowledge.hidden_mse.matching=...",
     ("+matching@knowledge.hidden_mse.matching=last", LAYERED)),
    (("knowledge.hidden_mse.projection_lr=1", LAYERED),
     "a plus adds it: +knowledge.hidden_mse.projection_lr=...",
     ("+knowledge.hidden_mse.projection_lr=1", LAYERED)),
    ((f"knowledge=[{LAYERED[10:]},hidden_mse]",), "+knowledge@knowledge.NAME=hidden_mse",
     (LAYERED, "+knowledge@knowledge.late=hidden_mse")),
    (("size=l3_h100", *NO_TEACHER), "such as l3_h100_a2", ("size=l3_h100_a2", *NO_TEACHER)),
    (("+init.head=keep",), "drop a recipe's with ~init.head", ("+init.head=keep", "~init.head")),
    (("+init.head=keep",), "use init=run init.run=[...]",
     ("init=run", "init.run=['knowledge=none']", "init.head=keep")),
    (("train={lr: 1}",), "its keys are said one by one, as train.KEY=...", ("train.lr=1",)),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "advice", "followed"), ADVICE, ids=str)
def test_an_advice_that_is_followed_is_accepted(wrong, advice, followed):
    with pytest.raises(BadInput) as error:
        compose(*wrong)
    assert advice in str(error.value)
    composed.compose(*followed)


@pytest.mark.parametrize(("meant", "key"), [(v, k) for k, v in spelling.SYNONYMS.items()])
def test_a_synonym_is_of_a_key_that_there_is(meant, key):
    known = set(_keys())
    assert any(name.rpartition(".")[2] == meant for name in known), key
    assert key not in {name.rpartition(".")[2] for name in known}


def _keys():
    from kdlab.config.compose import _known_keys

    return _KEPT or _KEPT.extend(_known_keys(("knowledge=logits_kl",))) or _KEPT


_KEPT: list[str] = []


def test_few_names_are_listed_and_many_are_not():
    assert spelling.suggestion("x", ["a", "b"], "here") == "allowed: a, b"
    assert spelling.suggestion("x", list(map(str, range(100))), "here") == "here lists all 100"
    assert spelling.suggestion("bet", ["bert", "gpt"], "here") == "did you mean bert?"
    line = spelling.suggestion("hidden_mes", options("knowledge"), "here")
    assert len(re.findall(r"\w+", line)) < 10

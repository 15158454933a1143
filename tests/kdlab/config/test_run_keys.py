"""What runs do, flat, and the keys in which they differ."""

from kdlab import compose
from kdlab.config.run_keys import applied, keys, varying


def test_keys_are_those_of_a_command_line():
    run = compose(
        "knowledge=[logits_kl,hidden_mse]", "train.lr=2e-3", "knowledge.logits_kl.weight=3"
    )
    found = keys(run)
    assert (found["train.lr"], found["hard.weight"]) == (2e-3, 1.0)
    assert found["knowledge.logits_kl.weight"] == 3.0
    assert found["data.rows"] is None
    assert found["teacher.train.lr"] == run.teacher.train.lr
    assert found["teacher.size"] == "l4_h64"
    assert not [key for key in found if "pairs" in key or key.endswith("seed")]


def test_options_that_a_run_does_not_use_are_none():
    alone = applied(compose("knowledge=none"))
    assert (alone["knowledge"], alone["matching"], alone["teacher"]) == ("none", "none", "none")
    logits = applied(compose("knowledge=logits_kl"))
    assert (logits["matching"], logits["teacher"]) == ("none", "scratch")
    assert applied(compose("knowledge=hidden_mse", "matching=last"))["matching"] == "last"


def differing(*pages: dict, groups: str = "") -> set[str]:
    names = groups or "a" * len(pages)
    return varying(zip(names, pages, strict=True))


def test_keys_vary_if_runs_of_one_group_that_have_them_differ():
    assert differing({"train.lr": 1}, {"train.lr": 2}) == {"train.lr"}
    assert differing({"train.lr": 1}, {"train.lr": 2}, groups="ab") == set()
    assert differing({"init.layers": "[1]"}, {}) == set()  # an option of the run itself says so
    assert differing({"data.rows": None}, {"data.rows": 500}) == {"data.rows"}


def test_a_parents_key_that_another_parent_lacks_varies():
    whole = {"teacher.hard.weight": 1.0}
    assert differing(whole, whole | {"teacher.train.stop": 0.5}) == {"teacher.train.stop"}
    assert differing({}, whole | {"teacher.train.stop": 0.5}) == set()


def test_halfway_teachers_are_told_apart():
    runs = [compose("knowledge=logits_kl", f"teacher.stop={stop}") for stop in (1, 0.5)]
    assert varying((run.choices["task"], keys(run)) for run in runs) == {"teacher.train.stop"}

"""Every option trains in its own way, and no key of one is dead: five steps on eight classes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import eight_classes
import pytest
import waits

from kdlab.config.option_files import option, options
from kdlab.run import Run

GOLDEN = Path(__file__).parent / "golden" / "five_steps.json"
NOT_RUN = {"none", "logits"}  # nothing to compare; a choice between two others
WIDE = (
    "size=l3_h32_a4",
    "init.weights=finetuned",
)  # as wide as its teacher, whose weights it takes
# What an option needs beside its name.
OWN: dict[tuple[str, str], tuple[str, ...]] = {
    ("matching", "custom"): ("matching.pairs=[[1,3],[3,4]]",),
    **{
        ("init", f"teacher_{rule}"): WIDE
        for rule in ("first", "last", "skip", "both_ends", "average")
    },
    ("init", "run"): ("init.run=['knowledge=hidden_mse','hard.weight=0']",),
    ("init", "teacher_custom"): (*WIDE, "init.layers=[2,5,6]"),
    **{
        ("init", f"teacher_{way}"): ("init.weights=finetuned", "size=l3_h16_a2")
        for way in ("slice", "weight_selection", "magnitude", "svd")
    },
    # With all tokens the pairs that are most alike are those of `first`, at every step.
    ("matching", "cka"): ("knowledge=cls_pkd",),
}


def runs_of(group: str) -> dict[str, tuple[str, ...]]:
    """The options of a group and the overrides that show each."""
    shown = {
        "knowledge": lambda name: (f"knowledge={name}",),
        "matching": lambda name: ("knowledge=hidden_mse", f"matching={name}"),
        "schedule": lambda name: (
            "knowledge=logits_kl", f"+schedule@knowledge.logits_kl.schedules.weight={name}",
        ),
        "init": lambda name: ("knowledge=logits_kl", f"init={name}"),
    }  # fmt: skip
    names = [name for name in options(group) if name not in NOT_RUN]
    return {name: (*shown[group](name), *OWN.get((group, name), ())) for name in names}


GROUPS = ("knowledge", "matching", "schedule", "init")


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("eight")
    eight_classes.write(folder)
    return folder


@pytest.fixture(scope="module")
def trained(room) -> tuple[dict[str, Run], dict[str, Any], dict[str, set[str]]]:
    """By group/name the run of five steps; by uid its result, and for what the CPU waited."""
    base = eight_classes.base(room)
    pages = {
        f"{group}/{name}": [*base, *own]
        for group in GROUPS
        for name, own in runs_of(group).items()
        if (group, name) != ("init", "pretrained")
    }
    runs = dict(zip(pages, eight_classes.composed_each(pages.values()), strict=True))
    with waits.in_updates() as of_runs:
        return runs, eight_classes.results(list(runs.values()), room / "runs"), of_runs


@pytest.fixture(scope="module")
def found(trained) -> dict[str, dict[str, Any]]:
    """By group/name the losses after each of five steps."""
    runs, results, _ = trained
    return {
        name: {
            loss: values for loss, values in results[run.uid]["curves"].items() if loss != "select"
        }
        for name, run in runs.items()
    }


def test_five_steps_are_what_they_were(found):
    """After a change that is meant: KDLAB_GOLDEN=write, and a line in CHANGELOG under Numbers."""
    if os.environ.get("KDLAB_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(found, indent=0) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert sorted(golden) == sorted(found)
    for name, losses in golden.items():
        assert sorted(losses) == sorted(found[name])
        for loss, values in losses.items():
            assert found[name][loss] == pytest.approx(values, rel=2e-3, abs=1e-6), f"{name}: {loss}"


def test_no_option_makes_the_cpu_wait_for_a_gpu_in_a_step(trained):
    runs, _, of_runs = trained
    waiting = {name: of_runs[run.uid] for name, run in runs.items() if of_runs[run.uid]}
    # Which layers they pair in a step is for the CPU to know: an assignment, a plan, a draw.
    assert waiting.keys() == {"matching/cka", "matching/emd", "matching/rail_kd"}


@pytest.mark.parametrize("group", GROUPS)
def test_no_two_options_train_alike(found, group):
    seen: dict[tuple[float, ...], str] = {}
    for name, losses in found.items():
        if name.startswith(f"{group}/"):
            curve = tuple(value for values in losses.values() for value in values)
            assert seen.setdefault(curve, name) == name
            assert len(set(curve)) > 5


# ---- no key is dead ------------------------------------------------------------------------------

# Of every key of an option, a value that its YAML does not have.
CHANGED: dict[str, str] = {
    "weight": "30.0", "temperature": "0.5", "normalize": "false", "relation_heads": "2",
    "skew": "0.4", "teacher_share": "0.2", "k": "3", "target_weight": "0.5",
    "others_weight": "2.0", "row_weight": "0.5", "class_weight": "2.0", "window": "3",
    "projection": "always", "mass": "layers", "pairs": "[[2,2]]", "start": "0.5", "end": "0.3",
    "steps": "2", "layers": "[1,4,7]", "head_mass": "0.2",
    "mix": "features", "teacher_scale": "0.5", "reduction": "mean",
    "run": "['knowledge=none']", "head": "keep",
}  # fmt: skip
# Keys that say what an option is, not how it does it: nobody can change the first two.
NAMES = {
    "name": "an option's own name", "_target_": "its function",
    "min_classes": "says where the option is refused, which test_conf sees",
    "view": "a function by name: another view is another piece of knowledge",
    "weights": "whose weights: test_init sees pretrained and finetuned differ",
    "checkpoint": "a file: test_init",
}  # fmt: skip
# What a change needs beside it, or instead of CHANGED's value.
BESIDE = {"projection": ("size=l3_h32_a4",)}
ONE_PAIR = {(n, "mass") for n in ("last1", "last_but_two", "middle")}  # it has the weight of one
# What is refused, with a reason: weights that differ by row.
REFUSED = {("alp_kd", "mix")}


def keys_of(group: str, name: str) -> list[str]:
    found = [".".join(path) for path in leaves(option(group, name))]
    return [key for key in found if key.rpartition(".")[2] not in NAMES]


def leaves(node: Any) -> Iterator[tuple[str, ...]]:
    """The path of every value in a page."""
    for key, value in node.items():
        yield from ((key, *path) for path in (leaves(value) if isinstance(value, dict) else [()]))


def place_of(group: str, name: str) -> str:
    """Where an option's keys stand in the page."""
    return {
        "knowledge": f"knowledge.{name}",
        "schedule": "knowledge.logits_kl.schedules.weight",
    }.get(group, group)


LIVE = [
    (group, name, key)
    for group in GROUPS
    for name in runs_of(group)
    for key in keys_of(group, name)
    if (name, key) not in ONE_PAIR | REFUSED
]


@pytest.fixture(scope="module")
def changed(room) -> dict[tuple[str, str, str], tuple[Any, Any]]:
    """By group, option and key the results with the YAML's value and with another."""
    ones, others = [], []
    for group, name, key in LIVE:
        ones.append([*eight_classes.base(room), *runs_of(group)[name], *BESIDE.get(key, ())])
        value = CHANGED.get(key.rpartition(".")[2])
        assert value is not None, f"{group}/{name}: add another value of {key} to CHANGED"
        others.append([*ones[-1], f"{place_of(group, name)}.{key}={value}"])
    runs = list(eight_classes.composed_each([*ones, *others]))
    results = eight_classes.results(runs, room / "runs")
    shown = [results[run.uid] for run in runs]
    return dict(zip(LIVE, zip(shown[: len(LIVE)], shown[len(LIVE) :], strict=True), strict=True))


@pytest.mark.long
@pytest.mark.parametrize(("group", "name", "key"), LIVE)
def test_a_key_changes_what_is_trained(changed, group, name, key):
    one, other = changed[group, name, key]
    assert one["curves"] != other["curves"]
    assert one["weights"] != other["weights"]

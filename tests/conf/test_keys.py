"""No key that decides a run is dead: what is not knowledge, matching or init, and the keys of
those that no YAML shows."""

import shutil
from dataclasses import fields
from pathlib import Path

import eight_classes
import numpy as np
import pandas as pd
import pytest
from composed import compose
from key_trials import EXCEPTIONS, SHAPED, TEACHER, TRIALS
from omegaconf import OmegaConf

import kdlab
from kdlab.config.option_files import CONF, option, options
from kdlab.data import tokens
from kdlab.data.splits import Rows
from kdlab.errors import NotApplicable
from kdlab.models import saved_files
from kdlab.options import function_keys, schema
from kdlab.options.function_keys import InitKeys, MatchingKeys, Named, TermKeys

KINDS = {
    "page": schema.Config, "hard": schema.Hard, "train": schema.Train, "data": schema.Data,
    "protocol": schema.Protocol, "size": schema.Size, "teacher": schema.Teacher,
    "table": schema.Task, "synthetic": schema.Task, "corpus": schema.Task,
    "knowledge": TermKeys, "matching": MatchingKeys, "init": InitKeys, "shape": Named,
}  # fmt: skip
NOT_A_RUNS = {
    "Execution": "where and how a run is computed", "LauncherKeys": "the same",
    "TrackerKeys": "who watches", "Bare": "has no keys",
}  # fmt: skip
# Groups of conf/ whose keys are tried elsewhere, or that have none of a run's.
GROUPS_ELSEWHERE = {
    "knowledge": "test_options", "matching": "test_options", "init": "test_options",
    "schedule": "test_options", "recipe": "sets other groups' keys: test_recipes",
    "launcher": "no part of a run", "tracker": "no part of a run", "hydra": "Hydra's own",
}  # fmt: skip


def known(place: str) -> set[str]:
    return set(TRIALS[place]) | set(EXCEPTIONS.get(place, {}))


@pytest.mark.parametrize("place", KINDS)
def test_every_key_of_the_schema_has_a_trial_or_a_reason(place):
    assert {field.name for field in fields(KINDS[place])} <= known(place)
    assert not TRIALS[place].keys() & EXCEPTIONS.get(place, {}).keys()


def test_every_kind_of_the_schema_decides_runs_or_says_why_not():
    both = vars(schema) | vars(function_keys)
    kinds = {name for name, kind in both.items() if hasattr(kind, "__pydantic_config__")}
    assert kinds == {kind.__name__ for kind in KINDS.values()} | NOT_A_RUNS.keys()


def place_of(group: str, name: str) -> str:
    sources = {"synthetic": "synthetic", "corpus": "corpus"}  # all others are tables
    return sources.get(name, "table") if group == "task" else group


@pytest.mark.parametrize("group", sorted(path.name for path in CONF.iterdir() if path.is_dir()))
def test_every_key_of_a_yaml_has_a_trial_or_a_reason(group):
    if group in GROUPS_ELSEWHERE:
        return
    for name in [name for name in options(group) if "[" not in name]:
        keys = set(option(group, name)) - {"_target_", "defaults"}
        if group == "shape":
            keys = {f"{name}.{key}" for key in keys - {"name"}}
        assert keys <= known(place_of(group, name)), name


def test_every_key_of_a_file_of_several_options_has_a_trial_or_a_reason():
    pages = {name: OmegaConf.load(CONF / f"{name}.yaml") for name in ("run", "teaching", "glue")}
    assert {path.stem for path in CONF.glob("*.yaml")} == set(pages)
    assert set(pages["teaching"]) <= known("teacher")
    assert set(pages["glue"]) - {"_target_"} <= known("table")
    of_place = {field.name for field in fields(schema.Execution)}
    assert set(pages["run"]) - {"defaults", "hydra"} <= known("page") | of_place


ALL = [(place, key) for place, keys in TRIALS.items() for key in keys]


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    """Tables, texts, two finished models, and a tokenizer that knows few words."""
    folder = tmp_path_factory.mktemp("keys")
    eight_classes.write(folder)
    for name, shift in (("x", 1), ("y", 2)):
        (folder / "tables" / name).mkdir(parents=True)
        for path in folder.glob("*.parquet"):
            table = pd.read_parquet(path)
            table["label"] = (table["label"] + shift) % eight_classes.CLASSES
            table.to_parquet(folder / "tables" / name / path.name)
    draw = np.random.default_rng(0)
    lines = [" ".join(f"w{word}" for word in row) for row in draw.integers(20, size=(300, 5))]
    text = pd.DataFrame({"text": lines, "other": lines[::-1], "doc": np.arange(300) // 7})
    (folder / "corpus").mkdir()
    text.to_parquet(folder / "corpus" / "text.parquet")
    (folder / "other.txt").write_text("\n".join(lines[50:] + lines[:7]))
    for name, seed in (("a", 1), ("b", 2)):
        own = page(folder, "knowledge=none", "size=l2_h16_a2", f"seed={seed}")
        run = eight_classes.composed(own)
        kdlab.distill(run, root=str(folder / "given"), threads=1, save=True)
        shutil.copytree(saved_files.folder(folder / "given", run.uid), folder / name)
    shutil.copytree(folder / "a", folder / "few_words")
    few = Rows(np.arange(1), [("w1 w2 w3 w4 w5",)], np.zeros(1))
    tokens.word_level(few).save_pretrained(folder / "few_words")
    return folder


def page(room: Path, *overrides: str) -> list[str]:
    own = [text.format(room=room) for text in overrides]
    base = eight_classes.base(room)
    if any(text.startswith("task=") for text in own):
        base = tuple(text for text in base if not text.startswith(("task", "protocol")))
    return [*base, *TEACHER, *own]


@pytest.fixture(scope="module")
def found(room) -> dict[tuple[str, str], tuple[dict, dict]]:
    """By place and key the results without and with the key's other value."""
    trials = [TRIALS[place][key] for place, key in ALL]
    own = [page(room, *trial.own) for trial in trials]
    other = [page(room, *trial.own, trial.more) for trial in trials]
    runs = list(eight_classes.composed_each([*own, *other]))
    results = eight_classes.results(runs, room / "runs")
    shown = [results[run.uid] for run in runs]
    return dict(zip(ALL, zip(shown[: len(ALL)], shown[len(ALL) :], strict=True), strict=True))


@pytest.mark.long
@pytest.mark.parametrize(("place", "key"), ALL)
def test_a_key_changes_what_a_run_does(found, place, key):
    one, other = found[place, key]
    for part in TRIALS[place][key].sees:
        assert one[part] != other[part], part


@pytest.mark.parametrize("name", [name for name in options("shape") if name != "standard"])
def test_a_shapes_tolerance_decides_what_is_refused(name):
    own = (f"shape={name}", *SHAPED, "knowledge=none")
    assert compose(*own).student.layers != 3
    with pytest.raises(NotApplicable, match="0 % are allowed"):
        compose(*own, "shape.tolerance=0")

"""Every YAML is what its name says, binds to its function, and composes."""

import ast
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import kdlab
from kdlab.config.compose import compose
from kdlab.config.option_files import CONF, options
from kdlab.options import callables
from kdlab.options.function_keys import InitKeys, MatchingKeys, Named, TermKeys, TrackerKeys
from kdlab.options.schema import Task

KEYS = {
    "knowledge": TermKeys,
    "matching": MatchingKeys,
    "init": InitKeys,
    "shape": Named,
    "tracker": TrackerKeys,
    "task": Task,
}
CALLABLE = [
    (group, path.stem)
    for group in KEYS
    for path in sorted((CONF / group).glob("*.yaml"))
    if path.stem != "logits" and (group, path.stem) != ("knowledge", "none")
]
GLUE = ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]


def content(group: str, name: str) -> dict:
    node = OmegaConf.load(CONF / group / f"{name}.yaml")
    if node.pop("defaults", None):
        node = OmegaConf.merge(OmegaConf.load(CONF / "glue.yaml"), node)
    return OmegaConf.to_container(node)


@pytest.mark.parametrize(("group", "name"), CALLABLE)
def test_name_is_the_stem(group, name):
    assert content(group, name)["name"] == name


@pytest.mark.parametrize(("group", "name"), CALLABLE)
def test_keys_are_the_functions_knobs_and_the_groups_keys(group, name):
    node = content(group, name)
    knobs = callables.knobs(node["_target_"])
    own = set(KEYS[group].__dataclass_fields__)
    assert set(knobs) <= set(node), "a knob without a value"
    assert set(node) - {"_target_"} <= own | set(knobs), "a key that nobody reads"


def test_no_function_on_a_shelf_has_a_default():
    for shelf in ("losses", "matching", "init", "data"):
        for path in (Path(kdlab.__file__).parent / shelf).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
                    assert not defaults, f"{path.name}: {node.name}"


@pytest.mark.parametrize(
    ("shelf", "group"),
    [
        ("matching/fixed", "matching"),
        ("init/copied", "init"),
        ("init/averaged", "init"),
        ("init/narrowed", "init"),
        ("init/projected", "init"),
        ("models/shape", "shape"),
    ],
)
def test_every_public_function_is_reachable(shelf, group):
    path = Path(kdlab.__file__).parent / f"{shelf}.py"
    public = {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    targets = [content(group, name)["_target_"].rpartition(".") for name in options(group)]
    named = {name for module, _, name in targets if module == f"kdlab.{shelf.replace('/', '.')}"}
    assert public == named


def test_every_weighing_module_is_reachable_and_has_its_knobs():
    nodes = [content("matching", name).get("weigh") for name in options("matching")]
    named = {node["_target_"]: set(node) - {"_target_"} for node in nodes if node}
    assert all(callables.knobs(target).keys() == keys for target, keys in named.items())
    modules = {
        f"kdlab.matching.{path.stem}.{node.name}"
        for path in (Path(kdlab.__file__).parent / "matching").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name != "MatchingInputs"
    }
    assert modules == named.keys()


# That every knowledge, matching, shape and init composes: tests/kdlab/config/test_compose_many.py.


@pytest.mark.parametrize("name", options("shape"))
def test_every_shape_names_its_oracle(name):
    assert "\n# Oracle: " in (CONF / "shape" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", GLUE)
def test_every_glue_task_composes(name, glue):
    report = ["task.report={report_matched: validation_matched}"] if name == "mnli" else []
    run = compose(
        f"task={name}",
        f"++task.path={glue}",
        "teacher=none",
        "knowledge=none",
        "~task.report" if report else "seed=0",
        *(["+" + report[0]] if report else []),
    )
    assert run.task.name == name


@pytest.mark.parametrize("group", ["size", "data", "train", "protocol"])
def test_every_value_option_composes(group):
    for name in options(group):
        if "[" not in name:
            assert compose(f"{group}={name}", "teacher=scratch", "knowledge=logits_kl").uid


@pytest.mark.parametrize("name", options("teacher"))
def test_every_teacher_composes(name, small):
    """Without files of the hub: its own YAML parses, and what needs no file is a run."""
    node = content("teacher", name)
    assert node["name"] == name
    if name == "scratch":
        assert compose(*small, f"teacher={name}").teacher is not None

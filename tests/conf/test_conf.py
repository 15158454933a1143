"""Every YAML is what its name says, binds to its function, and composes."""

import ast
import json
from pathlib import Path

import composed
import pytest
from omegaconf import OmegaConf

import kdlab
from kdlab.config.compose import compose
from kdlab.config.option_files import CONF, options
from kdlab.errors import BadInput
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
CHECKPOINT = {
    "model_type": "bert",
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 128,
}
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


# Knowledge, matchings, shapes and inits are composed once more by Hydra in test_compose_many.


@pytest.mark.parametrize("name", options("knowledge"))
def test_every_knowledge_composes(name):
    task = ["task.classes=1", "task.metrics=[pearson]", "task.select_by=[pearson]"]
    if content("knowledge", name).get("min_classes", 0) > 2:
        with pytest.raises(BadInput, match="classes"):
            composed.compose(f"knowledge={name}")
        assert len(composed.compose(f"knowledge={name}", "task.classes=3").terms) == 1
        return
    for extra in ([], task) if name in ("logits", "none", "logits_mse") else ([],):
        assert len(composed.compose(f"knowledge={name}", *extra).terms) == (name != "none")


@pytest.mark.parametrize("name", options("matching"))
def test_every_matching_composes(name):
    extra = ["matching.pairs=[[1,2]]"] if name == "custom" else []
    knowledge = "logits_kl" if name == "none" else "hidden_mse"
    run = composed.compose(f"knowledge={knowledge}", f"matching={name}", "size=l3_h64_a4", *extra)
    assert (run.terms[0].matching is None) == (name == "none")


@pytest.mark.parametrize("name", options("shape"))
def test_every_shape_composes_and_names_its_oracle(name):
    assert composed.compose("size=tinybert6", f"shape={name}", "knowledge=none").student.hidden > 0
    assert "\n# Oracle: " in (CONF / "shape" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", options("init"))
def test_every_init_composes(name, small, tmp_path):
    own = {
        "random": [],
        "pretrained": ["init.checkpoint=CHECKPOINT"],
        "run": ["init.run=['knowledge=none']"],
        "teacher_custom": ["init.weights=finetuned", "size=l2_h32_a2", "init.layers=[1,3]"],
    }.get(name, ["init.weights=finetuned", "size=l2_h32_a2"])
    (tmp_path / "config.json").write_text(json.dumps(CHECKPOINT))
    (tmp_path / "model.safetensors").write_bytes(b"")
    run = composed.compose(
        *small, f"init={name}", *[o.replace("CHECKPOINT", str(tmp_path)) for o in own]
    )
    assert run.init.name == name


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

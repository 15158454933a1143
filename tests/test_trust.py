"""What somebody else's overrides and study files can do: describe runs, and nothing besides."""

import stat

import pytest

from kdlab.config import option_files, secrets
from kdlab.config.compose import compose
from kdlab.errors import BadInput
from kdlab.options.schema import Execution
from kdlab.storage import durable
from sweeps import multirun
from sweeps.journal import run_states
from sweeps.plan import plan
from sweeps.study import launched, reading
from sweeps.submit import launch
from sweeps.task import shards

EVIL = "evil.f"
NODE = "{_target_: evil.f, name: skip}"
LAYERED = "knowledge=hidden_mse"
RAISED = ("matching=emd", LAYERED)
STAIRS = "+schedule@hard.schedules.weight=stairs"
TOKEN = "hf_abcdefghijklmnop"

# Values that name code, in every form that Hydra has for them.
CODE = [
    *[(f"{plus}{group}={NODE}",) for plus in ("", "+", "++")
      for group in ("knowledge", "shape", "task", "init", "matching", "launcher", "tracker")],
    *[(f"{plus}knowledge.x={NODE}",) for plus in ("", "+", "++")],
    *[(f"{plus}knowledge.hidden_mse.{key}={EVIL}", LAYERED) for plus in ("", "+", "++")
      for key in ("_target_", "view", "name")],
    ("~knowledge.hidden_mse._target_", LAYERED),
    ("+knowledge.x=[{_target_: evil.f}]",),
    ("++knowledge.hidden_mse.matching={_target_: evil.f, name: skip, mass: one}", LAYERED),
    ("++hard.schedules={weight: {_target_: evil.f, name: stairs}}",),
    (STAIRS, f"hard.schedules.weight._target_={EVIL}"),
    ("+knowledge.hidden_mse.schedules={weight: {_target_: evil.f}}", LAYERED),
    ("+matching.weigh={_target_: kdlab.matching.transport.EarthMover, temperature: 1}", LAYERED),
    (*RAISED, f"matching.weigh._target_={EVIL}"),
    (*RAISED, "++matching.weigh={_target_: evil.f}"),
    (f"task.holdout={EVIL}",),
    (f"++task.holdout={EVIL}",),
    ("task.holdout=[evil.f]",),
    ("tracker=wandb", "tracker.package=evil.inner"),
    ("+tracker.package=evil.inner",),
    # options of one group in the place of another's
    *[(f"+{group}@knowledge.x={name}",) for group, name in
      (("launcher", "slurm"), ("tracker", "wandb"), ("init", "random"), ("matching", "skip"))],
    ("+tracker@init=wandb",),
    ("+knowledge@matching.weigh=hidden_mse", LAYERED),
    ("+task@shape=sst2",),
    # files that are no options
    *[(f"{group}={path}",) for group in ("knowledge", "recipe", "matching")
      for path in ("../../evil", "'../../evil'", "/tmp/evil", "a/b")],
    ("knowledge=[hidden_mse,../../evil]",),
    ("+knowledge@knowledge.x=../../evil",),
    # interpolations
    *[(f"root={value}",) for value in
      ("${oc.env:HOME}", "'${oc.env:HOME}'", "${package:evil.inner,x}", "$\\{oc.env\\:HOME\\}",
       "a${seed}${oc.env:HOME}", "${oc.decode:${root}}",
        "${.${oc.env:HOME}}", "${hydra:job.name}")],
    ("task=${package:evil.inner,x}",),
    ("+tracker.tags=[a,{b: '${oc.env:HOME}'}]",),
    ("++task.report={report: '${oc.env:HOME}'}",),
    # Hydra's own
    ("hydra.searchpath=[pkg://evil]",),
    ("+hydra.callbacks.x={_target_: evil.f}",),
    ("hydra/launcher=evil",),
    ("hydra.run.dir=/tmp/evil",),
    # what parents are told
    ("teacher.overrides=['shape={_target_: evil.f}']",),
    ("teacher.overrides=['task.holdout=evil.f']",),
    ("teacher.overrides=['root=${oc.env:HOME}']",),
    ("teacher.assistants=[l3_h64_a4]", "teacher.assistant_overrides=['init._target_=evil.f']"),
    ("init=run", "init.run=['+knowledge.x={_target_: evil.f}']"),
    ("init=run", "init.run=['init=run','init.run=[\\'shape={_target_: evil.f}\\']']"),
]  # fmt: skip


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A package that leaves a trace when it is imported, and an option file outside conf/."""
    room = tmp_path / "evil"
    room.mkdir()
    (room / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef f(*a, **k): ...")
    (room / "inner.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield room
    assert not (tmp_path / "ran").exists(), "code ran"


def refusal(action) -> str:
    with pytest.raises(BadInput) as error:
        action()
    line = str(error.value)
    assert "\n" not in line
    assert TOKEN not in line
    return line


@pytest.mark.parametrize("overrides", CODE, ids=" ".join)
def test_no_override_names_code(evil, overrides):
    refusal(lambda: compose(*overrides))


STUDY = """
question: "${{oc.env:HF_TOKEN}}"
base: [{base}]
seeds: [1]
{more}
blocks:
  - table: first
    base: [{own}]
    cases: {{a: [knowledge=logits_kl, {case}]}}
    grid: {{{grid}}}
    {block}
"""
PLACES = ("base", "own", "case", "grid", "more", "block")
TUNED = "tune: {over: {%s}, seeds: [3]}\n    confirm: {seeds: [4]}"
STUDIES = [
    *[{execution: f"'{text}'"} for execution in ("base", "own", "case") for text in (
        f"shape={NODE}", f"task.holdout={EVIL}", "launcher.setup=[touch ran]", "++launcher=slurm",
        "+launcher@launcher=slurm", "root=/tmp/elsewhere", "tracker=wandb",
        "hydra.sweeper.name=x", "train.lr=${oc.env:HF_TOKEN}", "knowledge=../../evil",
    )],
    {"grid": "launcher.setup: [[touch ran], [touch again]]"},
    {"grid": "shape: [{_target_: evil.f}]"},
    {"grid": "task.holdout: [evil.f]"},
    {"block": "zip: {tracker.project: [a, b]}"},
    {"block": "teacher: ['shape={_target_: evil.f}']"},
    {"block": "teacher: [root=/tmp/elsewhere]"},
    {"block": "layout: evil.f"},
    {"block": "layout: os.getcwd"},
    {"block": "seeds: [1]\n    tune: {over: {train.lr: [1]}, seeds: [3], rule: evil.f}"},
    {"block": TUNED % "root: [a, b]"},
    {"block": TUNED % "task.holdout: [evil.f, evil.g]", "more": "seeds: [1]"},
    {"more": "teacher: ['launcher.setup=[x]']"},
    {"more": "skip: [{name: x, when: [launcher=slurm], reason: y}]"},
]  # fmt: skip


@pytest.mark.parametrize("parts", STUDIES, ids=str)
def test_no_study_does_more_than_train(evil, tmp_path, parts):
    text = STUDY.format(**(dict.fromkeys(PLACES, "") | parts))
    (tmp_path / "theirs.yaml").write_text(text.replace("seeds: [1]\nseeds: [1]", "seeds: [1]"))
    refusal(lambda: plan.plan(reading.load(str(tmp_path / "theirs.yaml"))))


def test_a_study_under_a_root_is_trusted_no_more(evil, tmp_path):
    (tmp_path / "theirs.yaml").write_text(STUDY.format(**dict.fromkeys(PLACES, "")))
    loaded = reading.load(str(tmp_path / "theirs.yaml"))
    launched.save(loaded, ("seed=1",), tmp_path)
    assert launched.read(tmp_path)[1] == ("seed=1",)
    path = tmp_path / launched.STUDY_FILE
    text = durable.read_yaml(path)
    assert TOKEN not in text
    durable.write_yaml(path, text.replace("knowledge=logits_kl", "launcher.setup=[x]"))
    assert "for the command line" in refusal(lambda: launched.read(tmp_path))


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", ".", "a/b", "a\\b", "x\ny", "", "-x"])
def test_a_study_is_no_path(tmp_path, name):
    refusal(lambda: run_states.study_folder(tmp_path, name))
    if name:
        refusal(lambda: multirun.as_request(name, (), {"seed": ["seed=1"]}))


SECRET_LINES = [
    "export HF_TOKEN=x", "export WANDB_API_KEY=0123", "wandb login 0123", "huggingface-cli login",
    "PASSWORD=x", "curl -H 'Authorization: Bearer x'", "tool --api-key x", "MY_SECRET_KEY=x",
    f"echo {TOKEN}",
]  # fmt: skip
PLAIN_LINES = [
    "module load cuda", "export TOKENIZERS_PARALLELISM=false", "source ~/secrets.sh", "ulimit -n 9",
    "export HF_HOME=/scratch", "setxkbmap keyboard=us",
]  # fmt: skip


@pytest.fixture(scope="module")
def execution() -> Execution:
    from kdlab.config.compose import execution

    return execution("launcher=slurm")


def told(execution: Execution, where: str, **values) -> Execution:
    page = vars(execution) | {where: {**getattr(execution, where), **values}}
    return launch.prepared(Execution(**page), "mine")


@pytest.mark.parametrize("line", SECRET_LINES)
def test_a_secret_is_kept_out_of_what_is_written(monkeypatch, execution, line):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "launcher.setup" in refusal(lambda: told(execution, "launcher", setup=["ls", line]))
    assert "launcher.additional.export" in refusal(
        lambda: told(execution, "launcher", additional={"export": line})
    )
    assert refusal(lambda: told(execution, "tracker", project=f"a{TOKEN}")).endswith(
        "stay in files"
    )
    assert TOKEN not in refusal(lambda: compose(f"task.path=/x/{TOKEN}"))


def test_what_is_no_secret_is_taken(monkeypatch, execution):
    monkeypatch.setenv("HF_TOKEN", "short")
    assert told(execution, "launcher", setup=PLAIN_LINES).launcher["setup"] == PLAIN_LINES
    assert secrets.variable_in("short") is None


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_a_launcher_is_told_is_for_its_owner_alone(tmp_path, execution):
    (tmp_path / "theirs.yaml").write_text(STUDY.format(**dict.fromkeys(PLACES, "")))
    loaded = reading.load(str(tmp_path / "theirs.yaml"))
    launched.save(loaded, ("launcher.setup=[module load x]",), tmp_path)
    assert mode(tmp_path / launched.STUDY_FILE) == 0o600
    settled = told(execution, "launcher", setup=["module load x"])
    here = Execution(**vars(settled) | {"root": str(tmp_path)})
    path = shards.write([[compose("knowledge=none")]], "mine", here, set(), set())
    assert "module load" not in path.read_text()
    assert shards.read(path).execution.launcher == {}


UNBOUNDED = [
    "size=l999999999_h64", "size=l2_h99999999968", "size.layers=99999999", "launcher.parallel=0",
    "size.heads=99999999",
    "size.intermediate=9999999999", "teacher.size=l99999999_h64", "teacher.folds=100000",
    "data.fold=[0,100000000]", "task.classes=2000000000",
    "teacher.assistants=[" + ",".join(["l2_h64"] * 17) + "]",
]  # fmt: skip


@pytest.mark.parametrize("text", UNBOUNDED, ids=lambda text: text[:40])
def test_a_number_that_would_take_for_ever_is_refused(text):
    assert text.partition("=")[0].rpartition(".")[2] in refusal(lambda: compose(text))


GROUPS = (*option_files.ONE_FUNCTION, "data", "train", "size", "recipe", "protocol", "teacher",
          "knowledge")  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("value", ["null", "{}"])
def test_a_group_without_an_option_is_refused(group, value):
    assert refusal(lambda: compose(f"{group}={value}")).startswith(f"{group}={value}: an option")

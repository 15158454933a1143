"""`python -m kdlab -m`: Hydra's idioms; every value is checked before any submission."""

import pytest
from at_once import python
from hydra_plugins.kdlab_sweeper import KdlabSweeper

from kdlab.config.compose import compose
from kdlab.errors import BadInput
from kdlab.storage import ledger
from sweeps import commands, multirun
from sweeps.plan import plan


def run(*arguments, **options):
    return python("kdlab", *arguments, **options)


@pytest.mark.long
def test_a_multirun_is_launched_once_and_found_again(small, tmp_path):
    swept = ["knowledge=none,logits_kl", "train.warmup=choice(0,0.2)", "seed=range(1,3)"]
    # The last word on a key counts, as with Hydra's own sweeper: train.lr is not swept.
    arguments = ["-m", "train.lr=1,2", *swept, *small, "threads=1", f"root={tmp_path}/runs"]
    found = run(*arguments, "hydra.sweeper.wait=true", "hydra.sweeper.name=first", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "8 raw, 0 excluded, 0 duplicate, 0 done, 8 to run" in found.stdout
    records = ledger.records(tmp_path / "runs")
    expected = [
        compose(*small, f"knowledge={knowledge}", f"train.warmup={share}", f"seed={seed}")
        for knowledge in ("none", "logits_kl")
        for share in (0, 0.2)
        for seed in (1, 2)
    ]
    assert set(records) == {r.uid for r in expected} | {r.teacher.uid for r in expected[4:]}
    again = run(*arguments, "hydra.sweeper.name=first", cwd=tmp_path)
    assert "8 done, 0 to run" in again.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    # Found by its name, without the command line.
    assert len(commands.requested("first", (), f"{tmp_path}/runs").study.blocks[0].cases) == 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["matching=skip,no_such"], "matching=no_such: no such option; python -m kdlab --help"),
        (["seeed=1,2"], "seeed: unknown key"),
        (["train.lr=1e-3,nan"], "train.lr=nan"),
        (["seed=1,x"], "seed=x: a whole number"),
        (["seed=1,-1"], "seed=-1"),
        (["threads=1,2"], "threads: where and how runs are computed cannot be swept"),
        (["launcher=local,slurm"], "launcher: where and how"),
        (["train.lr=interval(0,1)"], "choice, range and glob can be swept"),
        (["seed=1,2", "hydra/launcher=basic"], "launcher=local or launcher=slurm"),
        (["seed=1,2", "hydra/sweeper=basic"], "launcher=local or launcher=slurm"),
        (["seed=1,2", "launcher=slum"], "launcher=slum: no such option; did you mean slurm"),
        (
            ["knowledge=glob(zz*)"],
            "knowledge=glob(zz*): stands for no value; allowed:",
        ),
        (["train.lr=glob(*)", "seed=1"], "train.lr=glob(*): stands for no value"),
        (["seed=1,1"], "seeds: [1, 1]: one is there twice"),
        (["knowledge=none,logits_kl", "seed=x"], "seed=x: a whole number"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_submitted(arguments, says, tmp_path):
    found = run("-m", *arguments, f"root={tmp_path}/runs", cwd=tmp_path)
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1, found.stderr
    assert says in found.stderr
    assert not list(tmp_path.iterdir())


def test_globs_pluses_and_tildes_mean_what_they_mean_to_hydra(tmp_path):
    arguments = ["init=glob(teacher_*)", "init.weights=finetuned", "size=l2_h64_a4"]
    more = ["+matching@knowledge.hidden_mse.matching=last,skip", "knowledge=hidden_mse"]
    found = run("-m", *arguments, *more, f"root={tmp_path}/runs", "launcher.minutes=-1")
    assert "launcher.minutes=-1" in found.stderr  # the last thing checked: all else was understood
    asked = multirun.as_request(
        None,
        ["~knowledge.cls_pkd", "knowledge=[logits_kl]"],
        {"task": ["task=synthetic"], "seed": ["seed=1", "seed=2"], "train.lr": ["train.lr=1e-3"]},
    )
    (block,) = asked.study.blocks
    assert (block.grid, asked.study.seeds) == ({"task": ["synthetic"]}, [1, 2])
    assert list(block.cases) == ["train.lr=1e-3"]
    with pytest.raises(BadInput):
        plan.plan(asked.study, asked.extra)  # ~ of what is not there, as Hydra has it


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        (["knowledge=none,logits_kl", "seed=1"], [("none", 1), ("logits_kl", 1)]),
        (["++seed=3", "knowledge=choice(none,logits_kl)"], [("none", 3), ("logits_kl", 3)]),
        (["knowledge=none", "seed=1"], [("none", 1)]),
        (["knowledge=none,logits_kl"], [("none", 0), ("logits_kl", 0)]),
        (["seed=5,6", "seed=4", "knowledge=none"], [("none", 4)]),
        (["seed=4", "seed=range(1,3)", "knowledge=none"], [("none", 1), ("none", 2)]),
        (
            ["knowledge=[logits_kl,hidden_mse],[logits_kl]", "seed=2"],
            [("hidden_mse+logits_kl", 2), ("logits_kl", 2)],
        ),
        (["size=l1_h32_a2,l2_h32_a2", "knowledge=none", "seed=1"], [("none", 1), ("none", 1)]),
        (
            ["train.epochs=choice(1,3)", "knowledge=logits_kl", "knowledge.logits_kl.weight=2"],
            [("logits_kl", 0), ("logits_kl", 0)],
        ),
    ],
)
def test_a_multirun_has_the_runs_that_its_command_line_says(arguments, runs, small, monkeypatch):
    asked = []
    monkeypatch.setattr(
        commands, "run_launch", lambda request, *_, **__: asked.append(request) or 0
    )
    sweeper = KdlabSweeper(None, False, None)
    sweeper.sweep([*small, *arguments])
    planned = plan.plan(asked[0].study, asked[0].extra)
    said = [(entry.run.choices["knowledge"], entry.run.seed) for entry in planned]
    assert sorted(said) == sorted(runs)


def test_a_multirun_whose_run_fails_exits_with_1(monkeypatch):
    monkeypatch.setattr(commands, "run_launch", lambda *_, **__: 1)
    with pytest.raises(SystemExit, match="1"):
        KdlabSweeper(None, True, None).sweep(["seed=1"])


def test_a_study_is_the_same_wherever_it_is_computed():
    swept = {"seed": ["seed=1", "seed=2"]}
    names = {
        multirun.as_request(None, ["size=tiny", *more], swept).name
        for more in ([], ["launcher=slurm"], ["root=/elsewhere", "launcher.parallel=3"])
    }
    assert len(names) == 1
    assert names != {multirun.as_request(None, ["size=mini"], swept).name}


def test_a_single_run_has_no_launcher(tmp_path):
    found = run("launcher=slurm", cwd=tmp_path)
    assert found.returncode == 2
    assert "launcher=slurm: a single run trains here; -m launches" in found.stderr

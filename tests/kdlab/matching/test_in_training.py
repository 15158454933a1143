"""Weighed matchings in real training: they teach, their knobs count, and they resume exactly."""

from itertools import combinations

import pytest
from composed import compose
from omegaconf import OmegaConf

import kdlab
from kdlab.config.option_files import CONF, options
from kdlab.errors import BadInput
from kdlab.training import loop

WEIGHED = [n for n in options("matching") if "weigh" in OmegaConf.load(CONF / f"matching/{n}.yaml")]
ARMS = [
    "matching=emd",
    "matching=emd matching.weigh.temperature=1",
    "matching=alp_kd",
    "matching=alp_kd matching.weigh.temperature=8",
    "matching=rail_kd",
    "matching=rail_kd matching.weigh.steps=3",
    "matching=cka",
    "matching=cka matching.weigh.steps=5",
]


class Stopped(Exception):
    """As a process that dies between two updates."""


@pytest.fixture(scope="module")
def runs(small):
    own = (
        "threads=1",
        "seed=3",
        "knowledge=hidden_mse",
        "size=l3_h32_a2",
        "teacher.size=l5_h32_a2",
    )
    return [compose(*small, *own, *arm.split()) for arm in ARMS]


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    return kdlab.distill(runs, root=str(tmp_path_factory.mktemp("whole")), threads=1)


def test_the_arms_have_every_weighed_matching():
    assert {arm.split()[0] for arm in ARMS} == {f"matching={name}" for name in WEIGHED}


def test_every_weighed_matching_teaches(whole):
    for record in whole:
        curve = record.result["curves"]["hidden_mse"]
        assert 0 < curve[-1] < curve[0]


def test_every_matching_and_every_knob_gives_a_loss_of_its_own(whole):
    for one, other in combinations(whole, 2):
        assert one.result["curves"]["hidden_mse"] != other.result["curves"]["hidden_mse"]


def test_a_run_that_was_stopped_ends_in_the_result_it_would_have_had(
    runs, whole, tmp_path, monkeypatch
):
    update = loop.student_state.update
    root = str(tmp_path)
    some, ends = runs[::2], [record.result for record in whole[::2]]  # each matching once
    kdlab.distill(runs[0].teacher, root=root, threads=1, save=True)
    for after in (50, 30):  # of four students' 34 updates each, in turns
        left = iter(range(after))

        def stopping(*arguments, left=left):
            update(*arguments)
            if next(left, None) is None:
                raise Stopped

        with monkeypatch.context() as patch:
            patch.setattr(loop.student_state, "update", stopping)
            with pytest.raises(Stopped):
                kdlab.distill(some, root=root, threads=1, checkpoint_seconds=0)
    assert len(list((tmp_path / "checkpoints").iterdir())) == len(some)
    resumed = kdlab.distill(some, root=root, threads=1)
    assert [record.result for record in resumed] == ends


@pytest.mark.parametrize("name", WEIGHED)
def test_a_weighed_matching_has_mass_one_or_that_of_its_layers(name):
    own = ("knowledge=hidden_mse", "size=l3_h64_a4", f"matching={name}")
    one, layers = (
        compose(*own, f"matching.mass={mass}").terms[0].matching for mass in ("one", "layers")
    )
    assert (one.pair_weight, layers.pair_weight) == (1, len({pair[0] for pair in one.pairs}))
    with pytest.raises(BadInput, match=f"matching={name}: it weighs its pairs; matching.mass: one"):
        compose(*own, "matching.mass=pairs")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("matching=cka size=l5_h64_a4", "5 student layers are more than the teacher's 4"),
        ("matching=rail_kd size=l5_h64_a4", "4 student layers are more than the teacher's 3"),
        ("matching=rail_kd size=l1_h64_a4", "matching=rail_kd: a one-layer student"),
        ("matching=alp_kd knowledge=value_relation", "knowledge.value_relation: this matching"),
        ("matching=emd matching.weigh.temperature=0", "matching.weigh.temperature=0: input should"),
        ("matching=alp_kd matching.mix=losses", "differ by row are for matching.mix=features"),
        ("matching=emd matching.weigh.steps=1", "matching.weigh.steps"),
    ],
)
def test_what_cannot_be_weighed_is_refused(overrides, message):
    with pytest.raises(BadInput, match=message):
        compose("knowledge=hidden_mse", *overrides.split())

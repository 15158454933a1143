"""What tests/benchmarks/on_gpu.py asks of a GPU, but for times."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import kdlab
from kdlab.config.compose import compose

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import on_gpu

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
BASE = (*on_gpu.RUN, *on_gpu.SMALL, "task.train_rows=400")


@pytest.fixture
def distill(tmp_path: Path) -> Callable[..., Any]:
    def on_the_gpu(name: str, what: Any, **more: Any) -> Any:
        return kdlab.distill(what, root=str(tmp_path / name), device="cuda", threads=1, **more)

    return on_the_gpu


@pytest.fixture
def runs() -> list[Any]:
    return [compose(*BASE, *arm) for arm in on_gpu.ARMS]


def test_repeats_are_equal(distill, runs):
    assert on_gpu.repeated(distill, runs)


def test_runs_are_the_same_with_cuda_graphs_and_without(distill):
    assert on_gpu.recorded(distill)


def test_a_cohort_that_is_stopped_ends_as_one_that_is_not(distill, runs):
    assert on_gpu.resumed(distill, runs, after=6)


def test_a_cohorts_peak_of_memory_is_its_own(distill):
    assert on_gpu.memory(distill, BASE, small=True)


def test_no_step_makes_the_cpu_wait(distill, runs):
    assert on_gpu.waits(distill, runs, "cuda")

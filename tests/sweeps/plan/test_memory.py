"""The peak that a plan predicts of a cohort: against tensors' allocations, and in the plan."""

import json

import numpy as np
import pandas as pd
import pytest
from composed import compose
from three_arms import STUDY
from torch.profiler import ProfilerActivity, profile

import kdlab
from kdlab.config.compose import execution
from kdlab.errors import BadInput
from sweeps import commands
from sweeps.launchers import choice
from sweeps.plan import cohorts, memory, student_memory
from sweeps.study import reading

pytestmark = pytest.mark.usefixtures("plans_sooner")
# Rows of 32 tokens, and widths at which tensors are more than what is around them.
SHAPE = (
    *("task.train_rows=200", "task.report_rows=40", "task.words=30", "task.length=30"),
    *("teacher.size=l3_h128_a4", "size=l2_h96_a4", "train.epochs=1", "seed=1"),
)


def cohort(*overrides, runs=2):
    return [compose(*SHAPE, *overrides, f"train.lr={number}e-4") for number in range(1, runs + 1)]


def allocated(runs, root) -> float:
    """The most bytes of tensors that a cohort has at once, as PyTorch's profiler counts them."""
    for teacher in {run.teacher.uid: run.teacher for run in runs if run.teacher}.values():
        kdlab.distill(teacher, root=root, threads=1, save=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        kdlab.distill(runs, root=root, threads=1, device="cpu")
    events = profiled.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return float(np.cumsum([size for _, size in changes]).max())


@pytest.mark.parametrize(
    "overrides",
    [
        ("knowledge=[logits_kl,attention_mse]", "matching=last", "size=l2_h96_a4"),
        ("knowledge=[logits_kl,cls_pkd]", "matching=skip", "train.precision=bf16"),
        ("knowledge=hidden_mse", "matching=skip", "protocol.checkpoint=best_select"),
    ],
)
def test_the_peak_of_a_cohort_is_predicted_within_a_fifth(overrides, shared_root):
    runs = cohort(*overrides)
    predicted = memory.phases(runs, on_gpu=False).tensors
    assert predicted == pytest.approx(allocated(runs, shared_root), rel=0.2)


def test_so_is_that_of_language_models_whose_logits_are_most_of_it(tmp_path):
    words = [f"w{word}" for word in np.random.default_rng(0).integers(1000, size=12_000)]
    texts = [". ".join(" ".join(words[n : n + 12]) for n in range(s, s + 600, 12)) + "."
             for s in range(0, 12_000, 600)]  # fmt: skip
    path = tmp_path / "text.parquet"
    pd.DataFrame({"doc": range(len(texts)), "text": texts}).to_parquet(path)
    corpus = (
        *("task=corpus", f"task.path={path}", "task.words=60", "task.report_rows=40"),
        *("task.max_length=64", "teacher.size=l3_h64_a2", "size=l2_h64_a2", "train.epochs=1"),
        *("teacher.epochs=1", "protocol.select=0.2", "knowledge=[logits_kl,hidden_mse]"),
    )
    runs = [compose(*corpus, f"train.lr={number}e-4") for number in (1, 2)]
    predicted = memory.phases(runs, on_gpu=False)
    assert predicted.tensors == pytest.approx(allocated(runs, str(tmp_path)), rel=0.2)
    logits = 4 * int(0.15 * 32 * 64) * 1006
    assert predicted.step - predicted.scoring > 5 * logits


@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_cohort_grows_by_what_a_student_holds_and_by_its_activations_if_recorded(is_recorded):
    run = cohort("knowledge=logits_kl", f"train.bias_correction={is_recorded}", runs=1)[0]
    one, two, three = (memory.peak([run] * n, on_gpu=True) for n in (1, 2, 3))
    student = student_memory.student(run, on_gpu=True)
    assert student.is_recorded == is_recorded
    grows = student.held + (student.step + memory.WORKSPACE if is_recorded else 0)
    assert two - one == three - two == grows
    assert one - grows > student.step  # the pass that is there once, whoever makes it
    plain = [memory.peak([run] * n, on_gpu=True, graphs=False) for n in (1, 2)]
    assert plain[1] - plain[0] == student.held


def test_a_process_holds_a_checkpoint_twice_while_it_is_written_and_a_gpu_none_of_it():
    # A wide student of few rows, whose step takes less than what it holds.
    runs = cohort("knowledge=none", "size=l2_h512_a4", "train.batch_size=1")
    on_cpu, on_gpu = (memory.phases(runs, kind) for kind in (False, True))
    held = sum(student_memory.student(run, False).held for run in runs)
    file = student_memory.student(runs[0], False).checkpoint
    assert (on_cpu.peak, on_gpu.saving) == (held + 2 * file, 0)
    assert file == pytest.approx(held / len(runs) * 3 / 4)  # all but the gradients
    assert memory.peak(runs, False) == memory.PROCESS + memory.HEAP * on_cpu.peak


def test_attention_takes_more_without_a_gpu_and_bf16_less_than_fp32():
    runs = cohort("knowledge=logits_kl", "train.batch_size=256")
    on_cpu, on_gpu = (student_memory.student(runs[0], kind) for kind in (False, True))
    assert on_cpu.step > on_gpu.step
    halved = cohort("knowledge=logits_kl", "train.batch_size=256", "train.precision=bf16")
    assert memory.peak(halved, True) < memory.peak(runs, True)


def test_a_frozen_encoder_keeps_nothing_for_its_backward_pass():
    free = student_memory.student(cohort("knowledge=none", runs=1)[0], True)
    frozen = student_memory.student(
        cohort("knowledge=none", "train.freeze_encoder=true", runs=1)[0], True
    )
    assert frozen.step < 0.3 * free.step
    assert frozen.held < 0.3 * free.held


def test_cohorts_are_as_large_as_fits_and_their_runs_are_the_same():
    runs = cohort("knowledge=logits_kl", runs=7)
    room = memory.peak(runs[:3], on_gpu=True) / memory.SHARE / memory.GIGABYTE

    def chosen(gigabytes: float | None):
        size = "null" if gigabytes is None else f"{gigabytes:.9f}"
        return choice.launcher(execution("device=cuda", f"launcher.device_memory_gb={size}"))

    assert memory.limit(chosen(None)) is None
    fits = memory.limit(chosen(room + 1e-6))
    assert list(map(len, cohorts.group(runs, 8, fits=fits))) == [3, 3, 1]
    assert list(map(len, cohorts.group(runs, 2, fits=fits))) == [2, 2, 2, 1]
    assert list(map(len, cohorts.group(runs, 8, {runs[0].uid}, fits))) == [1, 3, 3]
    grouped = cohorts.group(runs, 8, fits=fits)
    assert [run.uid for part in grouped for run in part] == [run.uid for run in runs]


@pytest.fixture
def request_of(small, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY.format(base=", ".join(small)))
    loaded = reading.load(str(path))
    return lambda *more: commands.Request("mine", loaded, (f"root={tmp_path / 'runs'}", *more))


def test_a_run_that_does_not_fit_alone_is_refused_before_anything_is_submitted(
    request_of, tmp_path
):
    request = request_of("launcher.device_memory_gb=0.001")
    with pytest.raises(BadInput, match=r"device_memory_gb=0.001: run \w{6} \(bert l.*train.batch"):
        commands.run_launch(request, None, wait=False)
    assert not (tmp_path / "runs" / "events").exists()


def test_a_plan_says_what_its_largest_cohort_takes(request_of, capsys):
    told = {}
    for device in ("auto", "cpu", "cuda"):
        more = ("size=l3_h64_a2", f"device={device}", "launcher.device_memory_gb=4")
        request = request_of(*more)
        commands.plan_only(request, None)
        words = capsys.readouterr().out
        commands.plan_only(request, None, as_json=True)
        told[device] = json.loads(capsys.readouterr().out)["memory"]
        (line,) = [line for line in words.splitlines() if line.startswith("memory: ")]
        assert "largest cohort (3 runs, bert l3_h64_a2 on synthetic, batches of 16)" in line
        assert "launcher.device_memory_gb=4, of which plans fill 80%" in line
        on_gpu, on_cpu = (told[device][f"bytes_on_{kind}"] for kind in ("gpu", "cpu"))
        assert (f"{on_gpu / 1e9:.2g} GB of a GPU" in line) if on_gpu else "of a GPU" not in line
        assert (f"{on_cpu / 1e9:.2g} GB on a CPU" in line) if on_cpu else "on a CPU" not in line
    assert told["cpu"]["bytes_on_gpu"] is None
    assert told["cuda"]["bytes_on_cpu"] is None
    assert told["auto"]["bytes_on_cpu"] > told["auto"]["bytes_on_gpu"] > 0
    assert told["auto"]["runs"] == 3


def test_students_that_differ_by_seed_or_weight_are_computed_once(small, monkeypatch):
    runs = [
        compose(*small, f"knowledge={arm}", f"seed={seed}", *more)
        for arm in ("logits_kl", "hidden_mse")
        for seed in (1, 2, 3)
        for more in ([], [f"knowledge.{arm}.weight=2"])
    ]
    computed = []
    student = student_memory.student
    monkeypatch.setattr(
        student_memory, "student", lambda run, on_gpu: computed.append(run) or student(run, on_gpu)
    )
    sizes = {}
    for run in runs:
        memory.peak([run], on_gpu=True, sizes=sizes)
    assert len(computed) == len(sizes) == 2

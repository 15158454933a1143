"""What is done on a GPU, seen by a recorder that stands in for CUDA."""

from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch
from composed import compose

from kdlab import device
from kdlab.config.compose import execution
from kdlab.device import Clock
from kdlab.models.student import build_student

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


class Event:
    """A CUDA event whose time is that of a clock which tests turn."""

    now, waited = 0.0, 0

    def __init__(self, enable_timing):
        assert enable_timing
        self.at = None

    def record(self, stream):
        assert stream == GPU
        self.at = Event.now

    def elapsed_time(self, later):
        return later.at - self.at

    def synchronize(self):
        Event.waited += 1


@pytest.fixture
def cuda(monkeypatch):
    """Calls to torch.cuda, by name and arguments."""
    calls = []

    def note(name, answer=None):
        return lambda *arguments: (calls.append((name, *arguments)), answer)[1]

    Event.now, Event.waited = 0.0, 0
    fake = {
        "is_available": note("is_available", True),
        "current_device": note("current_device", 1),
        "current_stream": lambda on: on,
        "Event": Event,
        "synchronize": note("synchronize"),
        "get_rng_state": note("get"),
        "set_rng_state": note("set"),
        "reset_peak_memory_stats": note("reset"),
        "max_memory_allocated": note("peak", 5),
        "manual_seed_all": note("manual_seed_all"),
    }
    for name, value in fake.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return calls


def test_a_clock_reads_events_and_waits_only_when_it_is_read(cuda):
    clock = Clock(GPU, earlier=1.0)
    for _ in range(device.MAX_LAPS + 1):
        with clock.running():
            Event.now += 2
        Event.now += 7  # somebody else's work
    assert Event.waited == 1  # for one that is long done
    assert len(clock.laps) == device.MAX_LAPS // 2 + 1
    assert clock.seconds() == 1.0 + 2 * (device.MAX_LAPS + 1) / 1000
    assert (clock.laps, Event.waited, cuda) == ([], 2, [])


def test_a_clock_on_a_cpu_counts_what_fails_too(monkeypatch):
    now = iter([0.0, 2.0, 10.0, 11.0])
    monkeypatch.setattr(device.time, "monotonic", lambda: next(now))
    clock = Clock(CPU)
    with clock.running():
        pass
    with pytest.raises(KeyError), clock.running():
        raise KeyError
    assert clock.seconds() == 3.0


@pytest.mark.parametrize("fails", [False, True])
def test_the_random_state_of_the_process_comes_back_whatever_happens(fails):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    state = device.seeded(CPU, 11)
    with pytest.raises(KeyError) if fails else torch.no_grad(), device.random_state(state):
        drawn = torch.rand(4)
        if fails:
            raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(11)
    assert torch.equal(torch.rand(4), drawn)
    assert torch.equal(torch.get_rng_state(), state.cpu)


def test_a_gpu_draws_from_a_state_of_its_own_which_is_never_copied(monkeypatch):
    class Generator:
        device, state = torch.device("cuda", 3), "of the student"

        def graphsafe_get_state(self):
            return SimpleNamespace(state=self.state)

        def graphsafe_set_state(self, other):
            self.state = other.state

    default = Generator()
    default.state = "of the process"
    others = None  # to touch another GPU's fails
    monkeypatch.setattr(torch.cuda, "default_generators", (others, others, others, default))
    with device.random_state(device.RandomState(torch.get_rng_state(), Generator())):
        assert default.state == "of the student"
    assert default.state == "of the process"


def test_building_a_student_touches_no_gpu(small, cuda, monkeypatch):
    monkeypatch.setattr(torch.random, "fork_rng", None)
    run = compose(*small, "knowledge=none")
    tokenizer = type("Tokenizer", (), {"pad_token_id": 0, "__len__": lambda self: 40})()
    before = torch.get_rng_state()
    build_student(run, tokenizer, "nowhere")
    assert [call for call in cuda if call[0] != "is_available"] == []
    assert torch.equal(torch.get_rng_state(), before)


def test_memory_is_measured_from_the_start_of_a_cohort(cuda):
    device.forget_peak(GPU)
    assert device.peak_memory(GPU) == 5
    assert cuda == [("reset", GPU), ("peak", GPU)]


def test_a_process_forgets_its_peak():
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    high = device.peak_memory(CPU)
    del block
    device.forget_peak(CPU)
    assert 0 < device.peak_memory(CPU) < high


def test_a_gpu_uses_deterministic_algorithms_and_never_fails_for_want_of_one(monkeypatch):
    monkeypatch.delenv(device.CUBLAS, raising=False)
    enabled = torch.are_deterministic_algorithms_enabled
    filled = torch.utils.deterministic.fill_uninitialized_memory
    with device.deterministic(CPU):
        assert not enabled()
    with suppress(KeyError), device.deterministic(GPU):
        assert enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
        assert device.os.environ[device.CUBLAS] == ":4096:8"
        raise KeyError
    assert not enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory is filled


def test_the_device_is_the_one_that_the_place_names(cuda):
    assert device.chosen(execution("device=cpu")) == CPU
    assert device.chosen(execution("device=auto")) == device.chosen(execution("device=cuda")) == GPU

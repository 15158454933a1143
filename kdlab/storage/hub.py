"""What is fetched from the Hugging Face hub, or from its cache on this machine."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from kdlab.errors import BadInput

PATIENCE = 1.0  # seconds


def fetched(what: str, fetch: Callable[[], Any]) -> Any:
    """The result of a function of huggingface_hub or datasets, or one line if there is none.

    Where the hub cannot be reached these libraries would try for half a minute, with a line for
    each time; here they look into their caches alone.

    Args:
        what: the key and its value, for the message.
        fetch: fetches a file or a data set, if the cache lacks it.

    Raises:
        BadInput: it is not in the cache, and not fetched.
    """
    why_offline = None
    try:
        with _access() as why_offline:
            return fetch()
    except Exception as error:  # of these libraries, and of the network
        first = str(error).partition("\n")[0]
        reason = f"{why_offline} ({first})" if why_offline else first
        raise BadInput(f"{what}: not in the cache, and not fetched: {reason}") from None


@contextmanager
def _access() -> Iterator[str | None]:
    """Inside, the libraries are offline if the hub cannot be reached; gives why they are."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or is_reachable(constants.ENDPOINT):
        yield "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else None
        return
    # Not by the environment variable, which both read once, when they are loaded.
    switches: list[Any] = [constants]
    if "datasets" in sys.modules:
        switches.append(sys.modules["datasets"].config)
    before = [module.HF_HUB_OFFLINE for module in switches]
    for module in switches:
        module.HF_HUB_OFFLINE = True
    try:
        yield "the hub cannot be reached from here"
    finally:
        for module, value in zip(switches, before, strict=True):
            module.HF_HUB_OFFLINE = value


@cache  # thousands of runs of a plan may ask
def is_reachable(endpoint: str) -> bool:
    """Whether a server can be connected to. One that is slow, or behind a proxy, counts as such."""
    if getproxies().keys() & {"http", "https", "all"}:
        return True
    server = urlsplit(endpoint)
    port = server.port or (80 if server.scheme == "http" else 443)
    try:
        socket.create_connection((server.hostname, port), timeout=PATIENCE).close()
    except TimeoutError:
        return True
    except OSError:
        return False
    return True

"""What is fetched from the Hugging Face hub, or from its cache on this machine."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    is_online = True
    try:
        with _access() as is_online:
            return fetch()
    except Exception as error:  # of these libraries, and of the network
        first = str(error).partition("\n")[0]
        reason = first if is_online else "the hub cannot be reached from here"
        raise BadInput(f"{what}: not in the cache, and not fetched: {reason}") from None


@contextmanager
def _access() -> Iterator[bool]:
    """Inside, the libraries are offline if the hub cannot be reached; gives whether it can."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or is_reachable(constants.ENDPOINT):
        yield not constants.HF_HUB_OFFLINE
        return
    # Not by the environment variable, which both read once, when they are loaded.
    switches: list[Any] = [constants]
    if "datasets" in sys.modules:
        switches.append(sys.modules["datasets"].config)
    for module in switches:
        module.HF_HUB_OFFLINE = True
    try:
        yield False
    finally:
        for module in switches:
            module.HF_HUB_OFFLINE = False


def is_reachable(endpoint: str) -> bool:
    """Whether a server can be connected to. One that is slow, or behind a proxy, counts as such."""
    if getproxies().get("https"):
        return True
    server = urlsplit(endpoint)
    try:
        socket.create_connection((server.hostname, server.port or 443), timeout=PATIENCE).close()
    except TimeoutError:
        return True
    except OSError:
        return False
    return True

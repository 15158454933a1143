"""Live views of a run. The record is the truth; a tracker only watches.

A tracker is a function `(uid, event, *, knobs) -> None`; events are plain dictionaries.
"""

from collections.abc import Mapping
from typing import Any


def none(uid: str, event: Mapping[str, Any]) -> None:
    """Watch nothing."""

"""Exact sizes by name: lLAYERS_hWIDTH or lLAYERS_hWIDTH_aHEADS."""

import re

NAME = re.compile(r"l([1-9]\d*)_h([1-9]\d*)(?:_a([1-9]\d*))?")
# MiniLM (arXiv 2002.10957) and TinyBERT (arXiv 1909.10351) keep BERT-base's twelve heads.
TWELVE_HEADS = (312, 384)
HEAD_WIDTH = 64


def exact(name: str) -> dict[str, int] | None:
    """The dimensions that a name spells, None if it spells none.

    Heads are 64 wide unless the name says how many there are, or the width is MiniLM's or
    TinyBERT's; the feed-forward layer is four times as wide as the model.
    """
    match = NAME.fullmatch(name)
    if not match:
        return None
    layers, hidden = int(match[1]), int(match[2])
    heads = 12 if hidden in TWELVE_HEADS else max(1, hidden // HEAD_WIDTH)
    return {
        "layers": layers,
        "hidden": hidden,
        "heads": int(match[3] or heads),
        "intermediate": 4 * hidden,
    }

"""Sizes spelled by their dimensions: lLAYERS_hWIDTH or lLAYERS_hWIDTH_aHEADS.

`l4_h312_a12` has four layers, 312 wide, with twelve heads; no file in conf/size is needed for it.
"""

import re

from kdlab.errors import BadInput

NAME = re.compile(r"l([1-9]\d*)_h([1-9]\d*)(?:_a([1-9]\d*))?")
# MiniLM (arXiv 2002.10957) and TinyBERT (arXiv 1909.10351) keep BERT-base's twelve heads.
TWELVE_HEADS = (312, 384)
HEAD_WIDTH = 64


def exact(name: str) -> dict[str, int] | None:
    """The dimensions that a name spells, None if it spells none.

    Heads are 64 wide unless the name says how many there are, or the width is MiniLM's or
    TinyBERT's; the feed-forward layer is four times as wide as the model.

    Raises:
        BadInput: the name leaves heads out, and 64 does not divide the width.
    """
    match = NAME.fullmatch(name)
    if not match:
        return None
    layers, hidden = int(match[1]), int(match[2])
    if not match[3] and hidden % HEAD_WIDTH and hidden not in TWELVE_HEADS:
        raise BadInput(
            f"size={name}: heads are {HEAD_WIDTH} wide, which does not divide {hidden}; "
            f"say how many, such as {name}_a{_likely_heads(hidden)}"
        )
    heads = 12 if hidden in TWELVE_HEADS else hidden // HEAD_WIDTH
    return {
        "layers": layers,
        "hidden": hidden,
        "heads": int(match[3] or heads),
        "intermediate": 4 * hidden,
    }


def _likely_heads(hidden: int) -> int:
    """The number of heads that divides a width into heads nearest to the usual ones."""
    divisors = [heads for heads in range(1, min(hidden, 256) + 1) if hidden % heads == 0]
    return min(divisors, key=lambda heads: abs(hidden / heads - HEAD_WIDTH))

"""Masked language modelling: some tokens are masked, and are the labels.

Devlin et al. 2019, arXiv 1810.04805: of the tokens that are to be predicted, 80 % become [MASK],
10 % another token, 10 % stay. Masks are drawn anew at every step, as in Liu et al. 2019, arXiv
1907.11692, and are the same for every student of a seed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kdlab.errors import BadInput

BECOME_MASK, BECOME_OTHER = 0.8, 0.1  # the rest stay
NO_LABEL = -100
LOSS, HITS = (
    0,
    1,
)  # columns kept of a scored row: mean loss in nats, share of tokens predicted right
COLUMNS = 2


@dataclass(frozen=True)
class Masking:
    """How tokens are masked.

    Attributes:
        share: of a row's ordinary tokens that are masked.
        token: the id of [MASK].
        special: ids that are never masked and never replace another token.
        ordinary: all other ids of the vocabulary.
    """

    share: float
    token: int
    special: np.ndarray
    ordinary: np.ndarray

    def counts(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """How many tokens of each row are masked [n]; `ids` has the n rows one after the other."""
        row = np.repeat(np.arange(len(lengths)), lengths)
        ordinary = np.bincount(row[~np.isin(ids, self.special)], minlength=len(lengths))
        return _quota(ordinary, self.share)


def masking(tokenizer: Any, share: float) -> Masking:
    """The masking of a tokenizer.

    Raises:
        BadInput: the tokenizer has no mask token.
    """
    if tokenizer.mask_token_id is None:
        raise BadInput("tokenizer: it has no mask token, which masked-LM needs")
    special = np.array(sorted(tokenizer.all_special_ids))
    ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)
    return Masking(share, tokenizer.mask_token_id, special, ordinary)


def mask(ids: np.ndarray, rule: Masking, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids with masks drawn from a stream, and the labels: -100 where no token is masked.

    As in BERT's own code a row has a fixed number of masked tokens, its share rounded and at least
    one, so that short rows count too.

    Args:
        ids: [b, t], padded with a special token.
        rule: how tokens are masked.
        key: of the random stream.

    Returns:
        The masked ids [b, t], and the labels [b, t].
    """
    random = np.random.Generator(np.random.PCG64(key))
    ordinary = ~np.isin(ids, rule.special)
    # Special tokens draw more than any ordinary one: they rank last in their row.
    draw = np.where(ordinary, random.random(ids.shape), 2.0)
    rank = draw.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    chosen = rank < _quota(ordinary.sum(1), rule.share)[:, None]
    fate = random.random(ids.shape)
    others = rule.ordinary[random.integers(len(rule.ordinary), size=ids.shape)]
    masked = np.where(chosen & (fate < BECOME_MASK), rule.token, ids)
    replaced = chosen & (fate >= BECOME_MASK) & (fate < BECOME_MASK + BECOME_OTHER)
    return np.where(replaced, others, masked), np.where(chosen, ids, NO_LABEL)


def _quota(ordinary: np.ndarray, share: float) -> np.ndarray:
    """How many tokens are masked in rows of so many ordinary ones [n]."""
    return np.minimum(ordinary, np.maximum(1, np.rint(share * ordinary))).astype(np.int64)

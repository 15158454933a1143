"""What a number of seeds can show: paired t-tests over seeds in families that Holm corrects.

`sweeps` says it before a study's runs are done and `analysis` tests by it afterwards. The two share
no other ground than this package, so that it is here.
"""

from collections.abc import Sequence
from functools import cache

LEVEL = 0.05  # of a family's tests, two-sided
POWER = 0.8
SEEDS_NEEDED = 3  # two seeds need |t| > 12.7 for a single test
LARGEST = 10.0  # |t| of a family's first step; what needs more marks nothing in practice
Path = tuple[str, ...]


@cache
def first_step(tests: int, df: float) -> float:
    """The |t| that the smallest p of a family needs, by Holm's correction.

    Args:
        tests: of the family.
        df: degrees of freedom of each: the seeds less one.
    """
    from scipy.stats import t

    return float(t.isf(LEVEL / (2 * tests), df))


def is_able(tests: int, seeds: int) -> bool:
    """Whether a family of so many tests of so many seeds can mark anything."""
    return seeds >= SEEDS_NEEDED and first_step(tests, seeds - 1) <= LARGEST


@cache
def detectable(tests: int, df: float) -> float:
    """The difference that the first step of a family finds with 80 % power, in standard errors."""
    from scipy.optimize import brentq
    from scipy.stats import ncf

    # The square of a t is an F, which has both tails in one.
    critical = first_step(tests, df)

    def lacking(shift: float) -> float:
        return float(ncf.sf(critical**2, 1, df, shift**2) - POWER)

    return float(brentq(lacking, 1e-3, 4 * critical + 10))


def families(paths: Sequence[Path], seeds: Sequence[int]) -> list[Path]:
    """The family of each test: all tests that share a beginning of its path.

    It is the shortest beginning whose tests can mark something at their seeds, or else the whole
    path. It follows from what is planned alone, never from results.

    Args:
        paths: of each test, from the largest family it could be in to the smallest.
        seeds: of each test, as they are planned.
    """
    found: dict[int, Path] = {}
    left, length = list(range(len(paths))), 1
    while left:
        groups: dict[Path, list[int]] = {}
        for place in left:
            groups.setdefault(paths[place][:length], []).append(place)
        left = []
        for family, members in groups.items():
            is_last = all(len(paths[place]) <= length for place in members)
            if is_last or is_able(len(members), max(seeds[place] for place in members)):
                found |= dict.fromkeys(members, family)
            else:
                left += members
        length += 1
    return [found[place] for place in range(len(paths))]

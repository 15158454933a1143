"""What a number of seeds can show: paired t-tests over seeds, corrected in families by Holm.

`sweeps` says so before a study's runs are done, and `analysis` tests by the same families
afterwards. Both import this package and not each other, which is why it is here.
"""

from collections.abc import Sequence
from functools import cache

LEVEL = 0.05  # of a family's tests together, two-sided
POWER = 0.8  # the probability with which a detectable difference is found
SEEDS_NEEDED = 3  # two seeds need |t| > 12.7 even for a single test
LARGEST = 10.0  # a family whose smallest p needs a larger |t| than this marks nothing in practice
Path = tuple[str, ...]  # of groups that a test belongs to, from the largest to the smallest


@cache
def first_step(tests: int, df: float) -> float:
    """The |t| that the smallest p of a family must reach: Holm's first step, LEVEL / tests.

    Args:
        tests: how many the family has.
        df: degrees of freedom of each: the seeds less one.
    """
    from scipy.stats import t

    return float(t.isf(LEVEL / (2 * tests), df))


def is_able(tests: int, seeds: int) -> bool:
    """Whether a family of so many tests over so many seeds can mark any difference."""
    return seeds >= SEEDS_NEEDED and first_step(tests, seeds - 1) <= LARGEST


@cache
def detectable(tests: int, df: float) -> float:
    """The difference, in standard errors, that a family's first step finds with power POWER."""
    from scipy.optimize import brentq
    from scipy.stats import ncf

    # The square of a t is an F, which has both tails in one.
    critical = first_step(tests, df)

    def power_above_target(difference: float) -> float:
        return float(ncf.sf(critical**2, 1, df, difference**2) - POWER)

    return float(brentq(power_above_target, 1e-3, 4 * critical + 10))


def families(paths: Sequence[Path], seeds: Sequence[int]) -> list[Path]:
    """The family of each test: all tests whose paths begin alike.

    The beginning is the shortest one whose tests can mark something at their seeds, or else the
    whole path. It follows from what is planned alone, never from results.

    Args:
        paths: of each test, from the largest family it could be in to the smallest.
        seeds: of each test, as they are planned.

    Returns:
        For each test the beginning of its path that names its family.

    Example:
        Four tests of the task rte and four of mrpc have paths (main, rte) and (main, mrpc). At five
        seeds they are one family, (main,), whose smallest p needs |t| > 5.3. At three seeds it
        would need 12.6, which is more than LARGEST: there are two families, (main, rte) and
        (main, mrpc), each of which needs 8.9.
    """
    seeds_of: dict[Path, list[int]] = {}  # by the beginning of a path, of all tests that have it
    for path, count in zip(paths, seeds, strict=True):
        for length in range(1, len(path) + 1):
            seeds_of.setdefault(path[:length], []).append(count)
    able = {family for family, counts in seeds_of.items() if is_able(len(counts), max(counts))}
    # From the shortest beginning, which is the largest family.
    beginnings = [[path[:length] for length in range(1, len(path))] for path in paths]
    return [
        next((family for family in of_path if family in able), path)
        for path, of_path in zip(paths, beginnings, strict=True)
    ]

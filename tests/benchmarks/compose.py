"""How long composing a study takes: `python tests/benchmarks/compose.py [RUNS ...]`.

Runs of five kinds of knowledge, six matchings, four sizes, ten learning rates and as many seeds as
it takes, beside what composing twenty of them one by one through Hydra takes.
"""

import platform
import re
import resource
import sys
import time
from collections.abc import Iterator
from itertools import count, islice, product
from pathlib import Path

from kdlab.config.compose import compose
from kdlab.config.compose_many import compose_each

KNOWLEDGE = ("logits_kl", *(f"[logits_kl,{name}]" for name in (
    "hidden_mse", "cls_pkd", "attention_kl", "value_relation",
)))  # fmt: skip
MATCHING = ("first", "last", "skip", "reverse", "random", "last1")
SIZES = ("l2_h64_a4", "l3_h64_a4", "l3_h32_a4", "l4_h64_a4")
RATES = tuple(f"{step}e-4" for step in range(1, 11))


def pages() -> Iterator[tuple[str, ...]]:
    for seed in count():
        for rate, size, matching, knowledge in product(RATES, SIZES, MATCHING, KNOWLEDGE):
            yield (
                "task=synthetic",
                "teacher=scratch",
                f"train.lr={rate}",
                f"size={size}",
                f"matching={matching}",
                f"knowledge={knowledge}",
                f"seed={seed}",
            )


def cpu() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def peak() -> float:
    """Peak memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    compose()  # imports
    begin = time.perf_counter()
    for overrides in islice(pages(), 0, 1000, 50):
        compose(*overrides)
    each = (time.perf_counter() - begin) / 20
    print(f"{cpu()}, one thread; imports take {peak():.2f} GB")
    print(f"Hydra: {each * 1e6:,.0f} us a run")
    for runs in [int(text) for text in sys.argv[1:]] or [1_000, 10_000, 100_000]:
        study = list(islice(pages(), runs))
        begin = time.perf_counter()
        found = list(compose_each(study))
        seconds = time.perf_counter() - begin
        print(
            f"{len(found):,} runs: {seconds:.1f} s, {seconds / runs * 1e6:,.0f} us a run, "
            f"{each * runs / seconds:,.0f} times as fast, peak {peak():.2f} GB"
        )


if __name__ == "__main__":
    main()

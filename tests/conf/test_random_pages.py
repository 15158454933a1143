"""Nothing impossible gets past planning: pages drawn at random are refused there, or they train."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import drawn_pages
import numpy as np
import pytest

import kdlab
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.memo import files_unchanged
from kdlab.run import Run

PAGES = int(os.environ.get("KDLAB_RANDOM_PAGES", "60"))


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> tuple[Path, list[tuple[list[str], Run | BadInput]]]:
    """Where the rows are, and every page with its run or its refusal."""
    folder, random = tmp_path_factory.mktemp("pages"), Random(0)
    drawn_pages.write(folder)
    pages = [drawn_pages.page(random, folder) for _ in range(PAGES)]
    return folder, list(zip(pages, _planned(pages), strict=True))


def _planned(pages: list[list[str]]) -> Iterator[Run | BadInput]:
    kept: dict = {}
    for page in pages:
        with files_unchanged(kept):
            try:
                yield kdlab.compose(*page)
            except BadInput as error:
                yield error


@pytest.mark.long
def test_a_refusal_is_one_line_that_names_a_key(planned):
    for page, found in planned[1]:
        if not isinstance(found, Run):
            key, _, why = str(found).partition(": ")
            assert why, found
            assert "\n" not in str(found)
            # The key, or the option or the number that it has, is something that the page says.
            assert any(key.partition("=")[0].split(".")[0] in text for text in page), found


@pytest.mark.long
def test_a_page_that_is_not_refused_trains(planned):
    folder, pages = planned
    for page, run in pages:
        if isinstance(run, Run):
            try:
                found = kdlab.distill(run, root=str(folder / "runs"), threads=1)
            except Exception as error:
                raise AssertionError(f"{' '.join(page)}: {error}") from error
            assert found.result["status"] == "done", page
            losses = [v for values in found.result["curves"].values() for v in values]
            assert np.isfinite(losses).all(), page


@pytest.mark.long
def test_many_pages_are_refused_and_many_train(planned):
    counts = Counter(type(found) for _, found in planned[1])
    assert all(counts[kind] >= PAGES / 10 for kind in (Run, NotApplicable, BadInput)), counts

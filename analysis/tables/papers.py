"""Tables as papers have them: A of Lu et al. 2022 (arXiv 2206.14366), B of Sun et al. 2019 (PKD,
arXiv 1908.09355), C on data; each a layout, a YAML file in `sweeps/layouts`.

The full text of the first was not to be had: its tables' shapes are what verified relatives have,
and none of its numbers is here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from analysis.read.frame import NO_SEED
from analysis.tables.arrange import arranged, control_contrasts
from analysis.tables.model import Table
from sweeps.study import layouts
from sweeps.study.layouts import Layout


def table(name: str | None) -> Callable[..., list[Table]]:
    """What arranges the runs of a study as the table of a layout; called as `arranged`.

    Example: `table("a1_knowledge")(runs, margin=0.5)`. Without a name rows are as the study labels
    them.

    Raises:
        BadInput: no layout is called so.
    """
    return partial(_as_layout, layouts.read(name)) if isinstance(name, str) else arranged


def of_study(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Every table of a study, each as its block says (`layout`), else as the study labels it.

    Raises:
        BadInput: a layout that is not there.
    """
    # All layouts are looked up before anything is computed.
    functions = {name: table(part.iloc[0]) for name, part in runs.groupby("table")["layout"]}
    # Contrasts are of the whole study: what two tables compare is tested once.
    contrasts = control_contrasts(runs, **how)
    tables = []
    for name, part in runs.groupby("table", sort=False):
        part.attrs = runs.attrs  # of groups pandas gives copies without them
        tables += functions[name](part, contrasts=contrasts, **how)
    return tables


def with_model(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with a column `model`, layers by width, which sizes and shapes come to: `6x768`."""
    text = runs["layers"].map("{:.0f}".format) + "x" + runs["hidden"].map("{:.0f}".format)
    return runs.assign(model=text.where(runs["layers"].notna()))  # else it is the text `nanxnan`


def _as_layout(layout: Layout, runs: pd.DataFrame, **how: Any) -> list[Table]:
    """The tables of a study, arranged by one layout."""
    if "model" in layout.rows:
        runs = with_model(runs)
    if layout.about:
        # Contrasts are of all runs, so that a family has all that the study compares, whatever is
        # shown of it.
        if "contrasts" not in how:
            how |= {"contrasts": control_contrasts(runs, **how)}
        has_one = runs[layout.about].notna() & (runs[layout.about] != "none")
        is_beside = (runs["knowledge"] == "none") | (runs["seed"] == NO_SEED)
        runs = runs[has_one | is_beside]
    return arranged(runs, layout, **how)

"""Tables as papers have them: A of Lu et al. 2022 (arXiv 2206.14366), B of Sun et al. 2019 (PKD,
arXiv 1908.09355), C on data; each a layout, a YAML file in `sweeps/layouts`.

The full text of the first was not to be had: its tables' shapes are what verified relatives have,
and none of its numbers is here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from analysis.tables.arrange import arranged, control_contrasts
from analysis.tables.model import Table
from sweeps.study import layouts


def table(name: str | None) -> Callable[..., list[Table]]:
    """What arranges the runs of a study as the table of a layout; called as `arranged`.

    Example: `table("a1_knowledge")(runs, margin=0.5)`. Without a name rows are as the study labels
    them.

    Raises:
        BadInput: no layout is called so.
    """
    return partial(arranged, layout=layouts.read(name)) if isinstance(name, str) else arranged


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

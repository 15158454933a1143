"""The papers' tables, a function each: A of Lu et al. 2022 (arXiv 2206.14366), B of Sun et al. 2019
(PKD, arXiv 1908.09355), C on data.

The full text of the first was not to be had: its tables' shapes are what verified relatives have,
and none of its numbers is here. Each function arranges the runs of a study, such as
`sweeps/studies/a1_knowledge.yaml`; a study's block may name it as its `layout`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from analysis.published import numbers
from analysis.read.frame import NO_SEED
from analysis.tables.arrange import arranged, control_contrasts
from analysis.tables.layout import Layout
from analysis.tables.model import Table
from kdlab.errors import BadInput

PKD = "PKD"
TEACHERS = ("BERT12 (Google)", "BERT12 (teacher)")
STUDENTS = tuple(f"BERT{n}-{how}" for n in (6, 3) for how in ("FT", "KD", "PKD"))
# Students of the literature that A7 sets beside ours; no teachers, no ablations.
SYSTEMS = (
    *("BERT6-PKD", "BERT4-PKD", "BERT3-PKD", "PD6", "BERT-of-Theseus"),
    *("DistilBERT6", "DistilBERT4", "MiniLM6", "MiniLM 6x384", "MiniLM 12x384"),
    *("MiniLMv2 6x768", "MobileBERT-tiny", "TinyBERT6", "TinyBERT4"),
)


def a1_knowledge(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Which knowledge: each alone and with logits, all else equal."""
    return arranged(runs, Layout("A1 knowledge", rows=("knowledge",)), **how)


def a2_matching(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Which matching: a column for each knowledge and init, as copied layers hardly need one."""
    columns = ("knowledge", "init")
    how = {"contrasts": control_contrasts(runs, **how), **how} if "contrasts" not in how else how
    # Contrasts are of all runs, so that a family has all that the study compares. Shown are only
    # those that a matching concerns: knowledge without layers stays out.
    has_matching = runs["matching"].notna() & (runs["matching"] != "none")
    is_about = has_matching | (runs["knowledge"] == "none")
    runs = runs[is_about | (runs["seed"] == NO_SEED)]
    return arranged(runs, Layout("A2 matching", ("matching",), columns, spread=True), **how)


def a3_width_depth(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Deep or wide at one budget: a row for each model, fine-tuned and distilled side by side.

    A table for each budget: each of the study's.
    """
    return arranged(with_model(runs), Layout("", ("model",), ("case",), models=True), **how)


def a4_initialization(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Where to start: a column for each knowledge, a difference to the same init without any."""
    return arranged(runs, Layout("A4 initialization", ("init",), ("case",)), **how)


def a5_model_size(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """How small: fine-tuned and distilled side by side, and how much of the teacher is kept."""
    layout = Layout("A5 model size", ("size",), ("case",), models=True, of_teacher=True)
    return arranged(runs, layout, **how)


def a6_stages(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """In one go or in stages: rows as the study labels them."""
    return arranged(runs, Layout("A6 stages"), **how)


def a7_systems(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Against published systems: ranked with those that report on dev, above those on test."""
    layout = Layout("A7 systems", models=True, published=_systems, is_ranked=True)
    return arranged(runs, layout, **how)


def b1_glue(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """PKD's main table: fine-tuned, KD and PKD students of six and three layers."""
    return arranged(runs, Layout("B1 GLUE", published=_main_rows), **how)


def b2_skip_or_last(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """PKD-Skip against PKD-Last: the first matches every other layer, the second the last ones."""
    names = ("BERT6-PKD", "BERT6-PKD-Last")
    return arranged(runs, Layout("B2 Skip or Last", published=partial(_of_pkd, names)), **how)


def b3_long_text(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """PKD on long texts, RACE in the paper: any task with its three columns."""
    return arranged(runs, Layout("B3 long text", published=_main_rows), **how)


def b4_size_and_time(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Layers against parameters, FLOPs and latency."""
    layout = Layout("B4 size and time", ("model",), ("case",), models=True, of_teacher=True)
    return arranged(with_model(runs), layout, **how)


def b5_better_teacher(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Does a better teacher help: students of a base and of a large teacher."""
    large = ("BERT24 to BERT6[Base]-KD", "BERT24 to BERT6[Large]-KD", "BERT24 to BERT6[Large]-PKD")
    published = partial(_of_pkd, (*TEACHERS, "BERT24 (teacher)", "BERT6-KD", *large))
    return arranged(runs, Layout("B5 better teacher", published=published), **how)


def c1_data(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """How many rows, and with a transfer set or without: a row for each, all arms side by side."""
    rows = ("data.rows", "data", "data.extra_rows")
    return arranged(runs, Layout("C1 data", rows, ("case",)), **how)


def of_study(runs: pd.DataFrame, **how: Any) -> list[Table]:
    """Every table of a study, each as its block says (`layout`), else as the study labels it.

    Raises:
        BadInput: a layout that is no table of a paper.
    """
    # All names are looked up before anything is computed.
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


def table(name: str | None) -> Callable[..., list[Table]]:
    """The function of a paper's table; without a name the one that keeps the study's labels.

    Raises:
        BadInput: no table is called so.
    """
    if not isinstance(name, str):
        return arranged
    if name not in TABLES:
        raise BadInput(f"layout {name}: no such table; there: {', '.join(TABLES)}")
    return TABLES[name]


def _of_pkd(systems: tuple[str, ...]) -> pd.DataFrame:
    """The numbers of some systems in PKD's paper."""
    published = numbers.load()
    return published[(published["paper"] == PKD) & published["system"].isin(systems)]


def _main_rows() -> pd.DataFrame:
    """The numbers of the rows of PKD's main table."""
    return _of_pkd((*TEACHERS, *STUDENTS))


def _systems() -> pd.DataFrame:
    """The numbers of published students; of repeated runs the mean, as ours are means."""
    published = numbers.load()
    is_system = published["system"].isin(SYSTEMS)
    return published[is_system & (published["statistic"] != "best_run")]


TABLES: dict[str, Callable[..., list[Table]]] = {
    arrange.__name__: arrange
    for arrange in (
        *(a1_knowledge, a2_matching, a3_width_depth, a4_initialization, a5_model_size),
        *(a6_stages, a7_systems, b1_glue, b2_skip_or_last, b3_long_text),
        *(b4_size_and_time, b5_better_teacher, c1_data),
    )
}

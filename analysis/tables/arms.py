"""Every arm of a study against its control: the contrasts that tables show, tested once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.statistics.cells import Key, cell_runs, columns, grouped, with_control
from analysis.statistics.contrasts import Sample, Verdict, judged
from analysis.statistics.draws import Draws
from analysis.statistics.pairs import Inference, compare, sample_of
from analysis.tables.layout import column_name


@dataclass(frozen=True)
class ControlContrasts:
    """Contrasts of arms with their controls, by cell: table, row, task, split and metric.

    Attributes:
        judged: of each cell the row that `contrasts.judged` gives.
        samples: of each its paired differences, for averages over columns.
        verdicts: by a contrast's key, for whoever speaks of the same one.
    """

    judged: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    samples: Mapping[Key, Sample] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


def against_controls(frame: pd.DataFrame, draws: Draws | None, margin: float) -> ControlContrasts:
    """Every arm with its control, in each table, in the study's order.

    A family is a table, or, where so many tests could mark nothing at the seeds that are planned,
    a table's column, or what one control is compared with there (`kdlab.power.families`). What a
    second table compares too keeps the first one's verdict. Rows are as the study labels them, so
    that no layout changes a verdict.

    Args:
        frame: as `analysis.read.frame.scores`, without what was left out while planning.
        draws: scores on resampled examples; None where the outputs are not there.
        margin: points within which a difference counts as none.
    """
    runs = cell_runs(frame)
    by_column = columns(runs)
    inference = Inference(margin, draws)
    rows: list[dict[str, Any]] = []
    samples: dict[Key, Sample] = {}
    students = (run for run in runs if not run.is_teacher)
    for cell, arm in grouped(students, lambda run: run.cell).items():
        table, row, *in_column = cell
        control, in_table = arm[0].control, by_column[arm[0].column]
        # The control itself, an arm without one, or one whose control is not in this column.
        if control in ("", row) or control not in in_table.rows:
            continue
        contrast = {
            "cell": cell,
            "path": (f"table {table}", column_name(*in_column), control),
            "planned": len({run.seed for run in arm}),  # families follow from plans, not results
            # What is planned and has no pair yet is a test of its family already: marks shall not
            # come and go with the order in which runs are done.
            "key": " ".join(cell),
        }
        if pairs := with_control(arm, in_table):
            split, metric = cell[-2:]
            samples[cell] = sample_of(pairs, split, metric, draws)
            contrast |= compare(pairs, split, metric, inference, samples[cell])
        rows.append(contrast)
    if not samples:
        return ControlContrasts()
    by_cell: dict[Key, Mapping[str, Any]] = {
        row["cell"]: row  # type: ignore[misc]
        for row in judged(pd.DataFrame(rows), inference.verdicts).to_dict("records")
        if row["cell"] in samples
    }
    return ControlContrasts(by_cell, samples, inference.verdicts)

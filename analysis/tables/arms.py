"""Every arm of a study against its control: the contrasts that tables show, tested once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.read.frame import NO_SEED
from analysis.statistics.cells import COLUMNS, Draws, column, sampled, with_control
from analysis.statistics.contrasts import Sample, Verdict, contrast, identity, judged
from analysis.tables.layout import column_name

PLACE = ["table", "row", "task", "split", "metric"]
COLUMN = [name for name in PLACE if name != "row"]
Place = tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """Contrasts of arms with their controls by place (table, row, task, split, metric).

    Attributes:
        told: of each what `contrasts.judged` gives.
        samples: of each its differences, for averages over columns.
        verdicts: by what contrasts are known by, for whoever speaks of the same ones.
    """

    told: Mapping[Place, Mapping[str, Any]] = field(default_factory=dict)
    samples: Mapping[Place, Sample] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


def compared(frame: pd.DataFrame, draws: Draws | None, margin: float) -> Compared:
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
    frame = frame[["table", *COLUMNS]]
    columns = {key: column(part) for key, part in frame.groupby(COLUMN, sort=False)}
    rows: list[dict[str, Any]] = []
    samples: dict[Place, Sample] = {}
    for key, part in frame[frame["seed"] != NO_SEED].groupby(PLACE, sort=False):
        place = tuple(map(str, key))  # type: ignore[arg-type]
        table, row, *of = place
        control, whole = str(part["control"].iloc[0]), columns[(table, *of)]
        if control in ("", row) or control not in whole.rows:
            continue
        path = (f"table {table}", column_name(*of), control)
        told = {"place": place, "path": path, "planned": part["seed"].nunique()}
        both = with_control(part, whole)
        if len(both):
            samples[place] = sampled(both, draws)
            is_degenerate = both["degenerate"] | both["degenerate_control"]
            told |= contrast(samples[place], margin)._asdict()
            told |= {"n": len(both), "degenerate": int(is_degenerate.sum())}
            told["key"] = identity(both, "uid_control")
        rows.append(told)
    if not samples:
        return Compared()
    verdicts: dict[str, Verdict] = {}
    found = pd.DataFrame(rows)
    found["key"] = found["key"].fillna(found["place"].map(" ".join))  # planned, and not there yet
    judgements = judged(found, verdicts).to_dict("records")
    told_of: dict[Place, Mapping[str, Any]] = {
        row["place"]: row  # type: ignore[misc]
        for row in judgements
        if row["place"] in samples
    }
    return Compared(told_of, samples, verdicts)
